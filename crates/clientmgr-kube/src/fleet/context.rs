//! [`Context`]: what the members of a fleet share.

use std::sync::Arc;
use std::time::Duration;

use clientmgr_core::{ConnectedAt, NamespacedName};
use tokio::runtime::Handle;

use super::clock::{self, Clock};
use super::connector::Connector;
use super::events::EventHub;
use super::handles::Handles;
use super::history::History;
use super::timing::Timing;
use crate::auth::FileWatcher;
use crate::client::{CredentialRequests, Settings, Switch};

/// What the members of a fleet share.
pub(crate) struct Context {
    pub(crate) connector: Box<dyn Connector>,
    pub(crate) clock: Clock,
    pub(crate) events: EventHub,
    pub(crate) handles: Handles,
    pub(crate) history: History,
    pub(crate) timing: Timing,
    pub(crate) settings: Settings,
    pub(crate) files: FileWatcher,
    /// For an attempt as a whole.
    pub(crate) deadline: Duration,
    /// When readers are advised to ask again.
    pub(crate) retry: Duration,
    pub(crate) runtime: Option<Handle>,
}

impl Context {
    /// The handle of `cluster` and `revision`.
    pub(crate) fn handle(
        &self,
        cluster: &NamespacedName,
        revision: ConnectedAt,
        credentials: impl FnOnce() -> Arc<dyn CredentialRequests>,
    ) -> Arc<Switch> {
        self.handles.of(cluster, revision, credentials, &self.settings)
    }

    /// The runtime that tasks run on: the fleet's, or the current one where that has ended. None where it keeps no time.
    pub(crate) fn runtime(&self) -> Option<Handle> {
        let of_fleet = self.runtime.clone().filter(is_alive);
        let runtime = of_fleet.or_else(|| Handle::try_current().ok())?;
        let keeps_time = {
            let _within = runtime.enter();
            clock::keeps_time()
        };
        keeps_time.then_some(runtime)
    }
}

/// Whether tasks still run on `runtime`. One that has shut down drops each task at once, and there is no other way to see it.
fn is_alive(runtime: &Handle) -> bool {
    let task = runtime.spawn(std::future::pending::<()>());
    let is_alive = !task.is_finished();
    task.abort();
    is_alive
}
