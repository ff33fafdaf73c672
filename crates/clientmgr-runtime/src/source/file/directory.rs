//! [`KubeconfigDirectory`]: a directory with a kubeconfig for each cluster.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clientmgr_kube::{ClusterConfig, ConnectErrorKind, NamespacedName, Policy, read_kubeconfig_from};
use futures::Stream;
use tokio::time::Instant;

use super::content::{Clusters, is_same, lacks, not_empty};
use super::known::Known;
use super::reread::{Files, Found, clusters};
use crate::source::error::SourceError;
use crate::source::event::SourceEvent;

/// The ends of file names that are no part of the cluster's name.
const EXTENSIONS: [&str; 5] = ["conf", "json", "kubeconfig", "yaml", "yml"];

/// A source of a directory with a kubeconfig for each cluster, whose `current-context` counts.
///
/// The cluster's key is the file's name without `.kubeconfig`, `.conf`, `.yaml`, `.yml` or `.json`, and without a
/// namespace.
///
/// The directory is watched. It may be a mounted Secret or ConfigMap; files whose names begin with a dot are left out.
///
/// When a file is removed, so is its cluster. A directory that loses all its files is an error for a minute, before its
/// clusters are removed. A file that is empty or cannot be used is an error of that cluster, which keeps the connection that
/// it has. A directory that cannot be read is an error of the source: all clusters stay.
///
/// # Examples
///
/// ```no_run
/// use clientmgr_runtime::source::KubeconfigDirectory;
///
/// let source = KubeconfigDirectory::new("/etc/clusters").watch();
/// # drop(source);
/// ```
#[derive(Clone, Debug)]
#[must_use = "call `watch`"]
pub struct KubeconfigDirectory {
    path: PathBuf,
    policy: Policy,
}

impl KubeconfigDirectory {
    /// Returns the source of the kubeconfigs in the directory `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), policy: Policy::trusted() }
    }

    /// Sets what the kubeconfigs may do; by default [`Policy::trusted`].
    ///
    /// Where the directory is a mounted Secret, use [`Policy::for_secrets`]: to write the Secret must not be enough to
    /// run commands.
    pub fn policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Returns the source, which reads the directory while it is polled.
    pub fn watch(self) -> impl Stream<Item = SourceEvent> + Send + 'static {
        clusters(self)
    }

    /// Returns the files of the directory, sorted.
    fn files(&self) -> Result<Vec<PathBuf>, SourceError> {
        let unreadable = |error: std::io::Error| SourceError::File { path: self.path.clone(), source: error.into() };
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if !is_hidden && !entry.path().is_dir() {
                files.push(entry.path());
            }
        }
        files.sort();
        Ok(files)
    }
}

impl Files for KubeconfigDirectory {
    type Content = Clusters;
    type Part = Clusters;

    fn paths(&self) -> Vec<PathBuf> {
        // A name in the directory, so that the directory itself is watched.
        let inside = self.path.join("any");
        self.files().unwrap_or_default().into_iter().chain([self.path.clone(), inside]).collect()
    }

    fn is_same(last: &Clusters, now: &Clusters) -> bool {
        is_same(last, now)
    }

    fn lacks(last: &Clusters, now: &Clusters) -> bool {
        lacks(last, now)
    }

    fn read(&self, known: &mut Known<Clusters>, now: Instant) -> Result<Found<Clusters>, SourceError> {
        let mut clusters: BTreeMap<NamespacedName, (PathBuf, Result<ClusterConfig, SourceError>)> = BTreeMap::new();
        for path in self.files()? {
            let cluster = NamespacedName::cluster_scoped(&cluster_name(&path));
            let config = match clusters.remove(&cluster) {
                Some((first, _)) => Err(SourceError::SameName { first, second: path.clone() }),
                None => read(&path, self.policy),
            };
            clusters.insert(cluster, (path, config));
        }
        let content: Clusters = clusters.into_iter().map(|(cluster, (_, config))| (cluster, config)).collect();
        // Where a file system was unmounted, its directory is empty.
        let read = (!content.is_empty()).then_some(content);
        let part = known.take(&self.path, Ok(read), now)?;
        let (content, doubt) = part.map(|part| (part.content, part.doubt)).unwrap_or_default();
        Ok(Found { content, doubts: doubt.into_iter().collect() })
    }
}

