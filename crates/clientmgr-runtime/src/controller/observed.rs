//! [`Observed`]: what the fleet says of a cluster, as far as the decision depends on it.

use clientmgr_kube::{ClusterSnapshot, ConnectError, ConnectErrorKind, ConnectedAt, ConnectionState};
use jiff::Timestamp;

use super::problem::{reason_of, reason_of_kind};

/// What the fleet says of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Observed {
    pub(super) state: ConnectionState,
    pub(super) connected_at: Option<ConnectedAt>,
    pub(super) identity: Option<String>,
    pub(super) version: Option<String>,
    pub(super) credentials_expire_at: Option<Timestamp>,
    /// Whether the newest configuration is still being tried: all else is about the one of before.
    pub(super) is_pending: bool,
    pub(super) failure: Option<Failure>,
}

/// What failed last.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) about: About,
}

/// What a failure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// The configuration or its credentials.
    Credentials,
    /// The status, which another writer has changed.
    Status,
    /// The server, or the way to it. The text may differ from one attempt to the next.
    Server,
}

impl Observed {
    pub(super) fn of(snapshot: &ClusterSnapshot) -> Self {
        Self {
            state: snapshot.state,
            connected_at: snapshot.connected_at,
            identity: snapshot.identity.as_ref().map(ToString::to_string),
            version: snapshot.version.clone(),
            // As a status keeps it: a fraction of a second would differ from what is stored for good.
            credentials_expire_at: snapshot
                .credentials_expire_at
                .and_then(|at| Timestamp::from_second(at.as_second()).ok()),
            is_pending: snapshot.config_pending,
            failure: snapshot.error.as_ref().map(Failure::of),
        }
    }

    pub(super) fn failed_with(&self, kind: ConnectErrorKind) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.reason == reason_of_kind(kind))
    }
}

impl Failure {
    fn of(error: &ConnectError) -> Self {
        let about = match error.kind() {
            ConnectErrorKind::InvalidConfig
            | ConnectErrorKind::DeniedByPolicy
            | ConnectErrorKind::NoCredentials
            | ConnectErrorKind::Unauthorized => About::Credentials,
            _ => About::Server,
        };
        let text = error.to_string();
        // The object says which cluster it is.
        let prefix = error.cluster().map(|cluster| format!("cluster {cluster}: "));
        let message = prefix.and_then(|prefix| text.strip_prefix(&prefix).map(str::to_owned)).unwrap_or(text);
        Self { reason: reason_of(error), message, about }
    }
}
