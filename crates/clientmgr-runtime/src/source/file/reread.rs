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
use tokio::time::{Instant, sleep, timeout};

use crate::source::error::SourceError;
use crate::source::event::SourceEvent;

/// How long the files are left alone after a report: a swap is several changes, and a file is written in pieces.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// How often they are read without a report.
const POLL: Duration = Duration::from_secs(60);

/// How long a file that names less than before is left alone until it is believed: editors and mounts remove what they
/// write again a moment later.
const DOUBT: Duration = Duration::from_secs(2);

/// How long a file that is missing, or a directory without files, is an error until its clusters count as gone: a file system
/// may be mounted again.
const GRACE: Duration = Duration::from_secs(60);

/// How long reading them may take until the source says that it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The clusters that files declare.
pub(super) type Clusters = Vec<(NamespacedName, Result<ClusterConfig, SourceError>)>;

/// What a reading found.
pub(crate) struct Found<C> {
    pub(crate) content: C,
    /// The files that are missing, or a directory without files, though the rest could be read.
    pub(crate) absent: BTreeSet<PathBuf>,
}

/// What is read.
pub(crate) trait Files: Send + Sync + 'static {
    /// What they hold.
    type Content: Send + Sync + 'static;

    /// Returns the paths whose directories are watched. Blocks.
    fn paths(&self) -> Vec<PathBuf>;

    /// Reads them. Blocks.
    fn read(&self) -> Result<Found<Self::Content>, SourceError>;

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
    let rereading = rereading(files);
    stream::unfold(rereading, |mut rereading| async move { Some((rereading.next().await, rereading)) })
}

fn rereading<F: Files>(files: F) -> Rereading<F> {
    let reported = Arc::new(Notify::new());
    Rereading {
        files: Arc::new(files),
        watches: Some(Watches::new(Arc::clone(&reported))),
        reported,
        reading: None,
        last: None,
        absent: BTreeSet::new(),
        is_failing: false,
        less_since: None,
        is_absent: false,
        wait: Duration::ZERO,
    }
}

type Read<F> = (Watches, Result<Found<<F as Files>::Content>, SourceError>);

