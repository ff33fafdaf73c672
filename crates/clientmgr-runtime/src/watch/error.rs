//! Why there is no store to read from: [`NotReady`] and [`WatchError`].

use std::sync::Arc;
use std::time::Duration;

use clientmgr_kube::{ClientError, ErrorAction, NamespacedName, Revoked};
use kube::runtime::controller::Action;
use kube::runtime::watcher;

/// Why a remote watch has no store to read from now.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotReady {
    /// The first list is not complete. The objects that use the watch are triggered when it is: wait.
    #[error("the objects on cluster {cluster} are not listed yet: wait for the trigger")]
    Listing {
        /// The cluster.
        cluster: NamespacedName,
    },
    /// The first list failed, and is tried again with a backoff. The objects that use the watch are triggered when it is
    /// complete.
    #[error("the objects on cluster {cluster} cannot be listed")]
    Failed {
        /// The cluster.
        cluster: NamespacedName,
        /// Why the last attempt failed.
        source: Arc<watcher::Error>,
    },
    /// The client of the watch was revoked, or the watch was stopped. Call [`get`](super::RemoteWatches::get) again.
    #[error("the watch on cluster {cluster} has ended: get the current one")]
    Ended {
        /// The cluster.
        cluster: NamespacedName,
        /// Why the client was revoked. There is no source where the watch was stopped.
        source: Option<Revoked>,
    },
}

/// Why [`RemoteWatches::store`](super::RemoteWatches::store) returned no store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WatchError {
    /// There is no client to watch with.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// There is a watch, and it has no store yet.
    #[error(transparent)]
    NotReady(#[from] NotReady),
}

impl ErrorAction for NotReady {
    /// A watch that lists triggers its objects. For one that fails or has ended, returns `fallback` as well.
    fn action(&self, fallback: Duration) -> Action {
        match self {
            Self::Listing { .. } => Action::await_change(),
            Self::Failed { .. } | Self::Ended { .. } => Action::requeue(fallback),
        }
    }
}

impl ErrorAction for WatchError {
    fn action(&self, fallback: Duration) -> Action {
        match self {
            Self::Client(error) => error.action(fallback),
            Self::NotReady(error) => error.action(fallback),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_action() {
        let (cluster, fallback) = (NamespacedName::from("east"), Duration::from_secs(5));
        let source = Arc::new(watcher::Error::NoResourceVersion);
        let table: [(WatchError, Action); 4] = [
            (ClientError::NotFound { cluster: cluster.clone() }.into(), Action::await_change()),
            (NotReady::Listing { cluster: cluster.clone() }.into(), Action::await_change()),
            (NotReady::Failed { cluster: cluster.clone(), source }.into(), Action::requeue(fallback)),
            (NotReady::Ended { cluster, source: None }.into(), Action::requeue(fallback)),
        ];
        for (error, action) in table {
            assert_eq!(error.action(fallback), action, "{error:?}");
        }
    }
}
