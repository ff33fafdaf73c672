//! Reading files again when they change. Directories are watched, because files are replaced and symbolic links swapped;
//! the files are read every minute too, since network file systems report nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt as _};
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};

use super::content::Clusters;
use super::directories::Watches;
use super::known::{Doubt, GRACE, Known};
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

/// What a reading found.
pub(crate) struct Found<C> {
    pub(crate) content: C,
    /// Why parts of it are what the files held before.
    pub(crate) doubts: Vec<Doubt>,
}

/// What is read.
pub(crate) trait Files: Send + Sync + 'static {
    /// What they hold.
    type Content: Send + Sync + 'static;
    /// What one of them holds.
    type Part: Clone + Send + 'static;

    /// Returns the paths whose directories are watched. Blocks.
    fn paths(&self) -> Vec<PathBuf>;

    /// Reads them at `now`. A file that is missing or broken may count as it is `known`. Blocks.
    fn read(&self, known: &mut Known<Self::Part>, now: Instant) -> Result<Found<Self::Content>, SourceError>;

    /// Returns whether two contents say the same.
    fn is_same(last: &Self::Content, now: &Self::Content) -> bool;

    /// Returns whether something is gone.
    fn lacks(_last: &Self::Content, _now: &Self::Content) -> bool {
        false
    }
}

/// What a reading says that was not said before.
#[derive(Debug)]
pub(crate) enum News<C> {
    /// The files hold this.
    Read(Arc<C>),
    /// The files hold this, and what is missing or broken keeps its last valid content.
    Partly(Arc<C>, SourceError),
    /// They cannot be read.
    Failed(SourceError),
}

/// Returns the source of the clusters that `files` declare, read again after each change.
pub(super) fn clusters(files: impl Files<Content = Clusters>) -> impl Stream<Item = SourceEvent> + Send + 'static {
    let upserts = |clusters: &Clusters| -> Vec<_> {
        clusters.iter().cloned().map(|(cluster, config)| SourceEvent::upsert(cluster, config)).collect()
    };
    reread(files).flat_map(move |news| {
        let events = match news {
            News::Read(clusters) => {
                [vec![SourceEvent::Restarted], upserts(&clusters), vec![SourceEvent::Synced]].concat()
            }
            // No list of all: what is gone waits until all files are well.
            News::Partly(clusters, error) => [upserts(&clusters), vec![SourceEvent::Failed(error)]].concat(),
            News::Failed(error) => vec![SourceEvent::Failed(error)],
        };
        stream::iter(events)
    })
}

/// Returns what `files` hold, again after each change, and each time that one of them cannot be read.
pub(crate) fn reread<F: Files>(files: F) -> impl Stream<Item = News<F::Content>> + Send + 'static {
    rereading(files).into_stream()
}

fn rereading<F: Files>(files: F) -> Rereading<F> {
    let reported = Arc::new(Notify::new());
    Rereading {
        files: Arc::new(files),
        lent: Some((Watches::new(Arc::clone(&reported)), Known::default())),
        reported,
        reading: None,
        last: None,
        is_failing: false,
        less_since: None,
        wait: Duration::ZERO,
    }
}

/// What the thread that reads has meanwhile.
type Lent<F> = (Watches, Known<<F as Files>::Part>);
type Read<F> = (Lent<F>, Result<Found<<F as Files>::Content>, SourceError>);

struct Rereading<F: Files> {
    files: Arc<F>,
    /// None while the thread that reads has it.
    lent: Option<Lent<F>>,
    reported: Arc<Notify>,
    /// A reading that hangs. No other one is begun.
    reading: Option<JoinHandle<Read<F>>>,
    /// What was returned last.
    last: Option<Arc<F::Content>>,
    /// An error was returned since: whatever is read next says that the files are well again.
    is_failing: bool,
    /// Since when the files name less than `last`.
    less_since: Option<Instant>,
    /// How long to wait for a report.
    wait: Duration,
}

