//! [`BoundStates`]: core's map of states bound to a client, with Kubernetes objects for keys. Nothing is decided here.

use std::fmt;
use std::sync::Arc;

use clientmgr_core::{BoundError, BoundState, ClientProvider, ConnectedAt, NamespacedName};
use kube::Resource;

use super::cluster::{ClusterObject, Observed};
use super::object::ObjectKey;
use super::provider::DynProvider;

/// States that belong to an object and a cluster, each built on one client: watches, caches, port-forwards.
///
/// [`get_or_build`](Self::get_or_build) is all that a reconcile needs. It returns the current state while it is right, and
/// otherwise tears it down, waits until it has ended, and builds a new one on the current client. So there are never two.
/// Keep one map for each kind of state.
///
/// # Examples
///
/// ```
/// use clientmgr_kube::k8s_openapi::api::core::v1::ConfigMap;
/// use clientmgr_kube::{BoundError, BoundStates, BoundTask, ClusterObject, kube};
///
/// async fn watch(client: kube::Client) {
///     // Watch with `client`.
/// #   drop(client);
/// }
///
/// async fn reconcile(
///     watches: &BoundStates<BoundTask>,
///     object: &ConfigMap,
///     cluster: &impl ClusterObject,
/// ) -> Result<(), BoundError<std::convert::Infallible>> {
///     let task = watches.get_or_build(object, cluster, BoundTask::build(watch)).await?;
///     if task.is_finished() {
///         // It ended by itself: the next reconcile builds another.
///         watches.discard(object, cluster, &task);
///     }
///     Ok(())
/// }
/// ```
pub struct BoundStates<S: BoundState, P: ClientProvider = DynProvider> {
    inner: clientmgr_core::BoundStates<P, ObjectKey, S>,
    #[cfg(feature = "runtime")]
    deletions: Arc<super::deletions::Deletions>,
}

impl<S, P> BoundStates<S, P>
where
    P: ClientProvider<Key = NamespacedName, Revision = ConnectedAt>,
    S: BoundState,
{
    /// Returns a map without states, whose clients come from `provider`.
    pub fn new(provider: P) -> Self {
        Self {
            inner: clientmgr_core::BoundStates::new(provider),
            #[cfg(feature = "runtime")]
            deletions: Arc::default(),
        }
    }

    /// Returns the provider.
    pub fn provider(&self) -> &P {
        self.inner.provider()
    }

    /// Returns how many objects are remembered.
    pub fn objects(&self) -> usize {
        self.inner.objects()
    }

    /// Returns the state of `object` on `cluster`: the current one while it is right, else a new one that `build` makes on
    /// the current client.
    ///
    /// One build runs at a time for an object on a cluster, and other objects and clusters do not wait for it. It has no
    /// deadline of its own.
    ///
    /// # Errors
    ///
    /// - [`BoundError::Client`]: there is no client to build on.
    /// - [`BoundError::Build`]: `build` failed. There is no state, and the next call builds again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops an unfinished build and leaves nothing half-built.
    pub async fn get_or_build<K, E, F>(
        &self,
        object: &K,
        cluster: &(impl ClusterObject + ?Sized),
        build: impl FnOnce(P::Client) -> F,
    ) -> Result<Arc<S>, BoundError<E>>
    where
        K: Resource + 'static,
        F: Future<Output = Result<S, E>>,
    {
        let object = ObjectKey::of(object);
        #[cfg(feature = "runtime")]
        self.check_exists(&object, cluster)?;
        let state = self.inner.get_or_build(&object, &Observed(cluster), build).await;
        #[cfg(feature = "runtime")]
        self.check_exists(&object, cluster)?;
        state
    }

    /// Fails, and forgets `object`, where it was deleted of late.
    #[cfg(feature = "runtime")]
    fn check_exists<E>(
        &self,
        object: &ObjectKey,
        cluster: &(impl ClusterObject + ?Sized),
    ) -> Result<(), BoundError<E>> {
        if !self.deletions.contains(object) {
            return Ok(());
        }
        self.inner.forget(object);
        Err(BoundError::Client(clientmgr_core::ClientError::Forgotten { cluster: cluster.cluster_key() }))
    }

    #[cfg(feature = "runtime")]
    pub(super) fn deletions(&self) -> &Arc<super::deletions::Deletions> {
        &self.deletions
    }

    /// Tears down `broken`, if it is the current state of `object` on `cluster`, so that the next
    /// [`get_or_build`](Self::get_or_build) builds a new one. Call it for a state that broke by itself.
    ///
    /// Returns whether it was the current state. If it was replaced meanwhile, its successor stays.
    pub fn discard<K: Resource + 'static>(
        &self,
        object: &K,
        cluster: &(impl ClusterObject + ?Sized),
        broken: &Arc<S>,
    ) -> bool {
        self.inner.discard(&ObjectKey::of(object), &cluster.cluster_key(), broken)
    }

    /// Forgets `object` on all clusters that `keep` returns false for, and tears down its states there. Call it when an
    /// object may name other clusters than before.
    pub fn retain<K: Resource + 'static>(&self, object: &K, keep: impl Fn(&NamespacedName) -> bool) {
        for key in ObjectKey::every_of(object) {
            self.inner.retain(&key, &keep);
        }
    }

    /// Forgets `object` and tears down its states on all clusters, also what was stored before it had a UID. Call it when
    /// the object is deleted.
    pub fn forget<K: Resource + 'static>(&self, object: &K) {
        for key in ObjectKey::every_of(object) {
            self.inner.forget(&key);
        }
    }

    /// Forgets every object that `keep` returns false for, and tears down its states. `keep` runs without a lock. See
    /// [`ClientManager::retain_objects`](crate::ClientManager::retain_objects) for an example.
    pub fn retain_objects(&self, keep: impl Fn(&ObjectKey) -> bool) {
        self.inner.retain_objects(keep);
    }

    /// Forgets `cluster` and tears down the states of all objects on it. Call it when the cluster is gone for good.
    pub fn forget_cluster(&self, cluster: &(impl ClusterObject + ?Sized)) {
        self.inner.forget_cluster(&cluster.cluster_key());
    }

    /// Returns the same map by keys, for objects and clusters of which only a name or a UID is left. See
    /// [`ClientManager::by_key`](crate::ClientManager::by_key) for an example.
    pub fn by_key(&self) -> &clientmgr_core::BoundStates<P, ObjectKey, S> {
        &self.inner
    }
}

impl<S: BoundState, P: ClientProvider> fmt::Debug for BoundStates<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}
