//! [`ClusterController`] and its settings.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
#[cfg(feature = "unstable-runtime")]
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use clientmgr_kube::{ClientManager, Fleet, NamespacedName, Policy};
use futures::FutureExt as _;
use futures::stream::{self, FuturesUnordered, Stream, StreamExt as _};
use jiff::Timestamp;
use kube::config::Kubeconfig;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Api, Client, Resource};

#[cfg(feature = "unstable-runtime")]
use kube::runtime::Controller;
#[cfg(feature = "unstable-runtime")]
use serde::de::DeserializeOwned;

use super::announcements::Announcements;
use super::applying::Applying;
use super::connection::{Allowed, Contexts};
use super::provider::ClusterProvider;
use super::role::StatusWriter;
use super::run::{Clock, Loop};
use super::secrets::{SecretWatch, Secrets};
use super::writes::Writes;
use crate::cluster::Cluster;
use crate::forget::{Register, Registered};
use crate::listing::Listing;
#[cfg(feature = "unstable-runtime")]
use crate::requeue::Dependants;
use crate::requeue::{Changes, connection_changes};
use crate::source::{KubeconfigFiles, Merged, reread};
use crate::watch::{RemoteWatches, Triggers, WatchKind};
use crate::watching::Reports;

/// How long changes are collected before a status is written.
const STATUS_DELAY: Duration = Duration::from_millis(50);

/// The controller of the `Cluster` resource: it connects what the objects declare, and writes their status.
///
/// Every process that uses the clusters runs one; [`StatusWriter`] says which of them writes the status. A process that
/// does not write serves the incarnations that the status names, and no others.
///
/// # Examples
///
/// ```no_run
/// use clientmgr_runtime::controller::{ClusterController, StatusWriter};
/// use clientmgr_runtime::kube::Client;
///
/// # async fn run(hub: Client, stop: impl Future<Output = ()>) {
/// let clusters = ClusterController::builder(hub, StatusWriter::Always).build();
/// let (clients, store) = (clusters.client_manager(), clusters.clusters());
/// // In a reconcile: get the Cluster from `store`, then `clients.refresh` and `clients.client`.
/// clusters.run(stop).await;
/// # drop((clients, store));
/// # }
/// ```
///
/// The front page of the crate has a whole program.
#[must_use = "call `run`"]
pub struct ClusterController {
    settings: ClusterControllerBuilder,
    provider: ClusterProvider,
    registered: Registered,
    announcements: Announcements,
    store: Store<Cluster>,
    writer: reflector::store::Writer<Cluster>,
}

/// The settings of a [`ClusterController`].
#[must_use = "call `build`"]
pub struct ClusterControllerBuilder {
    client: Client,
    fleet: Option<Fleet>,
    namespace: Option<String>,
    role: StatusWriter,
    allowed: Allowed,
    watch: SecretWatch,
    instance: Option<String>,
    files: Option<KubeconfigFiles>,
    clock: Clock,
}

impl ClusterController {
    /// Returns the settings of a controller of the Clusters that `hub` has, in all namespaces. `writer` says whether this
    /// process writes their status.
    pub fn builder(hub: Client, writer: StatusWriter) -> ClusterControllerBuilder {
        ClusterControllerBuilder {
            client: hub,
            fleet: None,
            namespace: None,
            role: writer,
            allowed: Allowed { secrets: Policy::for_secrets(), contexts: Contexts::Denied, in_cluster: false },
            watch: SecretWatch::default(),
            instance: None,
            files: None,
            clock: Arc::new(Timestamp::now),
        }
    }

    /// Returns the clients of the clusters.
    pub fn provider(&self) -> ClusterProvider {
        self.provider.clone()
    }

    /// Returns a new manager of the clients: one for each controller.
    ///
    /// Two controllers that share one, and reconcile the same object, would share its `Reset` too: the second one would
    /// not see it. It is registered: it forgets deleted Clusters and the deleted objects of each
    /// [controller](Self::controller).
    #[must_use = "keep it: each call returns another one, which knows nothing of the others"]
    pub fn client_manager(&self) -> Arc<ClientManager> {
        let clients = Arc::new(ClientManager::new(self.provider().into()));
        self.register(&clients);
        clients
    }

