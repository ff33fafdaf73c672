//! Errors: what a provider reports, what the manager makes of it, and what the caller does next.

use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::{ConnectedAt, NamespacedName};

/// Why something failed, with its type kept: an error that is cheap to clone, so that one failed connect can be told to
/// every caller.
///
/// It dereferences to the error, so that [`downcast_ref`](#method.downcast_ref) and [`Error::source`] reach it.
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
    /// Keeps `error`.
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
    /// The provider knows no such cluster, or nothing was ever connected for it.
    #[error("the provider knows no such cluster")]
    NotFound,

    /// There is a cluster and for now no client: it is connecting, or the connection failed.
    #[error("the cluster is unavailable")]
    Unavailable {
        /// What went wrong.
        source: Cause,
        /// How long to wait before asking again is worthwhile, where the provider can tell.
        retry_after: Option<Duration>,
    },

    /// There is a connection, but not one that gives this type of client: Docker's, say.
    #[error("the cluster's connection is of another type")]
    Incompatible {
        /// What the connection is instead.
        source: Cause,
    },
}

impl ProviderError {
    /// [`Unavailable`](Self::Unavailable) because of `source`, without a hint when to retry.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable { source: Cause::new(source), retry_after: None }
    }

    /// [`Incompatible`](Self::Incompatible) because of `source`.
    pub fn incompatible(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Incompatible { source: Cause::new(source) }
    }

    /// The same error with a hint when to retry. Only an unavailable cluster has one.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        if let Self::Unavailable { retry_after, .. } = &mut self {
            *retry_after = Some(delay);
        }
        self
    }
}

/// Why [`ClientManager::client`](crate::ClientManager::client) handed out no client.
///
/// Which of them call for waiting and which for a code change is told by [`next_step`](Self::next_step).
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError<K = NamespacedName, R = ConnectedAt>
where
    K: fmt::Debug,
    R: fmt::Debug,
{
    /// The provider knows no such cluster.
    #[error("cluster {cluster:?} is not known to the provider")]
    NotFound {
        /// The cluster that was asked for.
        cluster: K,
    },

    /// Stale: the cluster object in the caller's hand does not tell of the current connection.
    ///
    /// Routine, because a status trails the connection it describes. The next version of the cluster object will do.
    #[error("cluster object {cluster:?} is outdated: it tells of {}, the connection is of {current:?}", Told(observed))]
    ClusterOutdated {
        /// The cluster that was asked for.
        cluster: K,
        /// What the cluster object tells.
        observed: Option<R>,
        /// What the provider tells.
        current: R,
    },

    /// Stale: the object still holds a client of an older connection, and did not call `refresh` before it asked for
    /// another.
    ///
    /// A bug in the caller: state built on the old client would go on beside the new one.
    #[error(
        "refresh required before a client of cluster {cluster:?}: the object holds {held:?}, the connection is of {current:?}"
    )]
    RefreshRequired {
        /// The cluster that was asked for.
        cluster: K,
        /// The revision of the client that the object obtained last.
        held: R,
        /// What the provider tells.
        current: R,
    },

    /// There is for now no client.
    #[error("cluster {cluster:?} is unavailable")]
    Unavailable {
        /// The cluster that was asked for.
        cluster: K,
        /// What the provider reported.
        source: Cause,
        /// How long to wait before asking again is worthwhile, where the provider can tell.
        retry_after: Option<Duration>,
    },

    /// The cluster's connection gives another type of client.
    #[error("cluster {cluster:?} is connected by other means than this client's")]
    Incompatible {
        /// The cluster that was asked for.
        cluster: K,
        /// What the provider reported.
        source: Cause,
    },

    /// The object or the cluster was forgotten while the provider was being asked, so the answer belongs to nobody.
    #[error("forgotten while a client of cluster {cluster:?} was being obtained")]
    Forgotten {
        /// The cluster that was asked for.
        cluster: K,
    },
}

/// What a caller that got a [`ClientError`] does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextStep {
    /// Wait for the next version of the cluster object. Its watch brings it; a timer need not.
    AwaitClusterChange,
    /// Ask again: after the delay, where there is one, else with the usual backoff.
    Retry {
        /// The provider's hint.
        after: Option<Duration>,
    },
    /// Mend the code: `refresh` comes before `client` in every reconcile.
    RefreshFirst,
    /// Give up until the object or the cluster's configuration changes.
    GiveUp,
    /// Do nothing: whoever asked is being deleted. If it is not, reconcile it once more.
    Stop,
}

impl<K: fmt::Debug, R: fmt::Debug> ClientError<K, R> {
    /// The cluster that was asked for.
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

    /// What to do about it.
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::NotFound { .. } | Self::ClusterOutdated { .. } => NextStep::AwaitClusterChange,
            Self::RefreshRequired { .. } => NextStep::RefreshFirst,
            Self::Unavailable { retry_after, .. } => NextStep::Retry { after: *retry_after },
            Self::Incompatible { .. } => NextStep::GiveUp,
            Self::Forgotten { .. } => NextStep::Stop,
        }
    }

    /// Whether the provider knows no such cluster.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Whether a client exists and may not be handed out: the cluster object is outdated, or a refresh is required.
    pub fn is_stale(&self) -> bool {
        matches!(self, Self::ClusterOutdated { .. } | Self::RefreshRequired { .. })
    }
}

/// Displays what a cluster object tells of its connection.
struct Told<'a, R>(&'a Option<R>);

impl<R: fmt::Debug> fmt::Display for Told<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(revision) => write!(f, "{revision:?}"),
            None => f.write_str("no connection"),
        }
    }
}
