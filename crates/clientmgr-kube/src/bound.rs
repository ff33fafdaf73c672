//! [`BoundStates`]: core's map of states bound to a client, with Kubernetes objects for keys. Nothing is decided here.

use std::fmt;
use std::sync::Arc;

use clientmgr_core::{BoundError, BoundState, ClientProvider, ConnectedAt, NamespacedName};
use kube::Resource;

use crate::cluster::Observed;
use crate::{ClusterResource, ObjectKey};

/// States that belong to an object and a cluster, each built on one client: watches, caches, port-forwards.
///
/// [`get_or_build`](Self::get_or_build) is all a reconcile needs. It returns the standing state while it is right, and
/// otherwise tears it down and builds a new one on the current client; at no time are there two. Keep one map for each
/// kind of state.
///
/// # Example
///
/// ```
/// use clientmgr_kube::k8s_openapi::api::core::v1::ConfigMap;
/// use clientmgr_kube::{AnyProvider, BoundError, BoundState, BoundStates, ClusterResource};
///
/// /// A task on a cluster. Ends when it is torn down, and when it is dropped.
/// struct Watch(tokio::task::JoinHandle<()>);
///
/// impl Watch {
///     async fn start(client: kube::Client) -> Result<Self, kube::Error> {
///         Ok(Self(tokio::spawn(async move { /* watch with `client` */ drop(client) })))
///     }
/// }
///
/// impl BoundState for Watch {
///     fn teardown(&self) {
///         self.0.abort();
///     }
/// }
///
/// impl Drop for Watch {
///     fn drop(&mut self) {
///         self.0.abort();
///     }
/// }
///
/// async fn reconcile(
///     watches: &BoundStates<AnyProvider, Watch>,
///     object: &ConfigMap,
///     cluster: &impl ClusterResource,
/// ) -> Result<(), BoundError<kube::Error>> {
///     let watch = watches.get_or_build(object, cluster, Watch::start).await?;
///     if watch.0.is_finished() {
///         // It broke by itself: the next reconcile builds another. One that another reconcile built meanwhile stays.
///         watches.discard(object, cluster, &watch);
///     }
///     Ok(())
/// }
/// ```
pub struct BoundStates<P: ClientProvider, S: BoundState> {
    inner: clientmgr_core::BoundStates<P, ObjectKey, S>,
}

impl<P, S> BoundStates<P, S>
where
    P: ClientProvider<Key = NamespacedName, Revision = ConnectedAt>,
    S: BoundState,
{
    /// A map without states, whose clients come from `provider`.
    pub fn new(provider: P) -> Self {
        Self { inner: clientmgr_core::BoundStates::new(provider) }
    }

    /// The provider.
    pub fn provider(&self) -> &P {
        self.inner.provider()
    }

    /// How many objects are remembered.
    pub fn objects(&self) -> usize {
        self.inner.objects()
    }

    /// The state of `object` on `cluster`: the standing one while it is right, else a new one that `build` makes on the
    /// current client.
    ///
    /// One build runs at a time for an object on a cluster; nothing else waits for it. It has no deadline of its own.
    ///
    /// # Errors
    ///
    /// - [`BoundError::Client`]: there is no client to build on.
    /// - [`BoundError::Build`]: `build` failed. Nothing stands; the next call builds again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops an unfinished build and leaves nothing half-built.
    pub async fn get_or_build<K, E, F>(
        &self,
        object: &K,
        cluster: &impl ClusterResource,
        build: impl FnOnce(P::Client) -> F,
    ) -> Result<Arc<S>, BoundError<E>>
    where
        K: Resource,
        K::DynamicType: Default,
        F: Future<Output = Result<S, E>>,
    {
        let object = ObjectKey::of(object);
        self.inner.get_or_build(&object, &Observed(cluster), build).await
    }

    /// Tears down `broken`, if it is the state that stands for `object` on `cluster`, so that the next
    /// [`get_or_build`](Self::get_or_build) builds a new one. For a state that broke by itself.
    ///
    /// Returns whether it was what stood: a state that was replaced meanwhile has a successor, which stays. Where only
    /// the cluster's key is left, use [`by_key`](Self::by_key).
    pub fn discard<K>(&self, object: &K, cluster: &impl ClusterResource, broken: &Arc<S>) -> bool
    where
        K: Resource,
        K::DynamicType: Default,
    {
        self.inner.discard(&ObjectKey::of(object), &cluster.cluster_key(), broken)
    }

    /// Forgets `object` on all clusters but those that `keep` is true of, and tears down its states there: for an
    /// object that names other clusters now than it did before.
    pub fn retain<K>(&self, object: &K, keep: impl Fn(&NamespacedName) -> bool)
    where
        K: Resource,
        K::DynamicType: Default,
    {
        self.inner.retain(&ObjectKey::of(object), keep);
    }

    /// Forgets `object` and tears down its states on all clusters: call it when the object is deleted.
    pub fn forget<K>(&self, object: &K)
    where
        K: Resource,
        K::DynamicType: Default,
    {
        self.inner.forget(&ObjectKey::of(object));
    }

    /// Forgets `cluster` and tears down the states of all objects on it: call it when the cluster is gone for good.
    pub fn forget_cluster(&self, cluster: &impl ClusterResource) {
        self.inner.forget_cluster(&cluster.cluster_key());
    }

    /// The same map by keys: for objects and clusters of which only a name or a UID is left. See
    /// [`ClientManager::by_key`](crate::ClientManager::by_key) for an example.
    pub fn by_key(&self) -> &clientmgr_core::BoundStates<P, ObjectKey, S> {
        &self.inner
    }
}

impl<P: ClientProvider, S: BoundState> fmt::Debug for BoundStates<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}