    /// Returns registered watches of what `api` and `config` select on the clusters, and the stream of the objects that they
    /// trigger, as [`RemoteWatches::new`] does.
    #[must_use = "keep them: each call returns others"]
    pub fn remote_watches<O, K, I>(
        &self,
        api: impl Fn(Client) -> Api<K> + Send + Sync + 'static,
        config: watcher::Config,
        mapper: impl Fn(&K, &NamespacedName) -> I + Send + Sync + 'static,
    ) -> (RemoteWatches<O, K>, Triggers<O>)
    where
        O: Resource<DynamicType: Default> + 'static,
        K: WatchKind<DynamicType: Default>,
        I: IntoIterator<Item = ObjectRef<O>>,
    {
        let (watches, triggers) = RemoteWatches::new(self.provider().into(), api, config, mapper);
        self.register(&watches);
        (watches, triggers)
    }

    /// Returns a controller of the objects of `api` that `config` selects, as `Controller::new` does, which also
    /// reconciles them when a Cluster that they use changes.
    ///
    /// `clusters` returns the Clusters of an object: none, one or several. One without a namespace is in the namespace of
    /// the object.
    ///
    /// What is [registered](Self::register) forgets deleted objects. For parts of this, and for a kind that is known only at
    /// run time, see [`Dependants`]. Requires the feature `unstable-runtime`, which is a default one.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use clientmgr_kube::k8s_openapi::api::core::v1::ConfigMap;
    /// use clientmgr_runtime::cluster::Cluster;
    /// use clientmgr_runtime::controller::ClusterController;
    /// use clientmgr_runtime::kube::runtime::{Controller, reflector::ObjectRef, watcher};
    /// use clientmgr_runtime::kube::{Api, Client};
    ///
    /// # fn controller(clusters: &ClusterController, hub: Client) -> Controller<ConfigMap> {
    /// // Each ConfigMap uses the Cluster of its own name and namespace.
    /// let cluster_of = |map: &ConfigMap| {
    ///     let cluster = ObjectRef::<Cluster>::new(map.metadata.name.as_deref()?);
    ///     Some(cluster.within(map.metadata.namespace.as_deref()?))
    /// };
    /// clusters.controller(Api::all(hub), watcher::Config::default(), cluster_of)
    /// # }
    /// ```
    #[cfg(feature = "unstable-runtime")]
    pub fn controller<K, I>(
        &self,
        api: Api<K>,
        config: watcher::Config,
        clusters: impl Fn(&K) -> I + Send + Sync + 'static,
    ) -> Controller<K>
    where
        K: Resource<DynamicType: Default + Clone + Eq + Hash + Send + Sync> + Clone,
        K: DeserializeOwned + fmt::Debug + Send + Sync + 'static,
        I: IntoIterator<Item = ObjectRef<Cluster>>,
    {
        let clusters = move |object: &K| {
            let namespace = object.meta().namespace.as_deref().unwrap_or_default();
            let key = |cluster: ObjectRef<Cluster>| key_within(namespace, &cluster);
            clusters(object).into_iter().map(key).collect::<Vec<_>>()
        };
        let dependants = Dependants::forgetting(self.registered.clone(), K::DynamicType::default(), clusters);
        dependants.controller(api, config, self.changes())
    }

    /// Returns the Clusters, as the controller's watch has them.
    pub fn clusters(&self) -> Store<Cluster> {
        self.store.clone()
    }

    /// Returns the clusters that change: their objects, once the [store](Self::clusters) has them, and their connections,
    /// as this process serves them.
    ///
    /// It is the source for [`Dependants::requeue`](crate::requeue::Dependants::requeue).
    ///
    /// Both are needed. A process that adopts an incarnation serves it after the status names it, and no change of the object
    /// follows; the one that writes the status serves it before.
    ///
    /// Changes are coalesced. The stream ends when the controller and the fleet have.
    ///
    /// # Cancel safety
    ///
    /// A poll takes an item or nothing.
    pub fn changes(&self) -> impl Stream<Item = Changes> + Send + Unpin + use<> {
        stream::select(self.announcements.subscribe(), connection_changes(self.provider.fleet()))
    }

    /// Has `state` forget each Cluster that is deleted, and the deleted objects of each [controller](Self::controller),
    /// while the program holds `state`. Its [`cluster_changed`](crate::forget::Forget::cluster_changed) is called when a
    /// Cluster is connected again.
    ///
    /// What [`client_manager`](Self::client_manager) and
    /// [`remote_watches`](Self::remote_watches) return is registered.
    pub fn register(&self, state: &impl Register) {
        self.registered.add(state.downgrade());
    }

