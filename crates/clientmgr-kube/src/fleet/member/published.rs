//! What readers see of a member: written by its task, read without waiting for it.

use std::time::Duration;

use clientmgr_core::{ConnectedAt, Connection, NamespacedName, ProviderError};
use kube::Client;

use crate::error::{ConnectError, Failure};
use crate::fleet::events::EventHub;
use crate::fleet::shared::Shared;
use crate::fleet::snapshot::{ClusterSnapshot, ConnectionState};
use crate::fleet::transition::Transition;

/// What readers see of a member.
pub(crate) struct Published {
    view: Shared<View>,
}

struct View {
    serving: Result<Connection<Client, ConnectedAt>, ConnectError>,
    snapshot: ClusterSnapshot,
}

impl Published {
    pub(crate) fn new(cluster: NamespacedName, failure: Failure) -> Self {
        let error = ConnectError::new(cluster.clone(), failure);
        let is_connecting = matches!(error.failure(), Failure::Connecting);
        let state = if is_connecting { ConnectionState::Connecting } else { ConnectionState::Unavailable };
        let error_shown = (!is_connecting).then(|| error.clone());
        let snapshot = ClusterSnapshot { error: error_shown, ..ClusterSnapshot::new(cluster, state) };
        Self { view: Shared::new(View { serving: Err(error), snapshot }) }
    }

    pub(crate) fn connection(&self, retry: Duration) -> Result<Connection<Client, ConnectedAt>, ProviderError> {
        self.view.read(|view| view.serving.clone().map_err(|error| error.to_provider_error(retry)))
    }

    /// The client that is served, or why there is none.
    pub(crate) fn serving(&self) -> Result<Connection<Client, ConnectedAt>, ConnectError> {
        self.view.read(|view| view.serving.clone())
    }

    pub(crate) fn snapshot(&self) -> ClusterSnapshot {
        self.view.read(|view| view.snapshot.clone())
    }

    pub(super) fn publish(
        &self,
        serving: Result<Connection<Client, ConnectedAt>, ConnectError>,
        snapshot: ClusterSnapshot,
        events: &EventHub,
    ) {
        let view = View { serving, snapshot };
        // The old view is dropped after the lock: it may hold the last handle of a client.
        let old = self.view.write(|current| std::mem::replace(current, view));
        let after = self.snapshot();
        if let Some(transition) = Transition::between(&old.snapshot, &after) {
            transition.trace();
        }
        if old.snapshot.differs(&after) {
            events.changed(&after.cluster);
        }
    }

    /// Nothing is served any more.
    pub(super) fn end(&self, failure: Failure, events: &EventHub) {
        let mut snapshot = self.snapshot();
        let error = ConnectError::new(snapshot.cluster.clone(), failure);
        snapshot.state = ConnectionState::Unavailable;
        snapshot.connected_at = None;
        snapshot.error = Some(error.clone());
        self.publish(Err(error), snapshot, events);
    }
}
