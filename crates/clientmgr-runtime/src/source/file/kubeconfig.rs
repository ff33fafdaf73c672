//! [`KubeconfigFiles`]: the contexts of kubeconfig files.

use std::io;
use std::path::{Path, PathBuf};

use clientmgr_kube::kube::config::Kubeconfig;
use clientmgr_kube::{ClusterConfig, ConnectErrorKind, NamespacedName, Policy, contexts, read_kubeconfig_from};
use futures::Stream;
use globset::{GlobBuilder, GlobMatcher};
use tokio::time::Instant;

use super::content::{Clusters, is_same, lacks, not_empty};
use super::known::{Doubt, Known};
use super::reread::{Files, Found, clusters};
use crate::source::error::SourceError;
use crate::source::event::SourceEvent;

/// Why a pattern of contexts cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{pattern:?} is not a pattern of contexts: write * for any text and ? for any character")]
pub struct InvalidPattern {
    pattern: String,
    source: globset::Error,
}

/// A source of the contexts of kubeconfig files, merged as kubectl merges them. The cluster's key is the context's name,
/// without a namespace.
///
/// The files are watched. When a context is removed, so is its cluster. What is wrong with a context is an error of that
/// cluster, which keeps the connection that it has.
///
/// A file that cannot be read, or is empty, is an error of the source and keeps its last valid content, if it had one. A
/// file that goes missing does so for a minute; then its contexts are removed, unless all files are missing. Changes of the
/// other files have their effect meanwhile, except that no cluster is removed.
///
/// # Examples
///
/// ```no_run
/// use clientmgr_runtime::source::KubeconfigFiles;
///
/// let every_context = KubeconfigFiles::from_env()?.watch();
/// let some = KubeconfigFiles::new(["/etc/clusters/config"]).contexts("prod-*")?.contexts("staging")?.watch();
/// # drop((every_context, some));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "call `watch`"]
pub struct KubeconfigFiles {
    paths: Vec<PathBuf>,
    /// None for every context.
    patterns: Vec<GlobMatcher>,
    policy: Policy,
}

impl KubeconfigFiles {
    /// Returns the source of every context of the files that kubectl would read: those that `KUBECONFIG` names, or else
    /// `~/.kube/config`.
    ///
    /// # Errors
    ///
    /// `KUBECONFIG` names no file, and there is no home directory.
    pub fn from_env() -> Result<Self, SourceError> {
        let named = std::env::var_os("KUBECONFIG").unwrap_or_default();
        let mut paths: Vec<_> = std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()).collect();
        if paths.is_empty() {
            let home = std::env::home_dir().ok_or_else(|| SourceError::Missing { field: "KUBECONFIG".to_owned() })?;
            paths.push(home.join(".kube").join("config"));
        }
        Ok(Self::new(paths))
    }

    /// Returns the source of every context of these files. Of a context, cluster or user that several files name, the first
    /// counts for all files, as for kubectl: a context may get the user of another file. For a file for each cluster use
    /// [`KubeconfigDirectory`](super::KubeconfigDirectory).
    pub fn new(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self { paths: paths.into_iter().map(Into::into).collect(), patterns: Vec::new(), policy: Policy::trusted() }
    }

    /// Sets what the kubeconfigs may do; by default [`Policy::trusted`]. Where the files are a mounted Secret, use
    /// [`Policy::for_secrets`].
    pub fn policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Reads only the contexts of this name or pattern (`*`, `?`, `[a-z]`, `{a,b}`), besides those of earlier calls.
    ///
    /// # Errors
    ///
    /// The pattern is not valid.
    pub fn contexts(mut self, pattern: &str) -> Result<Self, InvalidPattern> {
        // A context's name may have slashes, which mean nothing.
        let glob = GlobBuilder::new(pattern).literal_separator(false).backslash_escape(true).build();
        let invalid = |source| InvalidPattern { pattern: pattern.to_owned(), source };
        self.patterns.push(glob.map_err(invalid)?.compile_matcher());
        Ok(self)
    }

    /// Returns the source, which reads the files while it is polled.
    pub fn watch(self) -> impl Stream<Item = SourceEvent> + Send + 'static {
        clusters(self)
    }

    fn includes(&self, context: &str) -> bool {
        self.patterns.is_empty() || self.patterns.iter().any(|pattern| pattern.is_match(context))
    }

    fn merged(&self, known: &mut Known<Kubeconfig>, now: Instant) -> Result<Found<Kubeconfig>, SourceError> {
        let (mut merged, mut doubts): (Option<Kubeconfig>, _) = (None, Vec::new());
        let (mut is_one_read, mut missing) = (false, None);
        for path in &self.paths {
            let read = match read(path) {
                Err(SourceError::File { path, source }) if source.kind() == io::ErrorKind::NotFound => {
                    missing.get_or_insert(SourceError::File { path, source });
                    Ok(None)
                }
                read => read.map(Some),
            };
            let part = match known.take(path, read, now) {
                Ok(Some(part)) => part,
                Ok(None) => continue,
                // It holds no contexts until it can be read. Those of the other files are served.
                Err(error) => {
                    doubts.push(Doubt::Broken(error));
                    continue;
                }
            };
            is_one_read |= part.doubt.is_none();
            doubts.extend(part.doubt);
            merged = Some(match merged {
                None => part.content,
                Some(merged) => merged.merge(part.content).map_err(|_| SourceError::Config {
                    field: None,
                    kind: ConnectErrorKind::InvalidConfig,
                    message: format!("{} differs from the files before in kind or apiVersion", path.display()),
                })?,
            });
        }
        match merged.filter(|_| is_one_read) {
            Some(content) => Ok(Found { content, doubts }),
            None => Err(broken(doubts).or(missing).unwrap_or(SourceError::Missing { field: "KUBECONFIG".to_owned() })),
        }
    }
}

