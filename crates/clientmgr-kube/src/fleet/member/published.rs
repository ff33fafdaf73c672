//! What readers see of a member: written by its task, read without waiting for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clientmgr_core::{ConnectedAt, Connection, NamespacedName};
use jiff::Timestamp;

use crate::client::Handle;
use crate::error::{ConnectError, Failure};
use crate::fleet::clock::since_1970;
use crate::fleet::context::Context;
use crate::fleet::explanation::Explanation;
use crate::fleet::shared::Shared;
use crate::fleet::snapshot::{ClusterSnapshot, ConnectionState};
use crate::fleet::transition::Transition;
use crate::metrics;

/// What readers see of a member.
pub(crate) struct Published {
    view: Shared<View>,
    /// Counts the configurations that were given.
    configs: AtomicU64,
    explanation: Mutex<Explanation>,
}

/// Counts the interruptions of all clusters in this process.
static INTERRUPTIONS: AtomicU64 = AtomicU64::new(0);

fn interruption() -> u64 {
    INTERRUPTIONS.fetch_add(1, Ordering::Relaxed) + 1
}

struct View {
    serving: Result<Connection<Handle, ConnectedAt>, ConnectError>,
    snapshot: ClusterSnapshot,
    /// The configuration that this is about.
    config: u64,
}

impl Published {
    pub(crate) fn new(cluster: NamespacedName, failure: Failure, at: Timestamp) -> Self {
        let error = ConnectError::new(cluster.clone(), failure);
        let is_connecting = matches!(error.failure(), Failure::Connecting);
        let state = if is_connecting { ConnectionState::Connecting } else { ConnectionState::Unavailable };
        let error_shown = (!is_connecting).then(|| error.clone());
        let connecting = ClusterSnapshot::new(cluster, ConnectionState::Connecting);
        let interruption = interruption();
        let snapshot = ClusterSnapshot { state, error: error_shown, interruption, ..connecting.clone() };
        let mut explanation = Explanation::default();
        if let Some(transition) = Transition::between(&connecting, &snapshot) {
            explanation.add(at, transition);
        }
        let view = View { serving: Err(error), snapshot, config: 0 };
        Self { view: Shared::new(view), configs: AtomicU64::new(0), explanation: Mutex::new(explanation) }
    }

    /// Another configuration is given. Returns its number.
    pub(crate) fn configured(&self) -> u64 {
        self.configs.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The handle that is served, or why there is none.
    pub(crate) fn serving(&self) -> Result<Connection<Handle, ConnectedAt>, ConnectError> {
        self.view.read(|view| view.serving.clone())
    }

    /// Whether the task panicked.
    pub(crate) fn has_panicked(&self) -> bool {
        self.view.read(|view| view.serving.as_ref().is_err_and(|error| matches!(error.failure(), Failure::Panicked)))
    }

    pub(crate) fn snapshot(&self) -> ClusterSnapshot {
        self.view.read(|view| {
            let config_pending = self.configs.load(Ordering::Acquire) > view.config;
            ClusterSnapshot { config_pending, ..view.snapshot.clone() }
        })
    }

    pub(crate) fn explanation(&self) -> Explanation {
        self.lock_explanation().clone()
    }

    fn lock_explanation(&self) -> MutexGuard<'_, Explanation> {
        self.explanation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only the member's task calls it. `config` is the number of the configuration whose attempt ended last.
    pub(super) fn publish(
        &self,
        serving: Result<Connection<Handle, ConnectedAt>, ConnectError>,
        mut snapshot: ClusterSnapshot,
        config: u64,
        context: &Context,
    ) {
        let (before, config_before) = self.view.read(|view| (view.snapshot.clone(), view.config));
        let is_interrupted = before.is_connected() && !snapshot.is_connected();
        snapshot.interruption = if is_interrupted { interruption() } else { before.interruption };
        let transition = Transition::between(&before, &snapshot);
        let is_changed = before.differs(&snapshot) || config != config_before;
        // First, so that a reader of the new state finds how it came about.
        if let Some(transition) = &transition {
            self.lock_explanation().add(context.clock.wall(), transition.clone());
        }
        let cluster = snapshot.cluster.clone();
        let is_over = transition.as_ref().is_some_and(Transition::is_the_end);
        measure(&before, &snapshot, is_over, context);
        let view = View { serving, snapshot, config };
        // The old view is dropped after the lock: it may hold the last handle of a client.
        drop(self.view.write(|current| std::mem::replace(current, view)));
        if let Some(transition) = transition {
            transition.trace();
            transition.count(&cluster);
        }
        if is_changed {
            context.events.changed(&cluster);
        }
    }

    /// Nothing is served any more.
    pub(super) fn end(&self, failure: Failure, context: &Context) {
        let mut snapshot = self.snapshot();
        let error = ConnectError::new(snapshot.cluster.clone(), failure);
        snapshot.state = ConnectionState::Unavailable;
        snapshot.connected_at = None;
        snapshot.error = Some(error.clone());
        self.publish(Err(error), snapshot, self.configs.load(Ordering::Acquire), context);
    }
}

/// Sets the gauges of the cluster, at each step of its task, so that a recorder may drop those that are set no more.
/// A cluster whose credentials never said when they end has no series for it.
fn measure(before: &ClusterSnapshot, snapshot: &ClusterSnapshot, is_over: bool, context: &Context) {
    let cluster = &snapshot.cluster;
    let is_unavailable = snapshot.state == ConnectionState::Unavailable;
    metrics::state(cluster, snapshot.is_connected() && !is_over, is_unavailable && !is_over);
    let ends = snapshot.credentials_expire_at.filter(|_| !is_over);
    if ends.is_some() || before.credentials_expire_at.is_some() {
        let left = ends.map(|ends| since_1970(ends).saturating_sub(since_1970(context.clock.wall())));
        metrics::expiry(cluster, left);
    }
}
