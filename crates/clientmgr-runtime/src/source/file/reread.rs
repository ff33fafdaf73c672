//! Reading files again when they change. Directories are watched, because files are replaced and symbolic links swapped;
//! the files are read every minute too, since network file systems report nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clientmgr_kube::{ClusterConfig, NamespacedName};
use futures::stream::{self, Stream, StreamExt as _};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::source::error::SourceError;
use crate::source::event::SourceEvent;

/// How long the files are left alone after a report: a swap is several changes, and a file is written in pieces.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// How often they are read without a report.
const POLL: Duration = Duration::from_secs(60);

/// How long a file that names less than before is left alone until it is believed: editors and mounts remove what they
/// write again a moment later.
const DOUBT: Duration = Duration::from_secs(2);

/// How long reading them may take until the source says that it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The clusters that files declare.
pub(super) type Clusters = Vec<(NamespacedName, Result<ClusterConfig, SourceError>)>;

/// What is read.
pub(crate) trait Files: Send + Sync + 'static {
    /// What they hold.
    type Content: Send + Sync + 'static;

    /// Returns the paths whose directories are watched. Blocks.
    fn paths(&self) -> Vec<PathBuf>;

    /// Reads them. Blocks.
    fn read(&self) -> Result<Self::Content, SourceError>;

    /// Returns whether two contents say the same.
    fn is_same(last: &Self::Content, now: &Self::Content) -> bool;

    /// Returns whether something is gone.
    fn lacks(_last: &Self::Content, _now: &Self::Content) -> bool {
        false
    }
}

/// Returns the source of the clusters that `files` declare, read again after each change.
pub(super) fn clusters(files: impl Files<Content = Clusters>) -> impl Stream<Item = SourceEvent> + Send + 'static {
    reread(files).flat_map(|read| {
        let events = match read {
            Ok(clusters) => {
                let upserts = clusters.iter().cloned().map(|(cluster, config)| SourceEvent::upsert(cluster, config));
                [SourceEvent::Restarted].into_iter().chain(upserts).chain([SourceEvent::Synced]).collect::<Vec<_>>()
            }
            Err(error) => vec![SourceEvent::Failed(error)],
        };
        stream::iter(events)
    })
}

/// Returns what `files` hold, again after each change, and each time that they cannot be read.
pub(crate) fn reread<F: Files>(files: F) -> impl Stream<Item = Result<Arc<F::Content>, SourceError>> + Send + 'static {
    let reported = Arc::new(Notify::new());
    let rereading = Rereading {
        files: Arc::new(files),
        watches: Some(Watches::new(Arc::clone(&reported))),
        reported,
        reading: None,
        last: None,
        wait: Duration::ZERO,
    };
    stream::unfold(rereading, |mut rereading| async move { Some((rereading.next().await, rereading)) })
}

type Read<F> = (Watches, Result<<F as Files>::Content, SourceError>);

struct Rereading<F: Files> {
    files: Arc<F>,
    /// None while they are with the thread that reads.
    watches: Option<Watches>,
    reported: Arc<Notify>,
    /// A reading that hangs. No other one is begun.
    reading: Option<JoinHandle<Read<F>>>,
    /// What was read last. None after an error: whatever is read next says that the files are well again.
    last: Option<Arc<F::Content>>,
    /// How long to wait for a report.
    wait: Duration,
}

impl<F: Files> Rereading<F> {
    async fn next(&mut self) -> Result<Arc<F::Content>, SourceError> {
        loop {
            if let Some(reading) = self.reading.take() {
                let read = reading.await;
                if let Some(read) = self.finish(read) {
                    return read;
                }
                continue;
            }
            if timeout(self.wait, self.reported.notified()).await.is_ok() {
                sleep(DEBOUNCE).await;
            }
            let is_doubtful = self.wait == DOUBT;
            self.wait = POLL;
            let (files, watches) = (Arc::clone(&self.files), self.watches.take());
            let reported = Arc::clone(&self.reported);
            let mut reading = spawn_blocking(move || {
                let mut watches = watches.unwrap_or_else(|| Watches::new(reported));
                // The directories first: what changes after they are watched is reported.
                watches.watch(&files.paths());
                (watches, files.read())
            });
            let Ok(read) = timeout(PATIENCE, &mut reading).await else {
                self.reading = Some(reading);
                self.last = None;
                return Err(SourceError::FilesHang { deadline: PATIENCE });
            };
            if !is_doubtful
                && let (Ok((_, Ok(now))), Some(last)) = (&read, &self.last)
                && F::lacks(last, now)
            {
                self.wait = DOUBT;
                self.watches = read.ok().map(|(watches, _)| watches);
                continue;
            }
            if let Some(read) = self.finish(read) {
                return read;
            }
        }
    }

    /// Returns what is new.
    fn finish(&mut self, read: Result<Read<F>, JoinError>) -> Option<Result<Arc<F::Content>, SourceError>> {
        let read = read.map_err(|_| SourceError::Panicked).and_then(|(watches, read)| {
            self.watches = Some(watches);
            read
        });
        match read {
            Ok(now) if self.last.as_ref().is_some_and(|last| F::is_same(last, &now)) => None,
            Ok(now) => Some(Ok(Arc::clone(self.last.insert(Arc::new(now))))),
            Err(error) => {
                self.last = None;
                Some(Err(error))
            }
        }
    }
}

