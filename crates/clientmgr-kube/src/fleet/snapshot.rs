//! [`ClusterSnapshot`]: the state of one cluster of a fleet, at one moment.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use clientmgr_core::{ClusterObject, ConnectedAt, NamespacedName};
use jiff::Timestamp;

use crate::config::ClusterIdentity;
use crate::error::ConnectError;

/// The state of a cluster of a [`Fleet`](crate::Fleet): whether readers get its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionState {
    /// There is no connection yet, and no attempt has failed.
    Connecting,
    /// There is a connection, and its probes succeed. Readers get the client.
    Connected,
    /// Readers get the [error](ClusterSnapshot::error): no connection could be made, or its probes fail.
    Unavailable,
}

impl ConnectionState {
    /// Returns the name of the state, as it is in logs, in metrics and in a status. A name never changes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "Connecting",
            Self::Connected => "Connected",
            Self::Unavailable => "Unavailable",
        }
    }
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The state of one cluster of a [`Fleet`](crate::Fleet), at one moment.
///
/// It is a cluster object: where there is no `Cluster` resource, pass it to a
/// [`ClientManager`](crate::ClientManager).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClusterSnapshot {
    /// The cluster's key.
    pub cluster: NamespacedName,
    /// Whether it is served.
    pub state: ConnectionState,
    /// The revision: when this incarnation of the cluster was first connected. It stays through outages and rotations.
    pub connected_at: Option<ConnectedAt>,
    /// Which cluster it is, as far as that was proven. What was proven stays, so that a status can keep it.
    pub identity: Option<ClusterIdentity>,
    /// Whether the last proof or probe showed that identity. False where the server no longer says it: then its URL and
    /// certificate authority stand in until it does.
    pub identity_shown: bool,
    /// The user that the server sees, where it says so.
    pub user: Option<String>,
    /// The server's version, where it says so.
    pub version: Option<String>,
    /// How long the first answer of the last probe took, on a connection that was open. Until then the time of the first
    /// proof, with its handshakes.
    pub latency: Option<Duration>,
    /// When the credentials in use end, where that is known. They are renewed at 80 % of their life.
    pub credentials_expire_at: Option<Timestamp>,
    /// What failed last: why the cluster is unavailable, or why new credentials or another configuration were not taken
    /// up while the old ones are still in use.
    pub error: Option<ConnectError>,
    /// Whether another configuration was given and its first attempt has not ended. Until then all else here is about the
    /// configuration of before.
    pub config_pending: bool,
    /// Changes each time readers lose the client. If two snapshots of a cluster have the same value, readers had the client all
    /// the time in between. It is unique in the process, and no count.
    pub interruption: u64,
    /// Counts the transports; the one in use.
    pub(super) generation: u64,
}

impl ClusterSnapshot {
    /// A cluster of which nothing else is known.
    pub(super) fn new(cluster: NamespacedName, state: ConnectionState) -> Self {
        Self {
            cluster,
            state,
            connected_at: None,
            identity: None,
            identity_shown: false,
            user: None,
            version: None,
            latency: None,
            credentials_expire_at: None,
            error: None,
            config_pending: false,
            interruption: 0,
            generation: 0,
        }
    }

    /// Returns whether readers get a client.
    pub fn is_connected(&self) -> bool {
        self.state == ConnectionState::Connected
    }

    /// Whether a subscriber wants to know of the step from `self` to `later`.
    pub(super) fn differs(&self, later: &Self) -> bool {
        let error = |snapshot: &Self| snapshot.error.as_ref().map(ToString::to_string);
        self.state != later.state
            || self.connected_at != later.connected_at
            || self.identity != later.identity
            || self.identity_shown != later.identity_shown
            || self.user != later.user
            || self.version != later.version
            || self.credentials_expire_at != later.credentials_expire_at
            || error(self) != error(later)
    }
}

impl ClusterObject for ClusterSnapshot {
    type Key = NamespacedName;
    type Revision = ConnectedAt;

    fn key(&self) -> Cow<'_, NamespacedName> {
        Cow::Borrowed(&self.cluster)
    }

    fn revision(&self) -> Option<ConnectedAt> {
        self.connected_at
    }
}

#[cfg(test)]
mod tests {
    use super::ConnectionState;

    #[test]
    fn alerts_and_statuses_can_rely_on_the_names() {
        let names = [
            (ConnectionState::Connecting, "Connecting"),
            (ConnectionState::Connected, "Connected"),
            (ConnectionState::Unavailable, "Unavailable"),
        ];
        for (value, name) in names {
            assert_eq!((value.as_str(), value.to_string().as_str()), (name, name));
        }
    }
}
