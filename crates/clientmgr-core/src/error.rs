//! Errors: what a provider reports, what the manager returns, and what the caller does next.

use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::connected_at::ConnectedAt;
use crate::key::NamespacedName;

/// An error of any type that is cheap to clone, so that every caller gets the error of one failed connect.
///
/// It dereferences to the error, so [`downcast_ref`](#method.downcast_ref) and [`Error::source`] reach it.
///
/// # Example
///
/// ```
/// use clientmgr_core::Cause;
///
/// let cause = Cause::new(std::io::Error::from(std::io::ErrorKind::TimedOut));
/// let io = cause.downcast_ref::<std::io::Error>().unwrap();
/// assert_eq!(io.kind(), std::io::ErrorKind::TimedOut);
/// ```
#[derive(Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    /// Wraps `error`.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }
}

impl Deref for Cause {
    type Target = dyn Error + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Why a provider has no client for a cluster.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// The provider does not know the cluster.
    #[error("the provider does not know this cluster")]
    NotFound,

    /// The cluster has no client for now: it is connecting, or the connection failed.
    #[error("the cluster is unavailable")]
    Unavailable {
        /// What failed.
        source: Cause,
        /// How long to wait before the next attempt, where the provider knows.
        retry_after: Option<Duration>,
    },

    /// The connection gives another type of client, Docker's for example.
    #[error("the cluster's connection is of another type")]
    Incompatible {
        /// What the connection is instead.
        source: Cause,
    },
}

impl ProviderError {
    /// Returns [`Unavailable`](Self::Unavailable) because of `source`, without a hint when to retry.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable { source: Cause::new(source), retry_after: None }
    }

    /// Returns [`Incompatible`](Self::Incompatible) because of `source`.
    pub fn incompatible(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Incompatible { source: Cause::new(source) }
    }

    /// Returns the same error with a hint when to retry. Only [`Unavailable`](Self::Unavailable) has one.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        if let Self::Unavailable { retry_after, .. } = &mut self {
            *retry_after = Some(delay);
        }
        self
    }
}

/// Why [`ClientManager::client`](crate::ClientManager::client) returned no client.
///
/// [`next_step`](Self::next_step) says what to do: wait, retry, or fix the code.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError<K = NamespacedName, R = ConnectedAt>
where
    K: fmt::Debug,
    R: fmt::Debug,
{
    /// The provider does not know the cluster.
    #[error("cluster {cluster:?} is not known to the provider")]
    NotFound {
        /// The cluster that was requested.
        cluster: K,
    },

    /// Stale: the caller's cluster object does not name the current connection.
    ///
    /// Routine, because a status lags behind the connection it describes. Wait for the next version of the cluster object.
    #[error(
        "cluster object {cluster:?} is stale: its revision is {}, the connection has {current:?}",
        Observed(observed)
    )]
    ClusterOutdated {
        /// The cluster that was requested.
        cluster: K,
        /// The revision in the cluster object.
        observed: Option<R>,
        /// The revision of the current connection.
        current: R,
    },

    /// Stale: the object holds a client of another connection, and requested a client without a `refresh`.
    ///
    /// A bug in the caller: state built on the old client would stay in use beside the new one.
    #[error(
        "call refresh before client for cluster {cluster:?}: the object holds {held:?}, the connection has {current:?}"
    )]
    RefreshRequired {
        /// The cluster that was requested.
        cluster: K,
        /// The revision of the client that the object holds.
        held: R,
        /// The revision of the current connection.
        current: R,
    },

    /// The cluster has no client for now.
    #[error("cluster {cluster:?} is unavailable")]
    Unavailable {
        /// The cluster that was requested.
        cluster: K,
        /// What the provider reported.
        source: Cause,
        /// How long to wait before the next attempt, where the provider knows.
        retry_after: Option<Duration>,
    },

    /// The cluster's connection gives another type of client.
    #[error("cluster {cluster:?} is connected with another type of client")]
    Incompatible {
        /// The cluster that was requested.
        cluster: K,
        /// What the provider reported.
        source: Cause,
    },

    /// The object or the cluster was forgotten during the request.
    #[error("the object, or cluster {cluster:?}, was forgotten during the request")]
    Forgotten {
        /// The cluster that was requested.
        cluster: K,
    },
}

/// What to do after a [`ClientError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextStep {
    /// Wait for the next version of the cluster object. Its watch brings it; no timer is needed.
    AwaitClusterChange,
    /// Try again: after the delay, where there is one, else with the usual backoff.
    Retry {
        /// The provider's hint.
        after: Option<Duration>,
    },
    /// Fix the code: call `refresh` before `client` in every reconcile.
    RefreshFirst,
    /// Give up until the object or the cluster's configuration changes.
    GiveUp,
}

impl<K: fmt::Debug, R: fmt::Debug> ClientError<K, R> {
    /// Returns the cluster that was requested.
    pub fn cluster(&self) -> &K {
        match self {
            Self::NotFound { cluster }
            | Self::ClusterOutdated { cluster, .. }
            | Self::RefreshRequired { cluster, .. }
            | Self::Unavailable { cluster, .. }
            | Self::Incompatible { cluster, .. }
            | Self::Forgotten { cluster } => cluster,
        }
    }

    /// Returns what to do about it.
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::NotFound { .. } | Self::ClusterOutdated { .. } => NextStep::AwaitClusterChange,
            Self::RefreshRequired { .. } => NextStep::RefreshFirst,
            Self::Unavailable { retry_after, .. } => NextStep::Retry { after: *retry_after },
            // The object may exist, if only its cluster was forgotten. Otherwise its reconcile does nothing.
            Self::Forgotten { .. } => NextStep::Retry { after: None },
            Self::Incompatible { .. } => NextStep::GiveUp,
        }
    }

    /// Returns whether the provider does not know the cluster.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Returns whether there is a client that the object may not have: the cluster object is stale, or a refresh is missing.
    pub fn is_stale(&self) -> bool {
        matches!(self, Self::ClusterOutdated { .. } | Self::RefreshRequired { .. })
    }
}

/// Displays the revision in a cluster object.
struct Observed<'a, R>(&'a Option<R>);

impl<R: fmt::Debug> fmt::Display for Observed<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(revision) => write!(f, "{revision:?}"),
            None => f.write_str("empty"),
        }
    }
}