/// Returns whether two readings declare the same.
pub(super) fn is_same(last: &Clusters, now: &Clusters) -> bool {
    let same =
        |(last, now): (&Result<ClusterConfig, SourceError>, &Result<ClusterConfig, SourceError>)| match (last, now) {
            (Ok(last), Ok(now)) => last == now,
            (Err(last), Err(now)) => last.to_string() == now.to_string(),
            _ => false,
        };
    last.len() == now.len() && last.iter().zip(now).all(|(last, now)| last.0 == now.0 && same((&last.1, &now.1)))
}

/// Returns whether a cluster is gone.
pub(super) fn lacks(last: &Clusters, now: &Clusters) -> bool {
    let now: BTreeSet<_> = now.iter().map(|(cluster, _)| cluster).collect();
    last.iter().any(|(cluster, _)| !now.contains(cluster))
}

/// The directories that are watched.
struct Watches {
    /// None where the system gives no watcher: the files are read every minute then.
    watcher: Option<RecommendedWatcher>,
    directories: BTreeSet<PathBuf>,
}

impl Watches {
    fn new(reported: Arc<Notify>) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading is no change, and it is what a report leads to.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                reported.notify_one();
            }
        });
        let watcher = watcher.inspect_err(|error| tracing::debug!(%error, "files are read every minute")).ok();
        Self { watcher, directories: BTreeSet::new() }
    }

    /// Watches the directories that `paths` are in by now. Blocks.
    fn watch(&mut self, paths: &[PathBuf]) {
        let Some(watcher) = &mut self.watcher else { return };
        let directories: BTreeSet<_> = paths.iter().flat_map(|path| directories(path)).collect();
        for gone in self.directories.difference(&directories) {
            // Fails where the directory is gone, and its watch with it.
            let _ = watcher.unwatch(gone);
        }
        for directory in &directories {
            // Each time: one that was removed and made again has lost its watch.
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                tracing::debug!(%error, "a directory cannot be watched: its files are read every minute");
            }
        }
        self.directories = directories;
    }
}

/// The directory of `path`, and of what it is a link to; the nearest one that exists, in which the next one would appear.
fn directories(path: &Path) -> Vec<PathBuf> {
    let target = fs::canonicalize(path).ok();
    let parents = [Some(path), target.as_deref()].into_iter().flatten().filter_map(Path::parent);
    let parents = parents.map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    parents.filter_map(|parent| parent.ancestors().find(|it| it.is_dir())).map(Path::to_owned).collect()
}

/// Whether there is something in the file at `path`: an empty one is being written.
pub(super) fn not_empty(path: &Path) -> Result<(), SourceError> {
    let metadata = fs::metadata(path);
    let metadata = metadata.map_err(|error| SourceError::File { path: path.to_owned(), source: error.into() })?;
    if metadata.is_file() && metadata.len() == 0 {
        Err(SourceError::EmptyFile { path: path.to_owned() })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::{Mutex, mpsc};

    use clientmgr_kube::ClusterConfig;
    use clientmgr_kube::kube::config::Kubeconfig;
    use futures::{FutureExt, StreamExt};
    use tokio::time::Instant;

    use super::{Clusters, DOUBT, Files, PATIENCE, POLL, clusters, is_same, lacks, reread};
    use crate::source::{SourceError, SourceEvent};

    /// Files whose reading waits for what it returns.
    struct Script(Mutex<mpsc::Receiver<Clusters>>);

    impl Files for Script {
        type Content = Clusters;

        fn paths(&self) -> Vec<PathBuf> {
            Vec::new()
        }

        fn read(&self) -> Result<Clusters, SourceError> {
            // Without a sender the test has failed.
            Ok(self.0.lock().unwrap().recv().unwrap_or_default())
        }

        fn is_same(last: &Clusters, now: &Clusters) -> bool {
            is_same(last, now)
        }

        fn lacks(last: &Clusters, now: &Clusters) -> bool {
            lacks(last, now)
        }
    }

    fn of(names: &[&str]) -> Clusters {
        let config = |name: &str| ClusterConfig::from_kubeconfig(&Kubeconfig::default(), name);
        names.iter().map(|name| ((*name).into(), Ok(config(name)))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_that_hangs_is_an_error_until_it_ends() {
        let (let_go, hangs) = mpsc::channel();
        let mut events = Box::pin(clusters(Script(Mutex::new(hangs))));
        assert!(events.next().now_or_never().is_none(), "it is being read");
        tokio::time::advance(PATIENCE).await;
        assert!(matches!(events.next().await, Some(SourceEvent::Failed(SourceError::FilesHang { .. }))));
        assert!(events.next().now_or_never().is_none(), "no other reading is begun");
        let_go.send(of(&[])).unwrap();
        assert!(matches!(events.next().await, Some(SourceEvent::Restarted)));
        assert!(matches!(events.next().await, Some(SourceEvent::Synced)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_gone_is_believed_when_it_is_still_gone_a_moment_later() {
        let (send, script) = mpsc::channel();
        for names in [&["a", "b"][..], &["a"], &["a", "b"], &["a", "b", "c"], &["c"], &["c"]] {
            send.send(of(names)).unwrap();
        }
        let mut read = Box::pin(reread(Script(Mutex::new(script))));
        let mut next = async || {
            let read = read.next().await.unwrap().unwrap();
            read.iter().map(|(cluster, _)| cluster.to_string()).collect::<Vec<_>>().join(" ")
        };
        let began = Instant::now();
        assert_eq!(next().await, "a b");
        // Without b, and again with it: nothing was said.
        assert_eq!(next().await, "a b c");
        assert_eq!(began.elapsed(), POLL + DOUBT + POLL);
        assert_eq!(next().await, "c");
        assert_eq!(began.elapsed(), POLL + DOUBT + POLL + POLL + DOUBT);
    }
}
