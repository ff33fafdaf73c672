//! [`RemoteWatches`]: which object uses which watch, by clientmgr-core's rules.

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};

use clientmgr_kube::{
    BoundError, BoundStates, ClientError, ClientProvider, ClusterObject, ConnectedAt, DynProvider, NamespacedName,
    ObjectKey, ObservedCluster, ResourceName as _,
};
use futures::Stream;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};

use super::error::WatchError;
use super::kind::{Kinds, WatchKind};
use super::remote::RemoteWatch;
use super::share::{Kind, Running, Share};
use super::triggers::{Hub, Triggers};
use crate::forget::{Forget, Register};

/// Watches of the kind `K` on the clusters that objects of the kind `O` use. Cheap to clone; all clones are one.
///
/// All objects that use one incarnation of a cluster share one watch. It is opened for the first of them, and ends when the
/// last is [forgotten](Self::forget) or uses another. It goes on over a rotation of credentials and resumes after an
/// outage, without a relist as long as the server still has the changes: at once if these watches are
/// [registered](crate::forget::Register), else up to 10 s after the cluster is connected again. When another cluster answers
/// under the name, it ends, and the next [`get`](Self::get) begins a new one with an empty store: a store never has objects of two clusters.
///
/// # Staleness
///
/// Each object is held to the [rules](clientmgr_kube::BoundStates) by itself. What it gets is always a watch on the
/// revision that the cluster object in its hand names. An object whose cluster object names another revision than the
/// watch it holds gets [`ClusterOutdated`](ClientError::ClusterOutdated), until its cache has caught up.
///
/// # Examples
///
/// Config maps on the cluster that each object names, which concern the object of their own name:
///
/// ```no_run
/// use clientmgr_kube::k8s_openapi::api::core::v1::{ConfigMap, Secret};
/// use clientmgr_kube::{ClusterObject, Fleet, kube};
/// use clientmgr_runtime::watch::{RemoteWatches, WatchError};
/// use kube::runtime::reflector::ObjectRef;
/// use kube::runtime::{Controller, watcher};
/// use kube::{Api, ResourceExt as _};
///
/// type Maps = RemoteWatches<Secret, ConfigMap>;
///
/// fn controller(fleet: Fleet, controller: Controller<Secret>) -> (Maps, Controller<Secret>) {
///     let config = watcher::Config::default().labels("app=example");
///     let (maps, triggers) = Maps::new(fleet.into(), Api::all, config, |map: &ConfigMap, _cluster| {
///         [ObjectRef::new(&map.name_any()).within(&map.namespace().unwrap_or_default())]
///     });
///     (maps, controller.reconcile_on(triggers))
/// }
///
/// async fn reconcile(maps: &Maps, object: &Secret, cluster: &impl ClusterObject) -> Result<(), WatchError> {
///     let store = maps.store(object, cluster).await?;
///     println!("{} config maps", store.len());
///     Ok(())
/// }
/// ```
pub struct RemoteWatches<O, K: WatchKind, P: ClientProvider = DynProvider> {
    inner: Arc<Inner<K, P>>,
    of: PhantomData<fn() -> O>,
}

struct Inner<K: WatchKind, P: ClientProvider> {
    /// In each object's state is its part in a watch.
    states: Arc<BoundStates<Share<K>, P>>,
    running: Arc<Running<K>>,
    hub: Hub,
}

