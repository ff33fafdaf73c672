//! [`ClientManager`]: core's manager with Kubernetes objects for keys. Nothing is decided here.

use std::fmt;

use clientmgr_core::{ClientError, ClientProvider, ConnectedAt, NamespacedName, Refresh};
use kube::Resource;

use super::cluster::{ClusterObject, Observed};
use super::object::ObjectKey;
use super::provider::DynProvider;

/// Hands out clients to a controller's objects, and reports to each object when the client it holds is stale.
///
/// In every reconcile, for every cluster that the object uses: get the cluster object, [`refresh`](Self::refresh), and
/// on [`Refresh::Reset`] drop all state tied to the old client; then request the [`client`](Self::client). When the
/// object is deleted, [`forget`](Self::forget) it, or wrap the watcher in
/// [`forget_deleted`](Self::forget_deleted). Keep state that lives on a client in
/// [`BoundStates`](crate::BoundStates), which does these steps itself.
///
/// Objects are known by their [`ObjectKey`], clusters by [`ClusterObject::cluster_name`].
///
/// # Example
///
/// ```
/// use clientmgr_kube::k8s_openapi::api::core::v1::{ConfigMap, Namespace};
/// use clientmgr_kube::kube::{Api, api::ListParams};
/// use clientmgr_kube::{ClientManager, ClusterObject};
///
/// async fn reconcile(
///     clients: &ClientManager,
///     object: &ConfigMap,
///     cluster: &impl ClusterObject,
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     if clients.refresh(object, cluster).is_reset() {
///         // Drop all state tied to the old client.
///     }
///     let client = clients.client(object, cluster).await?;
///     let namespaces = Api::<Namespace>::all(client).list(&ListParams::default()).await?;
///     println!("{} namespaces", namespaces.items.len());
///     Ok(())
/// }
/// ```
pub struct ClientManager<P: ClientProvider = DynProvider> {
    inner: clientmgr_core::ClientManager<P, ObjectKey>,
    #[cfg(feature = "runtime")]
    deletions: std::sync::Arc<super::deletions::Deletions>,
}

impl<P> ClientManager<P>
where
    P: ClientProvider<Key = NamespacedName, Revision = ConnectedAt>,
{
    /// Returns a manager of the clients that `provider` holds.
    pub fn new(provider: P) -> Self {
        Self {
            inner: clientmgr_core::ClientManager::new(provider),
            #[cfg(feature = "runtime")]
            deletions: std::sync::Arc::default(),
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

    /// Returns whether `object` must drop the state it built on its client of `cluster`. Call it once in every reconcile,
    /// before [`client`](Self::client). It never asks the provider, cannot fail, and allocates nothing for an object whose
    /// UID is a UUID, as those of Kubernetes are.
    pub fn refresh<K: Resource + 'static>(&self, object: &K, cluster: &(impl ClusterObject + ?Sized)) -> Refresh {
        self.inner.refresh(&ObjectKey::of(object), &Observed(cluster))
    }

    /// Returns a client of `cluster` for `object`, always one of the connection that the cluster object names.
    ///
    /// # Errors
    ///
    /// [`ClientError`]. Its [`next_step`](ClientError::next_step) says what to do, and
    /// [`requeue_after`](crate::requeue_after) when to reconcile again.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves everything as if it had never been created.
    pub async fn client<K: Resource + 'static>(
        &self,
        object: &K,
        cluster: &(impl ClusterObject + ?Sized),
    ) -> Result<P::Client, ClientError> {
        let object = ObjectKey::of(object);
        let client = self.inner.client(&object, &Observed(cluster)).await;
        #[cfg(feature = "runtime")]
        if self.deletions.contains(&object) {
            self.inner.forget(&object);
            return Err(ClientError::Forgotten { cluster: cluster.cluster_key() });
        }
        client
    }

    #[cfg(feature = "runtime")]
    pub(super) fn deletions(&self) -> &std::sync::Arc<super::deletions::Deletions> {
        &self.deletions
    }

    /// Forgets `object` on all clusters, also what was stored before it had a UID. Call it when the object is deleted.
    pub fn forget<K: Resource + 'static>(&self, object: &K) {
        for key in ObjectKey::every_of(object) {
            self.inner.forget(&key);
        }
    }

    /// Forgets `object` on all clusters that `keep` returns false for. Call it when an object may name other clusters than
    /// before.
    pub fn retain<K: Resource + 'static>(&self, object: &K, keep: impl Fn(&NamespacedName) -> bool) {
        for key in ObjectKey::every_of(object) {
            self.inner.retain(&key, &keep);
        }
    }

    /// Forgets every object that `keep` returns false for. `keep` runs without a lock.
    ///
    /// # Examples
    ///
    /// With the store of a reflector, after a relist:
    ///
    /// ```
    /// use std::collections::HashSet;
    /// use clientmgr_kube::k8s_openapi::api::core::v1::ConfigMap;
    /// use clientmgr_kube::kube::runtime::reflector::Store;
    /// use clientmgr_kube::{ClientManager, ObjectKey};
    ///
    /// fn forget_others(clients: &ClientManager, store: &Store<ConfigMap>) {
    ///     let listed: HashSet<_> = store.state().iter().map(|object| ObjectKey::of(&**object)).collect();
    ///     clients.retain_objects(|object| listed.contains(object));
    /// }
    /// ```
    pub fn retain_objects(&self, keep: impl Fn(&ObjectKey) -> bool) {
        self.inner.retain_objects(keep);
    }

    /// Forgets `cluster` for all objects. Call it when the cluster is gone for good.
    pub fn forget_cluster(&self, cluster: &(impl ClusterObject + ?Sized)) {
        self.inner.forget_cluster(&cluster.cluster_key());
    }

    /// Returns the same manager by keys, for objects and clusters of which only a name or a UID is left. Its cluster objects
    /// are [`ObservedCluster`](crate::ObservedCluster)s.
    ///
    /// # Example
    ///
    /// ```
    /// use clientmgr_fake::FakeClientProvider;
    /// use clientmgr_kube::{ClientManager, NamespacedName, ObjectKey, ObservedCluster};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let fake = FakeClientProvider::empty();
    /// let clients = ClientManager::new(&fake);
    /// let east = NamespacedName::new("fleet", "east");
    /// let revision = fake.set_client(&east, "a client")?;
    ///
    /// let object = ObjectKey::of_uid("7d1cbb0d-5c5b-4a5f-a9f5-e5a2f3f54b10");
    /// let cluster = ObservedCluster { key: east, revision: Some(revision) };
    /// assert_eq!(clients.by_key().client(&object, &cluster).await?, "a client");
    ///
    /// // Later, when nothing but the UID is left.
    /// clients.by_key().forget(&object);
    /// # Ok(()) }
    /// ```
    pub fn by_key(&self) -> &clientmgr_core::ClientManager<P, ObjectKey> {
        &self.inner
    }
}

impl<P: ClientProvider> fmt::Debug for ClientManager<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}
