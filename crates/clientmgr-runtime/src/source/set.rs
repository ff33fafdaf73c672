//! [`Sources`]: runs sources into one fleet.

use std::fmt;
use std::mem::{Discriminant, discriminant};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clientmgr_kube::{ClusterConfig, Fleet};
use futures::Stream;
use futures::stream::{self, BoxStream, SelectAll, StreamExt};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::error::SourceError;
use super::event::SourceEvent;
use super::merge::{Change, Input, Merge};
use super::status::{Conflict, NotSynced, SourceStatus, SourcesStatus};

type Declared = Result<ClusterConfig, SourceError>;

/// Sources of clusters for one fleet.
///
/// Several sources may name one cluster. Of these, the one that was registered first counts; the others are ignored, and
/// [the status](RunningSources::status) shows the conflict. When the first one no longer names the cluster, the next one
/// takes over, without a gap. If it is the same cluster, nothing is reset.
///
/// Sources change only the clusters that they name. Add others to the fleet as you like, under other keys.
///
/// # Examples
///
/// ```no_run
/// use clientmgr_kube::Fleet;
/// use clientmgr_runtime::source::{KubeconfigFiles, KubeconfigSecrets, Sources};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let fleet = Fleet::new();
/// let hub = clientmgr_kube::kube::Client::try_default().await?;
/// let mut sources = Sources::new(fleet.clone())
///     .source("files", KubeconfigFiles::from_env()?.contexts("prod-*")?.watch())
///     .source("secrets", KubeconfigSecrets::multicluster_runtime(hub).namespaces(["clusters"]).watch())
///     .spawn();
/// sources.wait_synced().await?;
/// for cluster in fleet.snapshots() {
///     println!("{}: {:?}", cluster.cluster, cluster.state);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "call `spawn`"]
pub struct Sources {
    fleet: Fleet,
    sources: Vec<(Arc<str>, BoxStream<'static, SourceEvent>)>,
}

impl Sources {
    /// Returns an empty set of sources for `fleet`.
    pub fn new(fleet: Fleet) -> Self {
        Self { fleet, sources: Vec::new() }
    }

    /// Adds a source. `name` is what the status calls it.
    ///
    /// # Panics
    ///
    /// If another source has this name: the status could not tell them apart.
    #[track_caller]
    pub fn source(mut self, name: &str, source: impl Stream<Item = SourceEvent> + Send + 'static) -> Self {
        let is_taken = self.sources.iter().any(|(taken, _)| **taken == *name);
        assert!(!is_taken, "another source is named {name:?}: give each its own name");
        self.sources.push((name.into(), source.boxed()));
        self
    }

    /// Runs the sources on a task of their own, until the returned handle is dropped. The clusters stay in the fleet then.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub fn spawn(self) -> RunningSources {
        let names = self.sources.iter().map(|(name, _)| Arc::clone(name));
        let state = Arc::new(Mutex::new(State::new(names)));
        let (changed, changes) = watch::channel(());
        let merged: SelectAll<_> =
            self.sources.into_iter().enumerate().map(|(at, (_, source))| tagged(at, source)).collect();
        let task = run(self.fleet, merged, Arc::clone(&state), changed);
        RunningSources { state, changes, task: AbortOnDropHandle::new(tokio::spawn(task)) }
    }
}

/// What the source `at` says, and at last that it ended.
fn tagged(at: usize, source: BoxStream<'static, SourceEvent>) -> BoxStream<'static, (usize, Option<SourceEvent>)> {
    let events = AssertUnwindSafe(source).catch_unwind();
    let events = events.map(|event| event.unwrap_or(SourceEvent::Failed(SourceError::Panicked)));
    events.map(Some).chain(stream::once(async { None })).map(move |event| (at, event)).boxed()
}

async fn run(
    fleet: Fleet,
    mut sources: SelectAll<BoxStream<'static, (usize, Option<SourceEvent>)>>,
    state: Arc<Mutex<State>>,
    changed: watch::Sender<()>,
) {
    while let Some((at, event)) = sources.next().await {
        let changes = lock(&state).take(at, event);
        for change in changes {
            match change {
                Change::Upsert(cluster, Ok(config)) => fleet.upsert(cluster, config),
                Change::Upsert(cluster, Err(error)) => fleet.upsert(cluster, error.to_config()),
                Change::Remove(cluster) => drop(fleet.remove(&cluster)),
            }
        }
        changed.send_replace(());
    }
}

/// Each lock guards what is whole between two steps.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct State {
    merge: Merge<Declared>,
    sources: Vec<Health>,
}

struct Health {
    name: Arc<str>,
    synced: bool,
    ended: bool,
    error: Option<SourceError>,
    /// The kinds of errors that were reported since the last list.
    warned: Vec<Discriminant<SourceError>>,
}

