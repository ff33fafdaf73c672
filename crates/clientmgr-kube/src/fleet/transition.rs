//! [`Transition`]: what happened to a cluster between two snapshots. A pure function of both, and the trace event of each.

use std::fmt;

use clientmgr_core::{ConnectedAt, NamespacedName};
use tracing::{info, warn};

use super::snapshot::{ClusterSnapshot, ConnectionState};
use crate::client::RevokedReason;
use crate::error::{ConnectError, ConnectErrorKind, Failure};
use crate::metrics;

/// A change of a cluster of a [`Fleet`](crate::Fleet), for operators.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Transition {
    /// The cluster is served under a revision: the first one, or the next one after [`Replaced`](Self::Replaced).
    Connected {
        /// The revision.
        revision: ConnectedAt,
    },
    /// The connection was exchanged under the handle: renewed or other credentials, or another configuration.
    Rotated,
    /// Other credentials or another configuration failed. The old ones stay in use.
    UpdateFailed {
        /// Why they failed.
        error: ConnectError,
    },
    /// Readers get an error: the cluster has just become unavailable, or is so for another reason than before.
    Unavailable {
        /// What readers get.
        error: ConnectError,
    },
    /// The cluster is served again, under the revision of before.
    Recovered,
    /// Another cluster answers, or is named by the status. The handle of before is fenced.
    Replaced {
        /// The revision of the other cluster, where it is connected already.
        revision: Option<ConnectedAt>,
    },
    /// The same cluster has another revision. The handle of before is fenced.
    Reset {
        /// The revision.
        revision: ConnectedAt,
    },
    /// The cluster was removed from the fleet. The handle is fenced.
    Removed,
    /// The cluster's task ended: the fleet was shut down, the runtime ended, or the task panicked.
    Ended {
        /// Why it ended.
        error: ConnectError,
    },
}

impl Transition {
    /// What happened between `before` and `after`; none where that is nothing that an operator wants to know.
    pub(super) fn between(before: &ClusterSnapshot, after: &ClusterSnapshot) -> Option<Self> {
        if let Some(end) = after.error.as_ref().and_then(Self::end) {
            return Some(end);
        }
        match (before.connected_at, after.connected_at) {
            (Some(_), None) => return Some(Self::Replaced { revision: None }),
            (Some(earlier), Some(revision)) if earlier != revision => {
                let is_same = before.identity == after.identity;
                return Some(if is_same {
                    Self::Reset { revision }
                } else {
                    Self::Replaced { revision: Some(revision) }
                });
            }
            (None, Some(revision)) if after.is_connected() => return Some(Self::Connected { revision }),
            _ => {}
        }
        let news = after.error.as_ref().filter(|error| before.error.as_ref().map(what) != Some(what(error))).cloned();
        match (before.state, after.state) {
            (ConnectionState::Connected, ConnectionState::Connected) if before.generation != after.generation => {
                Some(Self::Rotated)
            }
            (ConnectionState::Connected, ConnectionState::Connected) => news.map(|error| Self::UpdateFailed { error }),
            (_, ConnectionState::Connected) => Some(Self::Recovered),
            (ConnectionState::Unavailable, ConnectionState::Unavailable) => {
                news.map(|error| Self::Unavailable { error })
            }
            (_, ConnectionState::Unavailable) => after.error.clone().map(|error| Self::Unavailable { error }),
            (_, ConnectionState::Connecting) => None,
        }
    }

    /// The end of a cluster's task, where `error` says that it ended.
    fn end(error: &ConnectError) -> Option<Self> {
        match error.failure() {
            Failure::Removed => Some(Self::Removed),
            Failure::ShutDown | Failure::Panicked | Failure::NoRuntime => Some(Self::Ended { error: error.clone() }),
            _ => None,
        }
    }

    /// Whether the cluster is no longer kept: the fleet ended, or has it no more. One whose task panicked is kept.
    pub(super) fn is_the_end(&self) -> bool {
        match self {
            Self::Removed => true,
            Self::Ended { error } => !matches!(error.failure(), Failure::Panicked),
            _ => false,
        }
    }

    /// Counts what is measured.
    pub(super) fn count(&self, cluster: &NamespacedName) {
        match self {
            Self::Rotated => metrics::rotation(cluster),
            Self::Replaced { .. } => metrics::reset(cluster, RevokedReason::Replaced.as_str()),
            Self::Reset { .. } => metrics::reset(cluster, RevokedReason::Reset.as_str()),
            _ => {}
        }
    }

    /// Emits the trace event.
    pub(super) fn trace(&self) {
        match self {
            Self::Connected { revision } => info!(%revision, "connected"),
            Self::Rotated => info!("rotated"),
            Self::UpdateFailed { error } => warn!(kind = %error.kind(), %error, "update failed"),
            Self::Unavailable { error } => warn!(kind = %error.kind(), %error, "unavailable"),
            Self::Recovered => info!("recovered"),
            Self::Replaced { revision: Some(revision) } => warn!(%revision, "replaced"),
            Self::Replaced { revision: None } => warn!("replaced"),
            Self::Reset { revision } => info!(%revision, "reset"),
            Self::Removed => info!("removed"),
            Self::Ended { error } if matches!(error.failure(), Failure::ShutDown) => info!(reason = %error, "ended"),
            Self::Ended { error } => warn!(kind = %error.kind(), %error, "ended"),
        }
    }
}

