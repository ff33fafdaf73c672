//! The files that a kubeconfig names: looked at before anybody reads them, and named in errors only where the name is
//! one. Blocks.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::{KubeconfigProblem, Material};

/// What is read at most from a file that a kubeconfig names.
pub(crate) const LIMIT: u64 = 1024 * 1024;

/// The longest name that the usual file systems take for one step of a path.
const STEP_LIMIT: usize = 255;

/// How keys, certificates and tokens begin, plain and as Base64.
const BEGINNINGS: [&str; 3] = ["-----BEGIN", "LS0t", "eyJ"];

/// Whether `path` is of a regular file that is not far too large: a pipe would hang whoever reads it, and a device may
/// never end.
pub(crate) fn check(material: Material, path: &Path) -> Result<(), KubeconfigProblem> {
    let metadata = fs::metadata(path).map_err(|source| unreadable(material, path, source))?;
    if !metadata.is_file() {
        return Err(named(material, path, KubeconfigProblem::NoRegularFile { material, path: path.to_owned() }));
    }
    if metadata.len() > LIMIT {
        let too_large = KubeconfigProblem::TooLarge { material, path: path.to_owned(), limit: LIMIT };
        return Err(named(material, path, too_large));
    }
    Ok(())
}

/// Why a file was not read.
pub(crate) fn unreadable(material: Material, path: &Path, source: io::Error) -> KubeconfigProblem {
    let source = Arc::new(source);
    named(material, path, KubeconfigProblem::File { material, path: path.to_owned(), source })
}

/// `problem`, which quotes `path`, unless that is no path but the secret that belongs into the file.
fn named(material: Material, path: &Path, problem: KubeconfigProblem) -> KubeconfigProblem {
    if is_value(path) { KubeconfigProblem::ValueForPath { material } } else { problem }
}

/// Whether somebody put a value where its path belongs. Whoever read the kubeconfig may have made it absolute.
fn is_value(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.contains(char::is_control)
        || text.split(['/', '\\']).any(|step| {
            step.len() > STEP_LIMIT || BEGINNINGS.iter().any(|beginning| step.trim_start().starts_with(beginning))
        })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{STEP_LIMIT, is_value};

    #[test]
    fn a_value_is_told_from_a_path() {
        let values = [
            "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n",
            "-----BEGIN PRIVATE KEY----- MIIE -----END PRIVATE KEY-----",
            "/home/me/.kube/-----BEGIN PRIVATE KEY-----",
            "LS0tLS1CRUdJTi",
            " LS0tLS1CRUdJTi",
            "/home/me/.kube/LS0tLS1CRUdJTi/BQ==",
            "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
            "C:\\Users\\me\\eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
            "two\nlines",
            "nul\0nul",
            &"x".repeat(STEP_LIMIT + 1),
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
        ];
        for path in paths {
            assert!(!is_value(Path::new(path)), "{path:?}");
        }
    }
}
