//! Kubeconfigs and the files that they name: looked at before they are read, and named in errors only where the name
//! is one; that of a key or a token only where such a file is there. Blocks.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::error::{ConfigError, CredentialFile};

/// What is read at most from a file that a kubeconfig names.
pub(crate) const LIMIT: u64 = 1024 * 1024;

/// The longest name that the usual file systems take for one step of a path.
const STEP_LIMIT: usize = 255;

/// The longest path that the usual systems take.
const PATH_LIMIT: usize = 4096;

/// How keys, certificates and tokens begin: plain, as Base64, and without the lines around them.
const BEGINNINGS: [&str; 4] = ["-----BEGIN", "LS0t", "eyJ", "MII"];

/// Why a file is not to be read.
pub(crate) enum Unfit {
    Unreadable(io::Error),
    NoRegularFile,
    TooLarge(u64),
}

/// Whether `path` is of a regular file of at most `limit` bytes: a pipe would hang the reader, and a device may
/// never end.
pub(crate) fn look_at(path: &Path, limit: u64) -> Result<(), Unfit> {
    let metadata = fs::metadata(path).map_err(Unfit::Unreadable)?;
    if !metadata.is_file() {
        return Err(Unfit::NoRegularFile);
    }
    if metadata.len() > limit { Err(Unfit::TooLarge(limit)) } else { Ok(()) }
}

impl Unfit {
    /// What is wrong with the kubeconfig at `path`.
    pub(crate) fn of_kubeconfig(self, path: &Path) -> ConfigError {
        if is_value(path) {
            return ConfigError::TextForPath;
        }
        let path = path.to_owned();
        match self {
            Self::Unreadable(source) => ConfigError::Unreadable { path, source: Arc::new(source) },
            Self::NoRegularFile => ConfigError::NoRegularFile { material: CredentialFile::Kubeconfig, path },
            Self::TooLarge(limit) => ConfigError::TooLarge { material: CredentialFile::Kubeconfig, path, limit },
        }
    }

    /// What is wrong with a file that a kubeconfig names.
    fn of(self, material: CredentialFile, path: &Path) -> ConfigError {
        if is_value(path) {
            return ConfigError::ValueForPath { material };
        }
        let path = path.to_owned();
        match self {
            // It may be the value itself: not every token has a shape to know it by. The system's errors hold no path.
            Self::Unreadable(source) if material.is_secret() && !path.exists() => {
                ConfigError::NoFile { material, source: Arc::new(source) }
            }
            Self::Unreadable(source) => ConfigError::File { material, path, source: Arc::new(source) },
            Self::NoRegularFile => ConfigError::NoRegularFile { material, path },
            Self::TooLarge(limit) => ConfigError::TooLarge { material, path, limit },
        }
    }
}

/// Whether the file at `path`, which a kubeconfig names, can be read without harm.
pub(crate) fn check(material: CredentialFile, path: &Path) -> Result<(), ConfigError> {
    look_at(path, LIMIT).map_err(|unfit| unfit.of(material, path))
}

/// Why a file was not read.
pub(crate) fn unreadable(material: CredentialFile, path: &Path, source: io::Error) -> ConfigError {
    Unfit::Unreadable(source).of(material, path)
}

/// Whether `path` is a value where its path belongs. Reading the kubeconfig may have made it absolute.
fn is_value(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.len() > PATH_LIMIT
        || text.contains(char::is_control)
        || text.split(['/', '\\']).any(|step| {
            step.len() > STEP_LIMIT || BEGINNINGS.iter().any(|beginning| step.trim_start().starts_with(beginning))
        })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{PATH_LIMIT, STEP_LIMIT, is_value};

    #[test]
    fn a_value_is_distinguished_from_a_path() {
        let values = [
            "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n",
            "-----BEGIN PRIVATE KEY----- MIIE -----END PRIVATE KEY-----",
            "/etc/kube/-----BEGIN PRIVATE KEY-----",
            "LS0tLS1CRUdJTi",
            " LS0tLS1CRUdJTi",
            "/etc/kube/LS0tLS1CRUdJTi/BQ==",
            "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
            "C:\\Users\\me\\eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
            "MIIEvQIBADANBgkq/hkiG9w0BAQEFAASC",
            "/etc/kube/MIIEvQIBADANBgkq/hkiG9w0BAQEFAASC",
            "two\nlines",
            "nul\0nul",
            &"x".repeat(STEP_LIMIT + 1),
            &"x/".repeat(PATH_LIMIT / 2 + 1),
        ];
        for value in values {
            assert!(is_value(Path::new(value)), "{value:?}");
        }
        let paths = [
            "",
            "/",
            "token",
            "/var/run/secrets/kubernetes.io/serviceaccount/token",
            "C:\\Users\\me\\key LS0t.pem",
            "../keyJ/client.key",
            &"x".repeat(STEP_LIMIT),
            &"directory/".repeat(100),
            &"x/".repeat(PATH_LIMIT / 2),
        ];
        for path in paths {
            assert!(!is_value(Path::new(path)), "{path:?}");
        }
    }
}