/// What an error is about. Its text may differ each time.
fn what(error: &ConnectError) -> (ConnectErrorKind, Option<&str>) {
    (error.kind(), error.field())
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { revision } => write!(f, "connected, revision {revision}"),
            Self::Rotated => f.write_str("rotated"),
            Self::UpdateFailed { error } => write!(f, "update failed ({}): {error}", error.kind()),
            Self::Unavailable { error } => write!(f, "unavailable ({}): {error}", error.kind()),
            Self::Recovered => f.write_str("recovered"),
            Self::Replaced { revision: Some(revision) } => write!(f, "replaced, revision {revision}"),
            Self::Replaced { revision: None } => f.write_str("replaced"),
            Self::Reset { revision } => write!(f, "reset, revision {revision}"),
            Self::Removed => f.write_str("removed"),
            Self::Ended { error } => write!(f, "ended ({}): {error}", error.kind()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clientmgr_core::{ConnectedAt, NamespacedName};

    use super::Transition;
    use crate::error::{ConnectError, Failure};
    use crate::fleet::snapshot::{ClusterSnapshot, ConnectionState};

    fn snapshot(state: ConnectionState) -> ClusterSnapshot {
        ClusterSnapshot::new(NamespacedName::cluster_scoped("east"), state)
    }

    fn connecting() -> ClusterSnapshot {
        snapshot(ConnectionState::Connecting)
    }

    fn connected(revision: i64, identity: &str, generation: u64) -> ClusterSnapshot {
        ClusterSnapshot {
            connected_at: ConnectedAt::from_unix_micros(revision),
            identity: Some(identity.parse().unwrap()),
            generation,
            ..snapshot(ConnectionState::Connected)
        }
    }

    fn with(failure: Failure, snapshot: ClusterSnapshot) -> ClusterSnapshot {
        let error = ConnectError::new(NamespacedName::cluster_scoped("east"), failure);
        ClusterSnapshot { error: Some(error), ..snapshot }
    }

    fn down(failure: Failure, snapshot: ClusterSnapshot) -> ClusterSnapshot {
        with(failure, ClusterSnapshot { state: ConnectionState::Unavailable, ..snapshot })
    }

    fn busy(status: u16) -> Failure {
        Failure::Status { status, retry_after: None }
    }

    /// Each kind of step that a member's snapshots take, and the one transition that it is.
    #[test]
    fn a_transition_follows_from_the_snapshots_before_and_after_it() {
        let (a, b) = ("uid-a", "uid-b");
        let served = || connected(1, a, 1);
        let unnamed = || {
            let link = ClusterSnapshot { connected_at: None, ..served() };
            down(Failure::UnknownIncarnation { found: a.into() }, link)
        };
        let table = [
            (connecting(), connecting(), ""),
            (connecting(), served(), "connected, revision 1970-01-01T00:00:00.000001Z"),
            (connecting(), down(Failure::Unauthorized, connecting()), "unavailable (Unauthorized)"),
            (down(Failure::Unauthorized, connecting()), down(Failure::Unauthorized, connecting()), ""),
            (down(busy(500), connecting()), down(busy(503), connecting()), ""),
            (down(busy(500), connecting()), down(Failure::Unauthorized, connecting()), "unavailable (Unauthorized)"),
            (down(busy(500), connecting()), served(), "connected, revision"),
            (served(), served(), ""),
            (served(), ClusterSnapshot { user: Some("me".into()), ..served() }, ""),
            (served(), connected(1, a, 2), "rotated"),
            (with(Failure::Unauthorized, served()), connected(1, a, 2), "rotated"),
            (served(), with(Failure::Unauthorized, served()), "update failed (Unauthorized)"),
            (with(Failure::Unauthorized, served()), with(Failure::Unauthorized, served()), ""),
            (with(Failure::Unauthorized, served()), with(busy(500), served()), "update failed (Unhealthy)"),
            (served(), down(busy(500), served()), "unavailable (Unhealthy)"),
            (with(busy(500), served()), down(busy(500), served()), "unavailable (Unhealthy)"),
            (down(busy(500), served()), served(), "recovered"),
            (down(busy(500), served()), connected(1, a, 2), "recovered"),
            (down(busy(500), served()), with(Failure::Unauthorized, served()), "recovered"),
            (served(), connected(2, a, 1), "reset, revision 1970-01-01T00:00:00.000002Z"),
            (down(busy(500), served()), down(busy(500), connected(2, a, 1)), "reset, revision"),
            (served(), connected(2, b, 2), "replaced, revision 1970-01-01T00:00:00.000002Z"),
            (down(busy(500), served()), connected(2, b, 2), "replaced, revision"),
            (served(), connecting(), "replaced"),
            (served(), unnamed(), "replaced"),
            (connecting(), unnamed(), "unavailable (UnknownIncarnation)"),
            (unnamed(), served(), "connected, revision"),
            (served(), down(Failure::Removed, connecting()), "removed"),
            (connecting(), down(Failure::Removed, connecting()), "removed"),
            (served(), down(Failure::ShutDown, connecting()), "ended (ShutDown)"),
            (down(busy(500), served()), down(Failure::Panicked, connecting()), "ended (Internal)"),
            (served(), down(Failure::NoRuntime, connecting()), "ended (Environment)"),
        ];
        for (before, after, expected) in table {
            let text = Transition::between(&before, &after).map(|transition| transition.to_string());
            let text = text.unwrap_or_default();
            let is_it = if expected.is_empty() { text.is_empty() } else { text.starts_with(expected) };
            assert!(is_it, "{text:?} and not {expected:?}, from {before:?} to {after:?}");
            let is_whole = expected != "replaced" || text == expected;
            assert!(is_whole, "{text:?} and not {expected:?}");
        }
    }
}