fn read(path: &Path) -> Result<Kubeconfig, SourceError> {
    not_empty(path)?;
    Ok(read_kubeconfig_from(path)?)
}

/// Returns the error of the first file that is there and cannot be used.
fn broken(doubts: Vec<Doubt>) -> Option<SourceError> {
    doubts.into_iter().find_map(|doubt| match doubt {
        Doubt::Broken(error) => Some(error),
        Doubt::Missing { .. } => None,
    })
}

impl Files for KubeconfigFiles {
    type Content = Clusters;
    type Part = Kubeconfig;

    fn paths(&self) -> Vec<PathBuf> {
        self.paths.clone()
    }

    fn is_same(last: &Clusters, now: &Clusters) -> bool {
        is_same(last, now)
    }

    fn lacks(last: &Clusters, now: &Clusters) -> bool {
        lacks(last, now)
    }

    fn read(&self, known: &mut Known<Kubeconfig>, now: Instant) -> Result<Found<Clusters>, SourceError> {
        let Found { content: kubeconfig, doubts } = self.merged(known, now)?;
        let declared = contexts(&kubeconfig).filter(|context| self.includes(context)).map(|context| {
            let config = ClusterConfig::from_kubeconfig(&kubeconfig, context).with_policy(self.policy);
            let checked = config.validate().map_err(SourceError::from).map(|()| config);
            (NamespacedName::cluster_scoped(context), checked)
        });
        Ok(Found { content: declared.collect(), doubts })
    }
}

/// The contexts of kubeconfig files as one kubeconfig, for what names contexts itself.
pub(crate) struct Merged(pub(crate) KubeconfigFiles);

impl Files for Merged {
    type Content = Kubeconfig;
    type Part = Kubeconfig;

    fn paths(&self) -> Vec<PathBuf> {
        self.0.paths.clone()
    }

    fn read(&self, known: &mut Known<Kubeconfig>, now: Instant) -> Result<Found<Kubeconfig>, SourceError> {
        let mut merged = self.0.merged(known, now)?;
        merged.content.contexts.retain(|context| self.0.includes(&context.name));
        Ok(merged)
    }

    fn is_same(last: &Kubeconfig, now: &Kubeconfig) -> bool {
        let text = |kubeconfig| serde_json::to_value(kubeconfig).ok();
        text(last).is_some_and(|last| Some(last) == text(now))
    }