    /// Runs the controller until `until` completes, and then shuts its fleet down.
    ///
    /// It polls `until` meanwhile: that may be the controllers that use the clusters, several of them as
    /// `futures::future::join(a, b).map(drop)`, with `futures::FutureExt`. A fleet that the
    /// [program gave](ClusterControllerBuilder::fleet) is not shut down.
    ///
    /// It ends when `until` does. So `until` must not end before the controllers that use the clusters: await them in it, and
    /// do not only spawn them. And a kube `Controller` with `graceful_shutdown_on` waits for its running reconciles: one
    /// without a timeout around its requests keeps `run` from ending.
    ///
    /// A process that may write the status writes what is due at the end, and waits for what is under way: for 5 s at most.
    /// What the hub does not take by then, the next process that writes finds out anew. Run the
    /// [election](crate::lease::LeaderElection) longer than the controller, so that the lease is released after the last
    /// write.
    ///
    /// # Panics
    ///
    /// If `until` panics: the fleet is shut down, without a last write, and then the panic continues.
    ///
    /// # Cancel safety
    ///
    /// A dropped future ends the controller, and leaves the fleet as it is. A status that is being written may or may not be
    /// stored.
    pub async fn run(self, until: impl Future<Output = ()>) {
        let Self { settings, provider, registered, announcements, store: _, writer } = self;
        let ClusterControllerBuilder { client, fleet, namespace, role, allowed, watch, instance, files, clock } =
            settings;
        let own_fleet = fleet.is_none().then(|| provider.fleet().clone());
        let contexts = files.map_or_else(|| stream::pending().boxed(), |files| reread(Merged(files)).boxed());
        let mut running = Loop {
            provider,
            registered,
            announcements,
            allowed,
            role,
            secrets: Secrets::new(client.clone(), watch),
            writes: Writes::new(client.clone(), instance),
            entries: HashMap::new(),
            users: HashMap::new(),
            applying: Applying::default(),
            resets: FuturesUnordered::new(),
            due: BTreeSet::new(),
            delay: STATUS_DELAY,
            reports: Reports::default(),
            write_reports: Reports::default(),
            listing: Listing::default(),
            clock,
            contexts,
        };
        let both = async move {
            tokio::select! {
                never = running.run(&client, namespace.as_deref(), writer) => match never {},
                () = until => {}
            }
            // Before the program releases its lease.
            running.finish().await;
        };
        // A panic leaves nothing behind that could be seen: both are dropped.
        let ended = AssertUnwindSafe(both).catch_unwind().await;
        if let Some(fleet) = own_fleet {
            fleet.shutdown().await;
        }
        if let Err(panic) = ended {
            resume_unwind(panic);
        }
    }
}

impl ClusterControllerBuilder {
    /// Sets the fleet that holds the connections; by default a new one with the usual settings, which
    /// [`run`](ClusterController::run) shuts down at its end.
    pub fn fleet(mut self, fleet: Fleet) -> Self {
        self.fleet = Some(fleet);
        self
    }

    /// Sets the only namespace whose Clusters are connected.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Sets what kubeconfigs in Secrets may do; by default [`Policy::for_secrets`].
    pub fn secret_policy(mut self, policy: Policy) -> Self {
        self.allowed.secrets = policy;
        self
    }

    /// Allows Clusters to name contexts of this kubeconfig, with the rights of this process. By default none may.
    pub fn allow_contexts(mut self, kubeconfig: Kubeconfig) -> Self {
        self.allowed.contexts = Contexts::Read(Arc::new(kubeconfig));
        self
    }

    /// Allows Clusters to name contexts of these files, which are read again when they change.
    ///
    /// Where no file can be read, the conditions of the Clusters by context say why; their previous connections stay in use. Of
    /// several files, one that cannot be read keeps its last valid content, with a warning in the log; one that is missing does
    /// so for a minute only.
    pub fn allow_contexts_of(mut self, files: KubeconfigFiles) -> Self {
        self.allowed.contexts = Contexts::Unread;
        self.files = Some(files);
        self
    }

    /// Allows Clusters that are the controller's own cluster, with the rights of its Pod. By default none is: a user who may
    /// write Clusters would get those rights.
    pub fn allow_in_cluster(mut self) -> Self {
        self.allowed.in_cluster = true;
        self
    }

    /// Sets which Secrets one watch covers.
    pub fn secret_watch(mut self, watch: SecretWatch) -> Self {
        self.watch = watch;
        self
    }