impl State {
    fn new(names: impl Iterator<Item = Arc<str>>) -> Self {
        let sources: Vec<_> =
            names.map(|name| Health { name, synced: false, ended: false, error: None, warned: Vec::new() }).collect();
        Self { merge: Merge::new(sources.len()), sources }
    }

    /// Takes what the source `at` says, or that it ended.
    fn take(&mut self, at: usize, event: Option<SourceEvent>) -> Vec<Change<Declared>> {
        let source = &mut self.sources[at];
        let input = match event {
            None => {
                source.ended = true;
                return Vec::new();
            }
            Some(SourceEvent::Failed(error)) => {
                let kind = discriminant(&error);
                if source.warned.contains(&kind) {
                    tracing::debug!(source = &*source.name, %error, "a source of clusters is still broken");
                } else {
                    tracing::warn!(source = &*source.name, %error, "a source of clusters broke; its clusters stay");
                    source.warned.push(kind);
                }
                source.error = Some(error);
                return Vec::new();
            }
            Some(SourceEvent::Restarted) => Input::Restarted,
            Some(SourceEvent::Upsert { cluster, config }) => {
                let known = self.merge.claim(at, &cluster).and_then(|known| known.as_ref().err());
                if let Err(error) = &config
                    && known.map(ToString::to_string) != Some(error.to_string())
                {
                    tracing::warn!(source = &*source.name, %cluster, %error, "a cluster's declaration cannot be used");
                }
                Input::Upsert(cluster, config)
            }
            Some(SourceEvent::Remove { cluster }) => Input::Remove(cluster),
            Some(SourceEvent::Synced) => {
                source.synced = true;
                source.error = None;
                source.warned.clear();
                Input::Synced
            }
        };
        self.merge.apply(at, input)
    }

    fn status(&self) -> SourcesStatus {
        let mut sources: Vec<_> = (self.sources.iter().enumerate())
            .map(|(at, source)| SourceStatus {
                name: Arc::clone(&source.name),
                synced: source.synced,
                ended: source.ended,
                clusters: self.merge.named(at),
                error: source.error.clone(),
                broken: Vec::new(),
            })
            .collect();
        let mut conflicts = Vec::new();
        for (cluster, claims) in self.merge.claims() {
            for (at, declared) in claims {
                if let Err(error) = declared {
                    sources[*at].broken.push((cluster.clone(), error.clone()));
                }
            }
            let mut names = claims.keys().map(|at| Arc::clone(&self.sources[*at].name));
            if let (Some(used), true) = (names.next(), claims.len() > 1) {
                conflicts.push(Conflict { cluster: cluster.clone(), used, ignored: names.collect() });
            }
        }
        SourcesStatus { sources, conflicts }
    }
}

/// Running sources, from [`Sources::spawn`]. They end when this is dropped; the clusters stay in the fleet.
///
/// # Cancel safety
///
/// Dropping the future of any method gives up waiting, and nothing else.
#[must_use = "the sources end when this is dropped"]
pub struct RunningSources {
    state: Arc<Mutex<State>>,
    changes: watch::Receiver<()>,
    task: AbortOnDropHandle<()>,
}

impl RunningSources {
    /// Returns what is known of the sources now.
    pub fn status(&self) -> SourcesStatus {
        lock(&self.state).status()
    }

    /// Waits until a source said something since the last call. Returns false when nothing will change any more: every source
    /// has ended, or the runtime that they ran on is shut down.
    pub async fn changed(&mut self) -> bool {
        self.changes.changed().await.is_ok()
    }

    /// Waits until every source has completed a list. Put it under a timeout: a hub that cannot be reached never answers, and a
    /// file that is missing may come.
    ///
    /// # Errors
    ///
    /// [`NotSynced`]: a source ended before that, or all of them were stopped.
    pub async fn wait_synced(&mut self) -> Result<(), NotSynced> {
        // What comes after this look is a change.
        self.changes.mark_unchanged();
        loop {
            let status = self.status();
            if let Some(ended) = status.ended_unsynced() {
                return Err(ended);
            }
            if status.is_synced() {
                return Ok(());
            }
            if !self.changed().await {
                return Err(NotSynced::Stopped);
            }
        }
    }

    /// Ends the sources, and waits until their task has ended. The clusters stay in the fleet.
    pub async fn shutdown(self) {
        self.task.abort();
        // It was aborted.
        let _ = self.task.await;
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sources.iter().map(|(name, _)| name)).finish()
    }
}

impl fmt::Debug for RunningSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningSources").field("status", &self.status()).finish_non_exhaustive()
    }
}