    fn lacks(last: &Kubeconfig, now: &Kubeconfig) -> bool {
        contexts(last).any(|context| !contexts(now).any(|other| other == context))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use clientmgr_kube::NamespacedName;
    use tokio::time::Instant;

    use super::super::known::{Doubt, GRACE};
    use super::{Files, Known, KubeconfigFiles};

    fn kubeconfig(contexts: &[&str]) -> String {
        let contexts: Vec<_> =
            contexts.iter().map(|name| format!("{{name: {name:?}, context: {{cluster: c, user: u}}}}")).collect();
        format!(
            "contexts: [{}]\nclusters: [{{name: c, cluster: {{server: 'https://c'}}}}]\nusers: [{{name: u, user: {{token: t}}}}]",
            contexts.join(", ")
        )
    }

    fn names(files: &KubeconfigFiles) -> Result<Vec<String>, String> {
        let read = files.read(&mut Known::default(), Instant::now()).map_err(|error| error.to_string())?;
        Ok(read
            .content
            .into_iter()
            .map(|(cluster, config)| format!("{cluster}{}", if config.is_ok() { "" } else { "!" }))
            .collect())
    }

    fn write(directory: &Path, name: &str, text: &str) -> std::path::PathBuf {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn contexts_are_selected_by_name_or_pattern() {
        let directory = tempfile::tempdir().unwrap();
        let arn = "arn:aws:eks:eu-west-1:1:cluster/prod";
        let path = write(directory.path(), "a", &kubeconfig(&["prod-1", "prod-2", "staging", arn]));
        let all = || KubeconfigFiles::new([&path]);
        assert_eq!(names(&all()).unwrap(), ["prod-1", "prod-2", "staging", arn]);
        let some = all().contexts("prod-?").unwrap().contexts("staging").unwrap();
        assert_eq!(names(&some).unwrap(), ["prod-1", "prod-2", "staging"]);
        assert_eq!(names(&all().contexts("arn:*prod").unwrap()).unwrap(), [arn]);
        assert_eq!(names(&all().contexts("nothing").unwrap()).unwrap(), [""; 0]);
        assert!(all().contexts("[").is_err());
    }

    #[test]
    fn several_files_are_merged_and_missing_ones_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (write(directory.path(), "a", &kubeconfig(&["one"])), directory.path().join("b"));
        let files = KubeconfigFiles::new([&b, &a]);
        assert_eq!(names(&files).unwrap(), ["one"]);
        write(directory.path(), "b", &kubeconfig(&["two"]));
        assert_eq!(names(&files).unwrap(), ["two", "one"]);
        let error = names(&KubeconfigFiles::new([directory.path().join("c")])).unwrap_err();
        assert!(error.ends_with("/c\" cannot be read"), "{error}");
    }

    #[test]
    fn an_empty_or_broken_file_is_an_error_of_the_source_and_a_broken_context_of_its_cluster() {
        let directory = tempfile::tempdir().unwrap();
        let a = write(directory.path(), "a", "");
        let files = KubeconfigFiles::new([&a]);
        assert!(names(&files).unwrap_err().contains("/a\" is empty"));
        write(directory.path(), "a", "contexts: [");
        assert!(names(&files).unwrap_err().contains("is not valid"));
        write(directory.path(), "a", &kubeconfig(&["one"]).replace("cluster: c,", "cluster: d,"));
        assert_eq!(names(&files).unwrap(), ["one!"]);
        write(directory.path(), "a", "contexts: []");
        assert_eq!(names(&files).unwrap(), [""; 0], "no contexts are no error");
    }

    #[test]
    fn a_file_that_is_missing_or_broken_counts_as_it_was_last_read() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (directory.path().join("a"), directory.path().join("b"));
        let (source, mut known, now) = (KubeconfigFiles::new([&b, &a]), Known::default(), Instant::now());
        let mut look = |now| {
            source.read(&mut known, now).map(|found| {
                let token = |cluster: &str| {
                    let key = NamespacedName::cluster_scoped(cluster);
                    found.content.iter().find(|(it, _)| *it == key).map(|(_, config)| config.clone().unwrap())
                };
                let broken = found.doubts.iter().filter(|doubt| matches!(doubt, Doubt::Broken(_))).count();
                (token("one"), token("two"), broken, found.doubts.len())
            })
        };
        // Both files name the cluster c and the user u: the first file counts, also for the contexts of the second.
        write(directory.path(), "a", &kubeconfig(&["one"]).replace("https://c", "https://other"));
        write(directory.path(), "b", &kubeconfig(&["two"]));
        let (one, two, ..) = look(now).unwrap();
        fs::remove_file(&b).unwrap();
        assert_eq!(look(now).unwrap(), (one.clone(), two.clone(), 0, 1));
        fs::write(&b, "").unwrap();
        assert_eq!(look(now + GRACE * 2).unwrap(), (one.clone(), two.clone(), 1, 1));
        // A change of the other file has its effect.
        write(directory.path(), "a", &kubeconfig(&["three"]));
        assert_eq!(look(now + GRACE * 2).unwrap(), (None, two, 1, 1));
        fs::write(&a, "").unwrap();
        assert!(look(now + GRACE * 2).is_err(), "no file can be used");
        write(directory.path(), "a", &kubeconfig(&["one"]).replace("https://c", "https://other"));
        fs::remove_file(&b).unwrap();
        look(now + GRACE * 2).unwrap();
        let (other, gone, ..) = look(now + GRACE * 3).unwrap();
        assert!(other.is_some_and(|other| Some(&other) != one.as_ref()) && gone.is_none());
        // It comes back without content, after its grace time.
        fs::write(&b, "").unwrap();
        let (other, gone, broken, doubts) = look(now + GRACE * 3).unwrap();
        assert!(other.is_some() && gone.is_none() && (broken, doubts) == (1, 1));
    }

    #[test]
    fn a_file_that_was_never_usable_is_an_error_and_the_contexts_of_the_others_are_served() {
        let directory = tempfile::tempdir().unwrap();
        let a = write(directory.path(), "a", &kubeconfig(&["one"]));
        let b = write(directory.path(), "b", "");
        for paths in [[&a, &b], [&b, &a]] {
            let (source, mut known, now) = (KubeconfigFiles::new(paths), Known::default(), Instant::now());
            let found = source.read(&mut known, now).unwrap();
            assert!(matches!(&found.doubts[..], [Doubt::Broken(error)] if error.to_string().contains("/b\" is empty")));
            assert_eq!(found.content.len(), 1);
            // It comes, and changes.
            fs::write(&a, kubeconfig(&["one", "two"])).unwrap();
            assert_eq!(source.read(&mut known, now).unwrap().content.len(), 2);
            fs::write(&a, kubeconfig(&["one"])).unwrap();
        }
    }
}
