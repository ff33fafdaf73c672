//! What readers see of a member: written by its task, read without waiting for it.

use std::time::Duration;

use clientmgr_core::{ConnectedAt, Connection, NamespacedName, ProviderError};
use kube::Client;

use crate::error::{ConnectError, Failure};
use crate::fleet::events::EventHub;
use crate::fleet::shared::Shared;
use crate::fleet::snapshot::{ClusterSnapshot, ConnectionState};

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
        let snapshot = ClusterSnapshot {
            cluster,
            state: if is_connecting { ConnectionState::Connecting } else { ConnectionState::Unavailable },
            connected_at: None,
            identity: None,
            user: None,
            version: None,
            latency: None,
            credentials_expire_at: None,
            error: (!is_connecting).then(|| error.clone()),
        };
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
        let cluster = snapshot.cluster.clone();
        let view = View { serving, snapshot };
        // The old view is dropped after the lock: it may hold the last handle of a client.
        let old = self.view.write(|current| std::mem::replace(current, view));
        let changed = self.view.read(|view| old.snapshot.differs(&view.snapshot));
        if changed {
            events.changed(&cluster);
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
