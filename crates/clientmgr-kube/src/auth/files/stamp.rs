//! [`Stamp`]: the content of files as a hash.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// What is read of a file at most.
const LIMIT: u64 = 1024 * 1024;

/// The content of some files at a time, as a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp([u8; 32]);

impl Stamp {
    /// The stamp of what `files` hold now. Blocks. Take it before the files are read for their credentials: a change in
    /// between is noticed then.
    pub(crate) fn of(files: &[PathBuf]) -> Self {
        let mut hash = Sha256::new();
        for file in files {
            let content: Option<[u8; 32]> = read(file).map(|content| Sha256::digest(content).into());
            hash.update([u8::from(content.is_some())]);
            hash.update(content.unwrap_or_default());
        }
        Self(hash.finalize().into())
    }
}

/// The content of a regular file: a pipe would never end.
fn read(path: &Path) -> Option<Vec<u8>> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let mut content = Vec::new();
    File::open(path).ok()?.take(LIMIT).read_to_end(&mut content).ok()?;
    Some(content)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Stamp;

    #[test]
    fn a_stamp_differs_with_contents_and_absence() {
        let directory = tempfile::tempdir().unwrap();
        let files = [directory.path().join("a"), directory.path().join("b")];
        let mut seen = vec![Stamp::of(&files)];
        for (file, content) in [(0, ""), (0, "x"), (1, "x"), (0, "xx"), (1, "xx")] {
            fs::write(&files[file], content).unwrap();
            let stamp = Stamp::of(&files);
            assert!(!seen.contains(&stamp));
            seen.push(stamp);
        }
        assert_eq!(Stamp::of(&files), Stamp::of(&files));
    }
}