struct Rereading<F: Files> {
    files: Arc<F>,
    /// None while they are with the thread that reads.
    watches: Option<Watches>,
    reported: Arc<Notify>,
    /// A reading that hangs. No other one is begun.
    reading: Option<JoinHandle<Read<F>>>,
    /// What was returned last.
    last: Option<Arc<F::Content>>,
    /// What was absent in the last reading that was believed. Nothing is expected of it.
    absent: BTreeSet<PathBuf>,
    /// An error was returned since: whatever is read next says that the files are well again.
    is_failing: bool,
    /// Since when the files name less than `last`.
    less_since: Option<Instant>,
    /// That a file is absent was returned since then.
    is_absent: bool,
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
                self.is_failing = true;
                self.settle();
                return Err(SourceError::FilesHang { deadline: PATIENCE });
            };
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
            Ok(found) if let Some(passed) = self.doubt(&found) => {
                let path = self.lost(&found).filter(|_| passed >= DOUBT && !self.is_absent)?.clone();
                (self.is_failing, self.is_absent) = (true, true);
                Some(Err(SourceError::Absent { path, grace: GRACE }))
            }
            Ok(Found { content, absent }) => {
                self.absent = absent;
                let was_failing = std::mem::take(&mut self.is_failing);
                let is_same = self.last.as_ref().is_some_and(|last| F::is_same(last, &content));
                (was_failing || !is_same).then(|| Ok(Arc::clone(self.last.insert(Arc::new(content)))))
            }
            Err(error) => {
                self.is_failing = true;
                self.settle();
                Some(Err(error))
            }
        }
    }

    /// Returns what is absent and was not before.
    fn lost<'f>(&self, found: &'f Found<F::Content>) -> Option<&'f PathBuf> {
        found.absent.iter().find(|path| !self.absent.contains(*path))
    }

    /// Nothing is doubtful, or it is not known what is: then the time begins anew.
    fn settle(&mut self) {
        (self.less_since, self.is_absent) = (None, false);
    }

    /// Returns for how long something has been gone, where that is not believed yet. Sets when to look again.
    fn doubt(&mut self, found: &Found<F::Content>) -> Option<Duration> {
        if !self.last.as_ref().is_some_and(|last| F::lacks(last, &found.content)) {
            self.settle();
            return None;
        }
        let passed = self.less_since.get_or_insert_with(Instant::now).elapsed();
        let until = if passed >= DOUBT && self.lost(found).is_some() { GRACE } else { DOUBT };
        let Some(left) = until.checked_sub(passed).filter(|left| !left.is_zero()) else {
            self.settle();
            return None;
        };
        self.wait = left;
        Some(passed)
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
    use std::collections::BTreeSet;
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex, mpsc};

    use clientmgr_kube::ClusterConfig;
    use clientmgr_kube::kube::config::Kubeconfig;
    use futures::{FutureExt, StreamExt};
    use tokio::time::Instant;

    use super::{
        Clusters, DEBOUNCE, DOUBT, Files, Found, GRACE, PATIENCE, POLL, clusters, is_same, lacks, reread, rereading,
    };
    use crate::source::{SourceError, SourceEvent};

    /// Files whose reading waits for what it returns.
    struct Script(Mutex<mpsc::Receiver<Result<Found<Clusters>, SourceError>>>);

    impl Files for Script {
        type Content = Clusters;

        fn paths(&self) -> Vec<PathBuf> {
            Vec::new()
        }

        fn read(&self) -> Result<Found<Clusters>, SourceError> {
            // Without a sender the test has failed.
            self.0.lock().unwrap().recv().unwrap_or_else(|_| Ok(of(&[])))
        }

        fn is_same(last: &Clusters, now: &Clusters) -> bool {
            is_same(last, now)
        }

        fn lacks(last: &Clusters, now: &Clusters) -> bool {
            lacks(last, now)
        }
    }

    fn of(names: &[&str]) -> Found<Clusters> {
        let config = |name: &str| ClusterConfig::from_kubeconfig(&Kubeconfig::default(), name);
        Found {
            content: names.iter().map(|name| ((*name).into(), Ok(config(name)))).collect(),
            absent: BTreeSet::new(),
        }
    }

    /// As `of`, while a file is missing.
    fn without_file(names: &[&str]) -> Found<Clusters> {
        Found { absent: BTreeSet::from(["b.yaml".into()]), ..of(names) }
    }

    fn names(read: Option<Result<Arc<Clusters>, SourceError>>) -> String {
        let read = read.unwrap().unwrap();
        read.iter().map(|(cluster, _)| cluster.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_that_hangs_is_an_error_until_it_ends() {
        let (let_go, hangs) = mpsc::channel();
        let mut events = Box::pin(clusters(Script(Mutex::new(hangs))));
        assert!(events.next().now_or_never().is_none(), "it is being read");
        tokio::time::advance(PATIENCE).await;
        assert!(matches!(events.next().await, Some(SourceEvent::Failed(SourceError::FilesHang { .. }))));
        assert!(events.next().now_or_never().is_none(), "no other reading is begun");
        let_go.send(Ok(of(&[]))).unwrap();
        assert!(matches!(events.next().await, Some(SourceEvent::Restarted)));
        assert!(matches!(events.next().await, Some(SourceEvent::Synced)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_gone_is_believed_when_it_is_still_gone_a_moment_later() {
        let (send, script) = mpsc::channel();
        for names in [&["a", "b"][..], &["a"], &["a", "b"], &["a", "b", "c"], &["c"], &["c"]] {
            send.send(Ok(of(names))).unwrap();
        }
        let mut read = Box::pin(reread(Script(Mutex::new(script))));
        let mut next = async || names(read.next().await);
        let began = Instant::now();
        assert_eq!(next().await, "a b");
        // Without b, and again with it: nothing was said.
        assert_eq!(next().await, "a b c");
        assert_eq!(began.elapsed(), POLL + DOUBT + POLL);
        assert_eq!(next().await, "c");
        assert_eq!(began.elapsed(), POLL + DOUBT + POLL + POLL + DOUBT);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_missing_file_named_is_kept_with_an_error_for_a_grace_time_and_is_then_gone() {
        let (send, script) = mpsc::channel();
        // Missing for a moment, missing for longer, and missing for good.
        let readings = [of(&["a", "b"]), without_file(&["a"]), of(&["a", "b"])];
        let longer = [without_file(&["a"]), without_file(&["a"]), of(&["a", "b"])];
        let for_good = [without_file(&["a"]), without_file(&["a"]), without_file(&["a"]), without_file(&["a"])];
        for reading in readings.into_iter().chain(longer).chain(for_good) {
            send.send(Ok(reading)).unwrap();
        }
        let mut read = Box::pin(reread(Script(Mutex::new(script))));
        let is_absent = |read: Option<Result<Arc<Clusters>, SourceError>>| {
            matches!(read, Some(Err(SourceError::Absent { grace: GRACE, .. })))
        };
        let began = Instant::now();
        assert_eq!(names(read.next().await), "a b");
        assert!(is_absent(read.next().await));
        assert_eq!(began.elapsed(), POLL + DOUBT + POLL + DOUBT, "the file that was missing for a moment is not named");
        assert_eq!(names(read.next().await), "a b", "the error is over");
        let began = Instant::now();
        assert!(is_absent(read.next().await));
        assert_eq!(began.elapsed(), POLL + DOUBT);
        assert_eq!(names(read.next().await), "a");
        assert_eq!(began.elapsed(), POLL + GRACE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_gone_after_an_error_is_not_believed_for_the_time_of_the_error() {
        let (send, script) = mpsc::channel();
        let broken = Err(SourceError::Panicked);
        for reading in [Ok(of(&["a", "b"])), Ok(of(&["a"])), broken, Ok(of(&["a"])), Ok(of(&["a"]))] {
            send.send(reading).unwrap();
        }
        let mut read = Box::pin(reread(Script(Mutex::new(script))));
        assert_eq!(names(read.next().await), "a b");
        let began = Instant::now();
        assert!(matches!(read.next().await, Some(Err(SourceError::Panicked))));
        assert_eq!(began.elapsed(), POLL + DOUBT);
        assert_eq!(names(read.next().await), "a");
        assert_eq!(began.elapsed(), POLL + DOUBT + POLL + DOUBT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_was_missing_before_gives_what_is_gone_no_grace_time() {
        let (send, script) = mpsc::channel();
        for reading in [without_file(&["a", "b"]), without_file(&["a"]), without_file(&["a"])] {
            send.send(Ok(reading)).unwrap();
        }
        let mut read = Box::pin(reread(Script(Mutex::new(script))));
        assert_eq!(names(read.next().await), "a b");
        let began = Instant::now();
        assert_eq!(names(read.next().await), "a");
        assert_eq!(began.elapsed(), POLL + DOUBT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_while_something_is_doubtful_does_not_make_it_believed() {
        let (send, script) = mpsc::channel();
        for reading in [of(&["a", "b"]), of(&["a"]), of(&["a"]), of(&["a"])] {
            send.send(Ok(reading)).unwrap();
        }
        let mut rereading = rereading(Script(Mutex::new(script)));
        assert!(rereading.next().await.is_ok());
        let began = Instant::now();
        let reports = Arc::clone(&rereading.reported);
        // A report for the first look, and one that follows at once.
        reports.notify_one();
        let again = async {
            tokio::time::sleep(DEBOUNCE * 2).await;
            reports.notify_one();
        };
        let (read, ()) = tokio::join!(rereading.next(), again);
        assert_eq!(names(Some(read)), "a");
        assert_eq!(began.elapsed(), DEBOUNCE + DOUBT);
    }
}
