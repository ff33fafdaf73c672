//! Reading kubeconfig files, as kubectl does, and without its surprises. What is wrong *within* a context is no concern
//! here: validation finds it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use kube::config::Kubeconfig;

use super::{files, normalize};
use crate::error::{ConfigError, ConnectError};

/// What is read at most of a kubeconfig: enough for thousands of clusters with certificates.
const LIMIT: u64 = 64 * 1024 * 1024;

/// Reads the kubeconfigs that `KUBECONFIG` names, or else `~/.kube/config`, and merges them as kubectl does: of several
/// files, those that are missing are left out.
///
/// Blocks on the file system. Unlike kube's own [`Kubeconfig::read`] its errors never quote the file, and it reads
/// regular files only, of 64 MiB at most. What makes kube panic is an error as well: the panic is caught, so not in a
/// program that is built with `panic = "abort"`.
///
/// # Errors
///
/// The file cannot be read or is no kubeconfig. What is wrong with one of its contexts shows in
/// [`ClusterConfig::validate`](crate::ClusterConfig::validate) and when that context is connected.
pub fn read_kubeconfig() -> Result<Kubeconfig, ConnectError> {
    let named = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let paths: Vec<_> = std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()).collect();
    if paths.is_empty() {
        let home = std::env::home_dir().ok_or_else(|| ConnectError::without_cluster(ConfigError::NoPath))?;
        return read_kubeconfig_from(home.join(".kube").join("config"));
    }
    merged(&paths).map_err(ConnectError::without_cluster)
}

/// Reads the kubeconfig at `path`, as [`read_kubeconfig`] does.
///
/// # Errors
///
/// As those of [`read_kubeconfig`].
pub fn read_kubeconfig_from(path: impl AsRef<Path>) -> Result<Kubeconfig, ConnectError> {
    read_from(path.as_ref()).map_err(ConnectError::without_cluster)
}

fn read_from(path: &Path) -> Result<Kubeconfig, ConfigError> {
    files::look_at(path, LIMIT).map_err(|unfit| unfit.of_kubeconfig(path))?;
    // kube panics on a file in UTF-16 that ends within a character.
    let read = catch_unwind(AssertUnwindSafe(|| Kubeconfig::read_from(path).map_err(ConfigError::from)));
    let malformed = ConfigError::Malformed { path: None, line: 0, column: 0 };
    let mut kubeconfig = read.unwrap_or(Err(malformed)).map_err(|problem| match problem {
        ConfigError::Malformed { line, column, .. } => {
            ConfigError::Malformed { path: Some(path.to_owned()), line, column }
        }
        other => other,
    })?;
    normalize::made_absolute(&mut kubeconfig, path.parent().unwrap_or(Path::new("")));
    Ok(kubeconfig)
}

/// The largest kubeconfig that is read from a Secret. A Secret holds no more anyway.
const SECRET_LIMIT: u64 = 1024 * 1024;

/// Parses a kubeconfig that others may write, in a Secret for example. Files that it names stay relative.
///
/// For one context, [`ClusterConfig::from_secret`](crate::ClusterConfig::from_secret) does all. For several contexts, parse once
/// and give the outcome to [`ClusterConfig::from_secret_kubeconfig`](crate::ClusterConfig::from_secret_kubeconfig).
///
/// # Errors
///
/// The text is no kubeconfig, or is larger than 1 MiB. The error does not quote it.
pub fn parse_kubeconfig(text: &[u8]) -> Result<Kubeconfig, ConnectError> {
    from_secret(text).map_err(ConnectError::without_cluster)
}

fn from_secret(text: &[u8]) -> Result<Kubeconfig, ConfigError> {
    if text.len() as u64 > SECRET_LIMIT {
        return Err(ConfigError::LargeKubeconfig { limit: SECRET_LIMIT });
    }
    let malformed = || ConfigError::Malformed { path: None, line: 0, column: 0 };
    let text = std::str::from_utf8(text).map_err(|_| malformed())?;
    let parsed = catch_unwind(AssertUnwindSafe(|| Kubeconfig::from_yaml(text).map_err(ConfigError::from)));
    parsed.unwrap_or_else(|_| Err(malformed()))
}

/// Merges kubeconfigs: the first to set a field wins. Missing files are left out, unless all are missing.
fn merged(paths: &[PathBuf]) -> Result<Kubeconfig, ConfigError> {
    let mut whole: Option<Kubeconfig> = None;
    let mut missing = None;
    for path in paths {
        match read_from(path) {
            Ok(part) => whole = Some(whole.unwrap_or_default().merge(part)?),
            Err(problem) if is_missing(&problem) => missing = missing.or(Some(problem)),
            Err(problem) => return Err(problem),
        }
    }
    whole.ok_or(missing.unwrap_or(ConfigError::NoPath))
}

fn is_missing(problem: &ConfigError) -> bool {
    matches!(problem, ConfigError::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::merged;
    use crate::contexts;
    use crate::error::ConfigError as Problem;

    /// A directory with the kubeconfigs `a`, `b` and `broken`, and nothing at `c` and `d`.
    fn directory() -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            let text = format!("contexts: [{{name: {name}, context: {{cluster: {name}}}}}]");
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        std::fs::write(directory.path().join("broken"), "contexts: [").unwrap();
        directory
    }

    fn paths(directory: &TempDir, names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(|name| directory.path().join(name)).collect()
    }

    #[test]
    fn a_missing_file_among_several_is_left_out() {
        let directory = directory();
        for names in [&["a", "c", "b"][..], &["c", "a", "d", "b"], &["a", "b", "a"]] {
            let kubeconfig = merged(&paths(&directory, names)).unwrap();
            assert_eq!(contexts(&kubeconfig).collect::<Vec<_>>(), ["a", "b"], "{names:?}");
        }
    }

    #[test]
    fn where_all_files_are_missing_the_first_is_named() {
        let directory = directory();
        for names in [&["c"][..], &["c", "d"]] {
            let problem = merged(&paths(&directory, names)).unwrap_err();
            assert!(matches!(&problem, Problem::Unreadable { path, .. } if path.ends_with("c")), "{problem:?}");
        }
    }

    #[test]
    fn a_file_that_is_no_kubeconfig_is_named() {
        let directory = directory();
        let problem = merged(&paths(&directory, &["a", "c", "broken"])).unwrap_err();
        let expected = format!("the kubeconfig {:?} is not valid at line 1", directory.path().join("broken"));
        assert!(problem.to_string().starts_with(&expected), "{problem}");
    }
}
