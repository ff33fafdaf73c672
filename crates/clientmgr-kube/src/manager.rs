//! [`ClientManager`]: core's manager with Kubernetes objects for keys. Nothing is decided here.

use std::fmt;
use std::sync::Arc;

use clientmgr_core::{ClientError, ClientProvider, ConnectedAt, NamespacedName, Refresh};
use kube::Resource;

use crate::cluster::Observed;
use crate::{ClusterResource, ObjectKey};

/// Any provider of `kube::Client`s: a [`Fleet`](crate::Fleet), or a fake one in tests.
pub type AnyProvider = Arc<dyn ClientProvider<Client = kube::Client, Key = NamespacedName, Revision = ConnectedAt>>;

/// Hands out clients to a controller's objects, and tells each when the client it holds is no longer right.
///
/// In every reconcile, for every cluster that the object uses: take the cluster object, [`refresh`](Self::refresh), and
/// on [`Refresh::Reset`] drop all state tied to the old client; then ask for the [`client`](Self::client). When the
/// object is deleted, [`forget`](Self::forget) it. State that lives on a client is better kept in
/// [`BoundStates`](crate::BoundStates), which does these steps by itself.
///
/// Objects are known by their [`ObjectKey`], clusters by [`ClusterResource::cluster_key`].
///
/// # Example
///
/// ```
/// use clientmgr_kube::k8s_openapi::api::core::v1::{ConfigMap, Namespace};
/// use clientmgr_kube::kube::{Api, api::ListParams};
/// use clientmgr_kube::{AnyProvider, ClientManager, ClusterResource};
///
/// async fn reconcile(
///     clients: &ClientManager<AnyProvider>,
///     object: &ConfigMap,
///     cluster: &impl ClusterResource,
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
pub struct ClientManager<P: ClientProvider> {
    inner: clientmgr_core::ClientManager<P, ObjectKey>,
}

impl<P> ClientManager<P>
where
    P: ClientProvider<Key = NamespacedName, Revision = ConnectedAt>,
{
    /// A manager of the clients that `provider` holds.
    pub fn new(provider: P) -> Self {
        Self { inner: clientmgr_core::ClientManager::new(provider) }
    }

    /// The provider.
    pub fn provider(&self) -> &P {
        self.inner.provider()
    }

    /// How many objects are remembered.
    pub fn objects(&self) -> usize {
        self.inner.objects()
    }

    /// Tells whether `object` must drop the state it built on its client of `cluster`. Call it once in every reconcile,
    /// before [`client`](Self::client). Never asks the provider, and cannot fail.
    pub fn refresh<K>(&self, object: &K, cluster: &impl ClusterResource) -> Refresh
    where
        K: Resource,
        K::DynamicType: Default,
    {
        self.inner.refresh(&ObjectKey::of(object), &Observed(cluster))
    }

    /// A client of `cluster` for `object`: always one of the connection that the cluster object tells of.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; its [`next_step`](ClientError::next_step) tells what to do, and
    /// [`requeue_after`](crate::requeue_after) when to come back.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves everything as if it had never been called.
    pub async fn client<K>(&self, object: &K, cluster: &impl ClusterResource) -> Result<P::Client, ClientError>
    where
        K: Resource,
        K::DynamicType: Default,
    {
        let object = ObjectKey::of(object);
        self.inner.client(&object, &Observed(cluster)).await
    }

    /// Forgets `object` on all clusters: call it when the object is deleted.
    pub fn forget<K>(&self, object: &K)
    where
        K: Resource,
        K::DynamicType: Default,
    {
        self.inner.forget(&ObjectKey::of(object));
    }

    /// Forgets `object` on all clusters but those that `keep` is true of: for an object that names other clusters now
    /// than it did before.
    pub fn retain<K>(&self, object: &K, keep: impl Fn(&NamespacedName) -> bool)
    where
        K: Resource,
        K::DynamicType: Default,
    {
        self.inner.retain(&ObjectKey::of(object), keep);
    }

    /// Forgets `cluster` for all objects: call it when the cluster is gone for good.
    pub fn forget_cluster(&self, cluster: &impl ClusterResource) {
        self.inner.forget_cluster(&cluster.cluster_key());
    }

    /// The same manager by keys: for objects and clusters of which only a name or a UID is left, or that are no
    /// Kubernetes resources. An [`ObservedCluster`](crate::ObservedCluster) takes the cluster object's place.
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