fn cluster_name(path: &Path) -> String {
    let is_left_out = path.extension().is_some_and(|end| EXTENSIONS.iter().any(|extension| end == *extension));
    let name = if is_left_out { path.file_stem() } else { path.file_name() };
    name.unwrap_or_default().to_string_lossy().into_owned()
}

fn read(path: &Path, policy: Policy) -> Result<ClusterConfig, SourceError> {
    not_empty(path)?;
    let kubeconfig = read_kubeconfig_from(path)?;
    let current = kubeconfig.current_context.as_deref().filter(|context| !context.is_empty());
    let Some(context) = current else {
        return Err(SourceError::Config {
            field: Some("current-context".to_owned()),
            kind: ConnectErrorKind::InvalidConfig,
            message: format!("{} does not set it", path.display()),
        });
    };
    let config = ClusterConfig::from_kubeconfig(&kubeconfig, context).with_policy(policy);
    config.validate()?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clientmgr_kube::Policy;
    use tokio::time::Instant;

    use super::{Clusters, Files, Found, Known, KubeconfigDirectory};
    use crate::source::SourceError;

    const GOOD: &str = "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n\
        clusters: [{name: c, cluster: {server: 'https://c'}}]\nusers: [{name: u, user: {token: t}}]";

    /// The first reading.
    fn read(files: &KubeconfigDirectory) -> Result<Found<Clusters>, SourceError> {
        files.read(&mut Known::default(), Instant::now())
    }

    #[test]
    fn each_file_is_a_cluster_and_what_is_wrong_is_said_of_that_one() {
        let directory = tempfile::tempdir().unwrap();
        let files = [
            ("east.kubeconfig", GOOD),
            ("west", GOOD),
            ("v1.2", GOOD),
            (".hidden", GOOD),
            ("empty.yaml", ""),
            ("open.yaml", "contexts: ["),
            ("none.yaml", "contexts: []"),
            ("twice.yaml", GOOD),
            ("twice.yml", GOOD),
        ];
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        fs::create_dir(directory.path().join("below")).unwrap();
        let found = read(&KubeconfigDirectory::new(directory.path())).unwrap().content;
        let short: Vec<_> = found
            .iter()
            .map(|(cluster, config)| {
                (
                    cluster.to_string(),
                    config.as_ref().err().map(|error| match error {
                        SourceError::EmptyFile { .. } => "empty",
                        SourceError::Kubeconfig(_) => "not valid",
                        SourceError::Config { .. } => "no current-context",
                        SourceError::SameName { .. } => "same name",
                        other => panic!("{other:?}"),
                    }),
                )
            })
            .collect();
        let expected = [
            ("east", None),
            ("empty", Some("empty")),
            ("none", Some("no current-context")),
            ("open", Some("not valid")),
            ("twice", Some("same name")),
            ("v1.2", None),
            ("west", None),
        ];
        assert_eq!(short, expected.map(|(cluster, problem)| (cluster.to_owned(), problem)));
    }

    #[test]
    fn a_policy_for_secrets_denies_what_a_mounted_secret_must_not_do() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("east"), GOOD.replace("token: t", "tokenFile: /token")).unwrap();
        let source = KubeconfigDirectory::new(directory.path());
        assert!(read(&source).unwrap().content[0].1.is_ok());
        let denied = read(&source.policy(Policy::for_secrets())).unwrap().content.remove(0).1.unwrap_err();
        assert_eq!(denied.field(), Some("users[0].user.tokenFile"));
    }

    #[test]
    fn a_directory_that_loses_its_files_keeps_its_clusters_and_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let (source, mut known) = (KubeconfigDirectory::new(directory.path()), Known::default());
        let mut look = || {
            let Found { content, doubts } = source.read(&mut known, Instant::now()).unwrap();
            (content.len(), doubts.len())
        };
        assert_eq!(look(), (0, 0), "nothing is expected of a new directory");
        fs::write(directory.path().join("east"), GOOD).unwrap();
        assert_eq!(look(), (1, 0));
        fs::remove_file(directory.path().join("east")).unwrap();
        assert_eq!(look(), (1, 1));
    }

    #[test]
    fn a_directory_that_is_gone_is_an_error_of_the_source() {
        let files = KubeconfigDirectory::new("/nowhere/at/all");
        assert!(matches!(read(&files), Err(SourceError::File { .. })));
    }
}
