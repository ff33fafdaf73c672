//! [`ClusterController`] and its settings.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clientmgr_kube::{Fleet, Policy};
use futures::stream::{self, FuturesUnordered, Stream, StreamExt as _};
use kube::Client;
use kube::config::Kubeconfig;
use kube::runtime::reflector::{self, Store};

use super::announcements::Announcements;
use super::connection::{Allowed, Contexts};
use super::provider::ClusterProvider;
use super::registered::{Register, Registered};
use super::role::StatusWriter;
use super::run::Loop;
use super::secrets::{SecretWatch, Secrets};
use super::writes::Writes;
use crate::cluster::Cluster;
use crate::requeue::{Changes, connection_changes};
use crate::source::{KubeconfigFiles, Merged, reread};

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
/// use std::sync::Arc;
/// use clientmgr_runtime::controller::{ClusterController, StatusWriter};
/// use clientmgr_runtime::kube::Client;
///
/// # async fn run(hub: Client) {
/// let controller = ClusterController::builder(hub, StatusWriter::Always).build();
/// let clients = Arc::new(clientmgr_kube::ClientManager::new(controller.provider()));
/// controller.register(&clients);
/// let clusters = controller.clusters();
/// tokio::spawn(controller.run(std::future::pending()));
/// // In a reconcile: get the Cluster from `clusters`, then `clients.refresh` and `clients.client`.
/// # drop((clusters, clients));
/// # }
/// ```
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
        }
    }

    /// Returns the clients of the clusters.
    pub fn provider(&self) -> ClusterProvider {
        self.provider.clone()
    }

    /// Returns the Clusters, as the controller's watch has them.
    pub fn clusters(&self) -> Store<Cluster> {
        self.store.clone()
    }

    /// Returns the clusters that change: their objects, once the [store](Self::clusters) has them, and their connections, as
    /// this process serves them. It is the source for [`Dependants::requeue`](crate::requeue::Dependants::requeue).
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

    /// Has `state` forget each cluster whose object is deleted, while the program holds `state`.
    pub fn register(&self, state: &impl Register) {
        self.registered.add(state.downgrade());
    }

    /// Runs until `shutdown` completes. The fleet goes on: [shut it down](Fleet::shutdown) when nothing uses it.
    ///
    /// Run the [election](crate::lease::LeaderElection) longer than the controller, so that the lease is released after
    /// the last write.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is as good as `shutdown`. A status that is being written may or may not be stored.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { settings, provider, registered, announcements, store: _, writer } = self;
        let ClusterControllerBuilder { client, namespace, role, allowed, watch, instance, files, .. } = settings;
        let contexts = files.map_or_else(|| stream::pending().boxed(), |files| reread(Merged(files)).boxed());
        let running = Loop {
            provider,
            registered,
            announcements,
            allowed,
            role,
            secrets: Secrets::new(client.clone(), watch),
            writes: Writes::new(client.clone(), instance),
            entries: HashMap::new(),
            users: HashMap::new(),
            resets: FuturesUnordered::new(),
            due: BTreeSet::new(),
            delay: STATUS_DELAY,
            listed: None,
            contexts,
        };
        running.run(client, namespace.as_deref(), writer, shutdown).await;
    }
}

impl ClusterControllerBuilder {
    /// Sets the fleet that holds the connections; by default a new one with the usual settings.
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
    /// Files that cannot be read show in the conditions of the Clusters by context; their connections of before stay in use.
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