impl<O, K, P> RemoteWatches<O, K, P>
where
    O: Resource + 'static,
    K: WatchKind,
    P: ClientProvider<Client = Client, Key = NamespacedName, Revision = ConnectedAt> + 'static,
{
    /// Returns watches of what `api` and `config` select, on clients of `provider`, and the stream of the objects that
    /// they trigger.
    ///
    /// `api` is `Api::all`, or a closure that restricts it to a namespace. `mapper` returns the objects that an object on
    /// the given cluster concerns; those that do not use this cluster are left out. It is called for every change, with the
    /// previous object as well. All objects of a cluster are triggered when a list is complete, the first list fails, or
    /// the watch is lost because the cluster was replaced or removed.
    pub fn new<I>(
        provider: P,
        api: impl Fn(Client) -> Api<K> + Send + Sync + 'static,
        config: watcher::Config,
        mapper: impl Fn(&K, &NamespacedName) -> I + Send + Sync + 'static,
    ) -> (Self, Triggers<O>)
    where
        I: IntoIterator<Item = ObjectRef<O>>,
        O::DynamicType: Default,
        K::DynamicType: Default,
    {
        Self::new_with(Kinds::default(), provider, api, config, mapper)
    }

    /// Returns watches as [`new`](Self::new) does, where the kind of the objects, or the kind on the clusters, is known only at
    /// run time.
    ///
    /// # Examples
    ///
    /// A controller of Secrets, which watches any kind:
    ///
    /// ```
    /// use clientmgr_kube::k8s_openapi::api::core::v1::Secret;
    /// use clientmgr_kube::{Fleet, kube};
    /// use clientmgr_runtime::watch::{Kinds, RemoteWatches, Triggers};
    /// use kube::Api;
    /// use kube::api::{ApiResource, DynamicObject};
    /// use kube::runtime::{reflector::ObjectRef, watcher};
    ///
    /// type Objects = RemoteWatches<Secret, DynamicObject>;
    ///
    /// fn watch(fleet: Fleet, resource: ApiResource) -> (Objects, Triggers<Secret>) {
    ///     let kinds = Kinds { objects: (), watched: resource.clone() };
    ///     let api = move |client| Api::all_with(client, &resource);
    ///     Objects::new_with(kinds, fleet.into(), api, watcher::Config::default(), |object, _cluster| {
    ///         object.metadata.name.as_deref().map(ObjectRef::new)
    ///     })
    /// }
    /// ```
    pub fn new_with<I>(
        kinds: Kinds<O, K>,
        provider: P,
        api: impl Fn(Client) -> Api<K> + Send + Sync + 'static,
        config: watcher::Config,
        mapper: impl Fn(&K, &NamespacedName) -> I + Send + Sync + 'static,
    ) -> (Self, Triggers<O>)
    where
        I: IntoIterator<Item = ObjectRef<O>>,
    {
        let name =
            |object: ObjectRef<O>| NamespacedName::new(object.namespace.as_deref().unwrap_or_default(), &object.name);
        let mapper = move |object: &K, cluster: &NamespacedName| {
            mapper(object, cluster).into_iter().map(name).collect::<Vec<_>>()
        };
        let hub = Hub::default();
        let kind =
            Kind { dyntype: kinds.watched, api: Box::new(api), config, mapper: Arc::new(mapper), hub: hub.clone() };
        let states = Arc::new(BoundStates::new(provider));
        let triggers = hub.triggers(kinds.objects);
        let inner = Inner { states, running: Arc::new(Running::new(kind)), hub };
        (Self { inner: Arc::new(inner), of: PhantomData }, triggers)
    }

    /// Returns the store of the watch on the cluster of `object`. Call it in every reconcile.
    ///
    /// # Errors
    ///
    /// - [`WatchError::Client`]: there is no client to watch with, as in [`get`](Self::get).
    /// - [`WatchError::NotReady`]: the store is not filled yet. The object is triggered when it is.
    ///
    /// # Cancel safety
    ///
    /// As that of [`get`](Self::get).
    pub async fn store(&self, object: &O, cluster: &impl ClusterObject) -> Result<Store<K>, WatchError> {
        let watch = self.get(object, cluster).await?;
        Ok(watch.store()?.clone())
    }

    /// Returns the watch on the cluster of `object`, which need not be ready. Opens it where there is none.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: there is no client to watch with, or the cluster object does not name the current connection. Its
    /// [`next_step`](ClientError::next_step) says what to do.
    ///
    /// # Panics
    ///
    /// Panics outside a Tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the object with the previous watch, or with none.
    pub async fn get(&self, object: &O, cluster: &impl ClusterObject) -> Result<RemoteWatch<K>, ClientError> {
        // Read once: what the rules are asked about is what is compared below.
        let cluster = ObservedCluster { key: cluster.cluster_key(), revision: cluster.connected_at() };
        let mut share = self.share(object, &cluster).await?;
        if share.watch().has_ended() {
            // The rules do not know: its revision may be served again, by a cluster that was removed and added.
            self.inner.states.discard(object, &cluster, &share);
            share = self.share(object, &cluster).await?;
        }
        let watch = share.watch();
        if cluster.revision == Some(watch.revision()) {
            return Ok(watch.clone());
        }
        // The rules keep a state for a cluster object that lags. A store is read beside that object, so they must agree.
        Err(ClientError::ClusterOutdated {
            cluster: cluster.key,
            observed: cluster.revision,
            current: watch.revision(),
        })
    }

    async fn share(&self, object: &O, cluster: &ObservedCluster) -> Result<Arc<Share<K>>, ClientError> {
        let build = async |client| {
            let revision = cluster.revision.expect("the rules give a client only for the revision that was observed");
            let joined = self.inner.running.join(object.namespaced_name(), &cluster.key, revision, client);
            Ok::<_, Infallible>(joined)
        };
        self.inner.states.get_or_build(object, cluster, build).await.map_err(|error| match error {
            BoundError::Client(error) => error,
            BoundError::Build(never) => match never {},
        })
    }

    /// Returns how many watches are kept, one for each cluster and revision that objects use.
    pub fn watches(&self) -> usize {
        self.inner.running.count()
    }

    /// Returns how many objects are remembered.
    pub fn objects(&self) -> usize {
        self.inner.states.objects()
    }

    /// Forgets `object`. Call it when the object is deleted, or use [`forget_deleted`](Self::forget_deleted).
    pub fn forget(&self, object: &O) {
        self.inner.states.forget(object);
    }

    /// Forgets `object` on all clusters that `keep` returns false for. Call it when an object may name other clusters than
    /// before.
    pub fn retain(&self, object: &O, keep: impl Fn(&NamespacedName) -> bool) {
        self.inner.states.retain(object, keep);
    }

    /// Forgets the objects that a watcher reports as deleted, and those that a relist no longer contains. Passes all
    /// events and errors through. See [`BoundStates::forget_deleted`].
    pub fn forget_deleted<S, E>(&self, events: S) -> impl Stream<Item = Result<Event<O>, E>> + use<O, K, P, S, E>
    where
        S: Stream<Item = Result<Event<O>, E>>,
    {
        self.inner.states.forget_deleted(events)
    }

    /// Forgets `cluster` and ends the watches on it. Call it when the cluster is gone for good.
    pub fn forget_cluster(&self, cluster: &impl ClusterObject) {
        self.inner.states.forget_cluster(cluster);
    }
}