    /// Sets the name of this replica in Events; its Pod's name, say.
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(instance.into());
        self
    }

    /// Returns the controller.
    pub fn build(self) -> ClusterController {
        let (store, writer) = reflector::store();
        let provider = ClusterProvider::new(self.fleet.clone().unwrap_or_default());
        let (registered, announcements) = (Registered::default(), Announcements::default());
        ClusterController { settings: self, provider, registered, announcements, store, writer }
    }
}

/// Returns the key of `cluster`, which is in `namespace` where it names none.
#[cfg(feature = "unstable-runtime")]
fn key_within(namespace: &str, cluster: &ObjectRef<Cluster>) -> NamespacedName {
    NamespacedName::new(cluster.namespace.as_deref().unwrap_or(namespace), &cluster.name)
}

impl fmt::Debug for ClusterController {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterController").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl fmt::Debug for ClusterControllerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterControllerBuilder")
            .field("namespace", &self.namespace)
            .field("writer", &self.role)
            .field("allow_contexts", &!matches!(self.allowed.contexts, Contexts::Denied))
            .field("allow_in_cluster", &self.allowed.in_cluster)
            .field("secret_watch", &self.watch)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use clientmgr_kube::{ClientProvider as _, NamespacedName, ProviderError};
    use http::{Request, Response};
    use jiff::{SignedDuration, Timestamp};
    use kube::Client;
    use kube::client::Body;
    use serde_json::json;
    use tokio::time::Instant;

    use super::{ClusterController, StatusWriter};
    use crate::controller::run::RECHECK;

    #[cfg(feature = "unstable-runtime")]
    #[test]
    fn a_reference_without_a_namespace_is_in_that_of_the_object() {
        use super::{ObjectRef, key_within};

        let east = ObjectRef::new("east");
        assert_eq!(key_within("shop", &east).to_string(), "shop/east");
        assert_eq!(key_within("shop", &east.within("fleet")).to_string(), "fleet/east");
    }

    /// A hub with the Cluster `default/east` of a Docker engine, connected at this time, and without any event.
    fn hub(connected_at: Timestamp) -> Client {
        let cluster = json!({
            "apiVersion": "clientmgr.dev/v1alpha1", "kind": "Cluster",
            "metadata": { "namespace": "default", "name": "east", "uid": "u", "resourceVersion": "1" },
            "spec": { "connection": { "docker": { "host": "unix:///run/docker.sock" } } },
            "status": { "connectedAt": format!("{connected_at:.6}") },
        });
        let list = json!({
            "apiVersion": "clientmgr.dev/v1alpha1", "kind": "ClusterList", "metadata": { "resourceVersion": "1" },
            "items": [cluster],
        });
        let service = tower::service_fn(move |request: Request<Body>| {
            let list = list.to_string();
            async move {
                if request.uri().query().is_some_and(|query| query.contains("watch=")) {
                    std::future::pending::<()>().await;
                }
                Ok::<_, kube::Error>(Response::new(Body::from(list.into_bytes())))
            }
        });
        Client::new(service, "default")
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_revision_is_looked_at_again_each_minute() {
        let (booted, two_days) = (Timestamp::now(), SignedDuration::from_hours(48));
        // The node's clock is two days behind, until it is corrected.
        let correction = Arc::new(AtomicI64::new(0));
        let mut settings = ClusterController::builder(hub(booted + two_days), StatusWriter::Never);
        let corrected = Arc::clone(&correction);
        settings.clock = Arc::new(move || booted + SignedDuration::from_hours(corrected.load(Ordering::Relaxed)));
        let clusters = settings.build();
        let (provider, began) = (clusters.provider(), Instant::now());
        let until = async |expected: fn(&ProviderError) -> bool| {
            let east = NamespacedName::new("default", "east");
            while !expected(&provider.connection(&east).await.err().unwrap()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            began.elapsed().as_secs()
        };
        let mut looked_at = None;
        let looked_at_again = async {
            let refused = until(|error| {
                error.source().is_some_and(|error| error.to_string().contains("ahead of the controller's clock"))
            });
            let refused = refused.await;
            correction.store(48, Ordering::Relaxed);
            looked_at = Some((refused, until(|error| matches!(error, ProviderError::Incompatible { .. })).await));
        };
        let ended = tokio::time::timeout(RECHECK * 3, clusters.run(looked_at_again)).await;
        ended.expect("nothing but the clock has changed");
        assert_eq!(looked_at, Some((0, RECHECK.as_secs())));
    }
}
