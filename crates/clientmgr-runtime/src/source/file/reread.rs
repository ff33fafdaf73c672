//! Reading files again when they change. Directories are watched, because files are replaced and symbolic links swapped;
//! the files are read every minute too, since network file systems report nothing.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clientmgr_kube::{ClusterConfig, NamespacedName};
use futures::stream::{self, Stream};
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

/// How long reading them may take until the source says that it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The clusters that files declare.
pub(super) type Clusters = Vec<(NamespacedName, Result<ClusterConfig, SourceError>)>;

/// What is read.
pub(super) trait Files: Send + Sync + 'static {
    /// Returns the paths whose directories are watched. Blocks.
    fn paths(&self) -> Vec<PathBuf>;

    /// Reads the clusters. Blocks.
    fn read(&self) -> Result<Clusters, SourceError>;
}

/// Returns the source of what `files` declare, read again after each change.
pub(super) fn reread(files: impl Files) -> impl Stream<Item = SourceEvent> + Send + 'static {
    let reported = Arc::new(Notify::new());
    let rereading = Rereading {
        files: Arc::new(files),
        watches: Some(Watches::new(Arc::clone(&reported))),
        reported,
        reading: None,
        last: None,
        is_first: true,
        ready: VecDeque::new(),
    };
    stream::unfold(rereading, |mut rereading| async move { Some((rereading.next().await, rereading)) })
}

type Reading = JoinHandle<(Watches, Result<Clusters, SourceError>)>;

struct Rereading<F> {
    files: Arc<F>,
    /// None while they are with the thread that reads.
    watches: Option<Watches>,
    reported: Arc<Notify>,
    /// A reading that hangs. No other one is begun.
    reading: Option<Reading>,
    /// What was read last, as far as it could be.
    last: Option<Clusters>,
    is_first: bool,
    ready: VecDeque<SourceEvent>,
}

impl<F: Files> Rereading<F> {
    async fn next(&mut self) -> SourceEvent {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return event;
            }
            if let Some(reading) = self.reading.take() {
                let read = reading.await;
                self.finish(read);
                continue;
            }
            if !std::mem::take(&mut self.is_first) && timeout(POLL, self.reported.notified()).await.is_ok() {
                sleep(DEBOUNCE).await;
            }
            let (files, watches) = (Arc::clone(&self.files), self.watches.take());
            let reported = Arc::clone(&self.reported);
            let mut reading = spawn_blocking(move || {
                let mut watches = watches.unwrap_or_else(|| Watches::new(reported));
                // The directories first: what changes after they are watched is reported.
                watches.watch(&files.paths());
                (watches, files.read())
            });
            if let Ok(read) = timeout(PATIENCE, &mut reading).await {
                self.finish(read);
            } else {
                self.reading = Some(reading);
                self.take(Err(SourceError::FilesHang { deadline: PATIENCE }));
            }
        }
    }

    fn finish(&mut self, read: Result<(Watches, Result<Clusters, SourceError>), JoinError>) {
        match read {
            Ok((watches, read)) => {
                self.watches = Some(watches);
                self.take(read);
            }
            Err(_) => self.take(Err(SourceError::Panicked)),
        }
    }

    fn take(&mut self, read: Result<Clusters, SourceError>) {
        match read {
            Ok(clusters) => {
                if self.last.as_ref().is_some_and(|last| is_same(last, &clusters)) {
                    return;
                }
                self.ready.push_back(SourceEvent::Restarted);
                let upserts = clusters.iter().cloned();
                self.ready.extend(upserts.map(|(cluster, config)| SourceEvent::upsert(cluster, config)));
                self.ready.push_back(SourceEvent::Synced);
                self.last = Some(clusters);
            }
            Err(error) => {
                self.ready.push_back(SourceEvent::Failed(error));
                // Whatever is read next says that the source works again.
                self.last = None;
            }
        }
    }
}

fn is_same(last: &Clusters, now: &Clusters) -> bool {
    let same =
        |(last, now): (&Result<ClusterConfig, SourceError>, &Result<ClusterConfig, SourceError>)| match (last, now) {
            (Ok(last), Ok(now)) => last == now,
            (Err(last), Err(now)) => last.to_string() == now.to_string(),
            _ => false,
        };
    last.len() == now.len() && last.iter().zip(now).all(|(last, now)| last.0 == now.0 && same((&last.1, &now.1)))
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

    use futures::{FutureExt, StreamExt};

    use super::{Clusters, Files, PATIENCE, reread};
    use crate::source::{SourceError, SourceEvent};

    /// Files whose reading waits until it is let go.
    struct Hanging(Mutex<mpsc::Receiver<()>>);

    impl Files for Hanging {
        fn paths(&self) -> Vec<PathBuf> {
            Vec::new()
        }

        fn read(&self) -> Result<Clusters, SourceError> {
            // An error, too, is a way to be let go: of the test that failed.
            let _ = self.0.lock().unwrap().recv();
            Ok(Vec::new())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_that_hangs_is_an_error_until_it_ends() {
        let (let_go, hangs) = mpsc::channel();
        let mut events = Box::pin(reread(Hanging(Mutex::new(hangs))));
        assert!(events.next().now_or_never().is_none(), "it is being read");
        tokio::time::advance(PATIENCE).await;
        assert!(matches!(events.next().await, Some(SourceEvent::Failed(SourceError::FilesHang { .. }))));
        assert!(events.next().now_or_never().is_none(), "no other reading is begun");
        let_go.send(()).unwrap();
        assert!(matches!(events.next().await, Some(SourceEvent::Restarted)));
        assert!(matches!(events.next().await, Some(SourceEvent::Synced)));
    }
}