impl<K, P> Forget for Inner<K, P>
where
    K: WatchKind,
    P: ClientProvider<Client = Client, Key = NamespacedName, Revision = ConnectedAt> + 'static,
{
    fn forget_cluster(&self, cluster: &NamespacedName) {
        self.states.by_key().forget_cluster(cluster);
    }

    fn forget_object(&self, object: &ObjectKey) {
        self.states.object_deleted(object);
    }

    fn object_exists(&self, object: &ObjectKey) {
        self.states.object_exists(object);
    }

    fn cluster_changed(&self, cluster: &NamespacedName) {
        self.running.resume(cluster);
    }
}

impl<O, K, P> Register for RemoteWatches<O, K, P>
where
    K: WatchKind,
    P: ClientProvider<Client = Client, Key = NamespacedName, Revision = ConnectedAt> + 'static,
{
    fn downgrade(&self) -> Weak<dyn Forget> {
        let weak: Weak<Inner<K, P>> = Arc::downgrade(&self.inner);
        weak
    }
}

impl<K: WatchKind, P: ClientProvider> Drop for Inner<K, P> {
    fn drop(&mut self) {
        self.hub.end();
    }
}

impl<O, K: WatchKind, P: ClientProvider> Clone for RemoteWatches<O, K, P> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), of: PhantomData }
    }
}

impl<O, K: WatchKind, P: ClientProvider> fmt::Debug for RemoteWatches<O, K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteWatches").field("watches", &self.inner.running.count()).finish_non_exhaustive()
    }
}
