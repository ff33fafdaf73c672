//! A directory as the kubelet mounts a Secret or a service account: what is seen are links through `..data`, which is
//! exchanged as a whole.

use std::path::{Path, PathBuf};

pub(crate) struct Mounted {
    directory: tempfile::TempDir,
    versions: usize,
}

impl Mounted {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let mut mounted = Self { directory: tempfile::tempdir().unwrap(), versions: 0 };
        mounted.swap(files);
        for (name, _) in files {
            std::os::unix::fs::symlink(Path::new("..data").join(name), mounted.path(name)).unwrap();
        }
        mounted
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn swap(&mut self, files: &[(&str, &str)]) {
        self.versions += 1;
        let version = format!("..version_{}", self.versions);
        std::fs::create_dir(self.path(&version)).unwrap();
        for (name, content) in files {
            std::fs::write(self.path(&version).join(name), content).unwrap();
        }
        std::os::unix::fs::symlink(&version, self.path("..data_tmp")).unwrap();
        std::fs::rename(self.path("..data_tmp"), self.path("..data")).unwrap();
        if self.versions > 1 {
            std::fs::remove_dir_all(self.path(&format!("..version_{}", self.versions - 1))).unwrap();
        }
    }
}
