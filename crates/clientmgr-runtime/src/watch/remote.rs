//! [`RemoteWatch`]: the handle of one watch on one cluster.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clientmgr_kube::{ConnectedAt, NamespacedName};
use kube::Client;
use kube::runtime::reflector::Store;
use kube::runtime::watcher;
use tokio::sync::watch;

use super::error::NotReady;
use super::kind::WatchKind;
use super::progress::{End, Progress};

/// A watch that fails is tried again within this time.
const RETRIED: Duration = Duration::from_secs(90);

/// A watch of one kind on one incarnation of a cluster, and the store that it fills. Cheap to clone.
///
/// Holding it does not keep the watch open. The watch ends when the last object that called
/// [`get`](super::RemoteWatches::get) is forgotten. Get it in every reconcile, as a client.
pub struct RemoteWatch<K: WatchKind> {
    pub(super) cluster: NamespacedName,
    pub(super) revision: ConnectedAt,
    pub(super) client: Client,
    pub(super) store: Store<K>,
    pub(super) progress: watch::Receiver<Progress>,
}

impl<K: WatchKind> RemoteWatch<K> {
    /// Returns the cluster.
    pub fn cluster(&self) -> &NamespacedName {
        &self.cluster
    }

    /// Returns the revision of the connection that the watch is on. Every object in the store was read from this
    /// incarnation of the cluster.
    pub fn revision(&self) -> ConnectedAt {
        self.revision
    }

    /// Returns the client that the watch is on: a client of the revision that the cluster object named when the watch was
    /// got.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the store, once the first list is complete. It stays through an outage of the cluster, as it was then.
    ///
    /// # Errors
    ///
    /// [`NotReady`]: the list is not complete, failed, or the watch has ended.
    pub fn store(&self) -> Result<&Store<K>, NotReady> {
        self.outcome(&self.progress.borrow())
    }

    /// Waits until the store is ready, and returns it.
    ///
    /// A reconcile that does not want to wait uses [`store`](Self::store): the [triggers](super::Triggers) bring it back.
    ///
    /// # Errors
    ///
    /// [`NotReady`]: an attempt to list failed since the call, or the watch has ended. An attempt has no deadline of its
    /// own; give it one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up waiting. The watch goes on.
    pub async fn ready(&self) -> Result<&Store<K>, NotReady> {
        let mut progress = self.progress.clone();
        let mut is_news = false;
        loop {
            let outcome = self.outcome(&progress.borrow_and_update());
            match outcome {
                Err(NotReady::Listing { .. }) => {}
                Err(NotReady::Failed { .. }) if !is_news => {}
                outcome => return outcome,
            }
            if progress.changed().await.is_err() {
                // The task is gone. It reported why before.
                return self.outcome(&progress.borrow());
            }
            is_news = true;
        }
    }

    /// Returns why the watch is not current, while it fails after its first list: the store is as old as that.
    ///
    /// The objects that use the watch are triggered when the server begins to refuse it (401, 403, 404).
    ///
    /// A watch that resumes is silent until something changes, so an error is returned for 90 seconds after the last attempt.
    pub fn failure(&self) -> Option<Arc<watcher::Error>> {
        let progress = self.progress.borrow();
        let (at, error) = progress.interruption.as_ref()?;
        (at.elapsed() < RETRIED).then(|| Arc::clone(error))
    }

    /// Returns whether the watch is over, because its client was revoked or no object uses it.
    pub fn has_ended(&self) -> bool {
        self.progress.borrow().end.is_some()
    }

    fn outcome(&self, progress: &Progress) -> Result<&Store<K>, NotReady> {
        let cluster = || self.cluster.clone();
        match progress {
            Progress { end: Some(End::Revoked(revoked)), .. } => {
                Err(NotReady::Ended { cluster: cluster(), source: Some(revoked.clone()) })
            }
            Progress { end: Some(End::Stopped), .. } => Err(NotReady::Ended { cluster: cluster(), source: None }),
            Progress { is_ready: true, .. } => Ok(&self.store),
            Progress { failure: Some(error), .. } => {
                Err(NotReady::Failed { cluster: cluster(), source: Arc::clone(error) })
            }
            _ => Err(NotReady::Listing { cluster: cluster() }),
        }
    }
}

impl<K: WatchKind> Clone for RemoteWatch<K> {
    fn clone(&self) -> Self {
        Self {
            cluster: self.cluster.clone(),
            revision: self.revision,
            client: self.client.clone(),
            store: self.store.clone(),
            progress: self.progress.clone(),
        }
    }
}

impl<K: WatchKind> fmt::Debug for RemoteWatch<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteWatch")
            .field("cluster", &self.cluster)
            .field("revision", &self.revision)
            .field("progress", &*self.progress.borrow())
            .finish_non_exhaustive()
    }
}