impl<F: Files> Rereading<F> {
    fn into_stream(self) -> impl Stream<Item = News<F::Content>> + Send + 'static {
        stream::unfold(self, |mut rereading| async move { Some((rereading.next().await, rereading)) })
    }

    async fn next(&mut self) -> News<F::Content> {
        loop {
            if let Some(reading) = self.reading.take() {
                let read = reading.await;
                let news = self.finish(read);
                self.restart();
                if let Some(news) = news {
                    return news;
                }
                continue;
            }
            if timeout(self.wait, self.reported.notified()).await.is_ok() {
                sleep(DEBOUNCE).await;
            }
            self.wait = POLL;
            let (files, lent, now) = (Arc::clone(&self.files), self.lent.take(), Instant::now());
            let reported = Arc::clone(&self.reported);
            let mut reading = spawn_blocking(move || {
                let (mut watches, mut known) = lent.unwrap_or_else(|| (Watches::new(reported), Known::default()));
                // The directories first: what changes after they are watched is reported.
                watches.watch(&files.paths());
                let read = files.read(&mut known, now);
                ((watches, known), read)
            });
            let Ok(read) = timeout(PATIENCE, &mut reading).await else {
                self.reading = Some(reading);
                self.is_failing = true;
                return News::Failed(SourceError::FilesHang { deadline: PATIENCE });
            };
            if let Some(news) = self.finish(read) {
                return news;
            }
        }
    }

    /// Returns what is new.
    fn finish(&mut self, read: Result<Read<F>, JoinError>) -> Option<News<F::Content>> {
        let read = read.map_err(|_| SourceError::Panicked).and_then(|(lent, read)| {
            self.lent = Some(lent);
            read
        });
        let Found { content, doubts } = match read {
            Ok(found) => found,
            Err(error) => {
                self.restart();
                self.is_failing = true;
                return Some(News::Failed(error));
            }
        };
        let error = doubts.into_iter().filter_map(|doubt| self.error_of(doubt)).reduce(|first, _| first);
        if self.is_doubtful(&content) {
            return None;
        }
        let was_failing = std::mem::replace(&mut self.is_failing, error.is_some());
        if error.is_none() && !was_failing && self.last.as_ref().is_some_and(|last| F::is_same(last, &content)) {
            return None;
        }
        let content = Arc::clone(self.last.insert(Arc::new(content)));
        Some(match error {
            Some(error) => News::Partly(content, error),
            None => News::Read(content),
        })
    }

    /// Nothing could be seen until now: what is missing or gone is so from now on.
    fn restart(&mut self) {
        self.less_since = None;
        if let Some((_, known)) = &mut self.lent {
            known.restart();
        }
    }

    /// Returns the error of a file that keeps its last valid content; none for a moment in which it is missing, unless an error
    /// is shown already. Sets when to look again.
    fn error_of(&mut self, doubt: Doubt) -> Option<SourceError> {
        match doubt {
            Doubt::Broken(error) => Some(error),
            Doubt::Missing { path, since } => {
                let passed = since.elapsed();
                let until = if passed < DOUBT { DOUBT } else { GRACE };
                self.wait = self.wait.min(until.saturating_sub(passed));
                (passed >= DOUBT || self.is_failing).then_some(SourceError::Absent { path, grace: GRACE })
            }
        }
    }

    /// Returns whether something has been gone for a moment only. Sets when to look again.
    fn is_doubtful(&mut self, content: &F::Content) -> bool {
        if !self.last.as_ref().is_some_and(|last| F::lacks(last, content)) {
            self.less_since = None;
            return false;
        }
        let passed = self.less_since.get_or_insert_with(Instant::now).elapsed();
        let left = DOUBT.saturating_sub(passed);
        if left.is_zero() {
            self.less_since = None;
            return false;
        }
        self.wait = self.wait.min(left);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::{Arc, Mutex, mpsc};

    use clientmgr_kube::ClusterConfig;
    use clientmgr_kube::kube::config::Kubeconfig;
    use futures::{FutureExt, StreamExt};
    use tokio::time::Instant;

    use super::super::content::{is_same, lacks};
    use super::{
        Clusters, DEBOUNCE, DOUBT, Files, Found, GRACE, Known, News, PATIENCE, POLL, clusters, reread, rereading,
    };
    use crate::source::{SourceError, SourceEvent};

    /// What the files `a` and `b` hold: the names of clusters; none where a file is missing.
    type Reading = [Option<&'static [&'static str]>; 2];

    /// Files whose reading waits for what it returns.
    struct Script(Mutex<mpsc::Receiver<Result<Reading, SourceError>>>);

    impl Files for Script {
        type Content = Clusters;
        type Part = &'static [&'static str];

        fn paths(&self) -> Vec<PathBuf> {
            Vec::new()
        }

        fn read(&self, known: &mut Known<Self::Part>, now: Instant) -> Result<Found<Clusters>, SourceError> {
            // Without a sender the test has failed.
            let files = self.0.lock().unwrap().recv().unwrap_or_else(|_| Ok(only(&[])))?;
            let config = |name: &str| ClusterConfig::from_kubeconfig(&Kubeconfig::default(), name);
            let mut found = Found { content: Vec::new(), doubts: Vec::new() };
            for (path, names) in ["a", "b"].into_iter().zip(files) {
                let Some(part) = known.take(Path::new(path), Ok(names), now)? else { continue };
                found.content.extend(part.content.iter().map(|name| ((*name).into(), Ok(config(name)))));
                found.doubts.extend(part.doubt);
            }
            Ok(found)
        }

        fn is_same(last: &Clusters, now: &Clusters) -> bool {
            is_same(last, now)
        }

        fn lacks(last: &Clusters, now: &Clusters) -> bool {
            lacks(last, now)
        }
    }

    /// One file, which names these.
    fn only(names: &'static [&'static str]) -> Reading {
        [Some(names), None]
    }

    type Send = mpsc::Sender<Result<Reading, SourceError>>;

    fn script(readings: impl IntoIterator<Item = Reading>) -> (Send, Script) {
        let (send, script) = mpsc::channel();
        for reading in readings {
            send.send(Ok(reading)).unwrap();
        }
        (send, Script(Mutex::new(script)))
    }

    /// What is new: the clusters; with a `?` where a file is missing, and a `!` in place of an error.
    fn short(news: &News<Clusters>) -> String {
        let names = |read: &Clusters| read.iter().map(|(cluster, _)| cluster.to_string()).collect::<Vec<_>>().join(" ");
        match news {
            News::Read(read) => names(read),
            News::Partly(read, SourceError::Absent { grace: GRACE, .. }) => format!("{} ?", names(read)),
            News::Partly(..) => panic!("{news:?}"),
            News::Failed(_) => "!".to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_that_hangs_is_an_error_until_it_ends() {
        let (let_go, hangs) = script([]);
        let mut events = Box::pin(clusters(hangs));
        assert!(events.next().now_or_never().is_none(), "it is being read");
        tokio::time::advance(PATIENCE).await;
        assert!(matches!(events.next().await, Some(SourceEvent::Failed(SourceError::FilesHang { .. }))));
        assert!(events.next().now_or_never().is_none(), "no other reading is begun");
        let_go.send(Ok(only(&[]))).unwrap();
        assert!(matches!(events.next().await, Some(SourceEvent::Restarted)));
        assert!(matches!(events.next().await, Some(SourceEvent::Synced)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_gone_is_believed_when_it_is_still_gone_a_moment_later() {
        let readings = [&["a", "b"][..], &["a"], &["a", "b"], &["a", "b", "c"], &["c"], &["c"]];
        let (_send, script) = script(readings.map(only));
        let mut read = Box::pin(reread(script));
        let mut next = async || short(&read.next().await.unwrap());
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
        let both = || [Some(&["a"][..]), Some(&["b"][..])];
        let missing = || only(&["a"]);
        // Missing for a moment, missing for longer, and missing for good.
        let readings = [both(), missing(), both(), missing(), missing(), both()];
        let for_good = [missing(), missing(), missing(), missing()];
        let (_send, script) = script(readings.into_iter().chain(for_good));
        let mut read = Box::pin(reread(script));
        let mut next = async || short(&read.next().await.unwrap());
        let began = Instant::now();
        assert_eq!(next().await, "a b");
        assert_eq!(next().await, "a b ?");
        assert_eq!(began.elapsed(), POLL + DOUBT + POLL + DOUBT, "the file that was missing for a moment is not named");
        assert_eq!(next().await, "a b", "the error is over");
        let began = Instant::now();
        assert_eq!(next().await, "a b ?");
        assert_eq!(began.elapsed(), POLL + DOUBT);
        assert_eq!(next().await, "a");
        assert_eq!(began.elapsed(), POLL + GRACE + DOUBT);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_new_in_the_other_files_passes_at_once_while_a_file_is_missing() {
        let both = [Some(&["a"][..]), Some(&["b"][..])];
        let readings = [both, only(&["a"]), only(&["a", "new"]), only(&["a", "new"]), only(&["new"]), only(&["new"])];
        let (_send, script) = script(readings);
        let mut rereading = rereading(script);
        let reports = Arc::clone(&rereading.reported);
        assert_eq!(short(&rereading.next().await), "a b");
        let began = Instant::now();
        reports.notify_one();
        // The second look is the one after a moment.
        assert_eq!(short(&rereading.next().await), "a new b ?");
        assert_eq!(began.elapsed(), DEBOUNCE + DOUBT);
        reports.notify_one();
        assert_eq!(short(&rereading.next().await), "a new b ?");
        // A removal in a file that is there is believed after a moment too.
        reports.notify_one();
        assert_eq!(short(&rereading.next().await), "new b ?");
        assert_eq!(began.elapsed(), (DEBOUNCE + DOUBT) * 2 + DEBOUNCE);
    }

    #[tokio::test(start_paused = true)]
    async fn while_a_file_is_missing_the_clusters_are_no_complete_list() {
        let both = [Some(&["a"][..]), Some(&["b"][..])];
        let (_send, script) = script([both, only(&["a"]), only(&["a"])]);
        let events: Vec<_> = clusters(script).take(7).collect().await;
        let short = events.iter().map(|event| match event {
            SourceEvent::Restarted => "restarted".to_owned(),
            SourceEvent::Upsert { cluster, .. } => cluster.to_string(),
            SourceEvent::Synced => "synced".to_owned(),
            SourceEvent::Failed(_) => "failed".to_owned(),
            SourceEvent::Remove { .. } => panic!("{event:?}"),
        });
        assert_eq!(short.collect::<Vec<_>>(), ["restarted", "a", "b", "synced", "a", "b", "failed"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_gone_after_an_error_is_not_believed_for_the_time_of_the_error() {
        let (send, script) = script([only(&["a", "b"]), only(&["a"])]);
        for reading in [Err(SourceError::Panicked), Ok(only(&["a"])), Ok(only(&["a"]))] {
            send.send(reading).unwrap();
        }
        let mut read = Box::pin(reread(script));
        let mut next = async || short(&read.next().await.unwrap());
        assert_eq!(next().await, "a b");
        let began = Instant::now();
        assert_eq!(next().await, "!");
        assert_eq!(began.elapsed(), POLL + DOUBT);
        assert_eq!(next().await, "a");
        assert_eq!(began.elapsed(), POLL + DOUBT + POLL + DOUBT);
    }

    #[tokio::test(start_paused = true)]
    async fn the_grace_time_of_a_missing_file_begins_anew_after_a_hang() {
        let both = || [Some(&["a"][..]), Some(&["b"][..])];
        let (let_go, script) = script([both(), only(&["a"]), only(&["a"])]);
        let rereading = rereading(script);
        let reports = Arc::clone(&rereading.reported);
        let mut read = Box::pin(rereading.into_stream());
        assert_eq!(short(&read.next().await.unwrap()), "a b");
        assert_eq!(short(&read.next().await.unwrap()), "a b ?");
        // The next reading hangs for longer than the grace time.
        reports.notify_one();
        assert!(read.next().now_or_never().is_none());
        tokio::time::advance(DEBOUNCE).await;
        assert!(read.next().now_or_never().is_none(), "it is being read");
        tokio::time::advance(PATIENCE).await;
        assert_eq!(short(&read.next().await.unwrap()), "!");
        tokio::time::advance(GRACE * 10).await;
        for _ in 0..2 {
            let_go.send(Ok(only(&["a"]))).unwrap();
            assert_eq!(short(&read.next().await.unwrap()), "a b ?", "nothing was seen meanwhile");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_was_missing_before_gives_what_is_gone_no_grace_time() {
        let (_send, script) = script([only(&["a", "b"]), only(&["a"]), only(&["a"])]);
        let mut read = Box::pin(reread(script));
        let mut next = async || short(&read.next().await.unwrap());
        assert_eq!(next().await, "a b");
        let began = Instant::now();
        assert_eq!(next().await, "a");
        assert_eq!(began.elapsed(), POLL + DOUBT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_while_something_is_doubtful_does_not_make_it_believed() {
        let (_send, script) = script([only(&["a", "b"]), only(&["a"]), only(&["a"]), only(&["a"])]);
        let mut rereading = rereading(script);
        assert_eq!(short(&rereading.next().await), "a b");
        let began = Instant::now();
        let reports = Arc::clone(&rereading.reported);
        // A report for the first look, and one that follows at once.
        reports.notify_one();
        let again = async {
            tokio::time::sleep(DEBOUNCE * 2).await;
            reports.notify_one();
        };
        let (read, ()) = tokio::join!(rereading.next(), again);
        assert_eq!(short(&read), "a");
        assert_eq!(began.elapsed(), DEBOUNCE + DOUBT);
    }
}
