//! The handle of a fleet: [`Fleet`]. Callers' futures drive nothing; they send requests to the members' tasks and wait.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use clientmgr_core::{ClientProvider, ConnectedAt, Connection, NamespacedName, ProviderError, async_trait};
use kube::Client;
use kube::config::Kubeconfig;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::clock;
use super::context::Context;
use super::events::Events;
use super::explanation::Explanation;
use super::member::event::Request;
use super::member::mailbox::Message;
use super::registry::{Member, Registry};
use super::snapshot::ClusterSnapshot;
use crate::client;
use crate::config::{ClusterConfig, contexts, read_kubeconfig};
use crate::error::{ConnectError, ConnectErrorKind, Failure};

/// How often the fleet looks whether the wall clock jumped.
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);

/// The connections to many clusters: a [`ClientProvider`] of `kube::Client`s that runs by itself. Cheap to clone; all
/// clones are one fleet.
///
/// A cluster that is [added](Self::upsert) is connected at once, and again after every failure, by a task of its own. The
/// client that the fleet hands out is a stable handle: credentials, certificates and addresses are exchanged under it
/// while requests and watches go on. Only when *another cluster* answers under the name, the cluster is removed, or
/// the program asks for a [reset](Self::reset), the handle is fenced: later requests and open watches end with
/// [`Revoked`](crate::Revoked), and the next client has a later revision.
///
/// Readers ([`connection`](ClientProvider::connection)) never wait: a cluster is served, or it is unavailable and a
/// [`ConnectError`] says why. An outage leaves handle and revision as they are.
///
/// # Runtime
///
/// A fleet runs on the Tokio runtime (with time and I/O enabled) in which it was built. Without one, or where that has
/// ended, it runs on the one in which a cluster is added. A cluster that is added outside of any is unavailable, with
/// [`Environment`](crate::ConnectErrorKind::Environment), until it is added again within one.
///
/// Tokio has no call that returns whether a runtime has time enabled: the first timer panics where it has not. The fleet
/// catches this panic, and the cluster is unavailable with [`Environment`](crate::ConnectErrorKind::Environment). The panic hook
/// runs, and a program that is built with `panic = "abort"` ends. Build runtimes with `enable_all`.
///
/// [`shutdown`](Self::shutdown) ends the tasks, closes the connections and waits for both. Dropping the last handle ends
/// the tasks as well; clients that the program still holds then stay as they are, with the credentials of that moment.
///
/// # Cancel safety
///
/// Dropping the future of any method gives up waiting; what was asked for happens all the same.
///
/// # Examples
///
/// ```no_run
/// use clientmgr_kube::Fleet;
/// use clientmgr_kube::k8s_openapi::api::core::v1::Namespace;
/// use clientmgr_kube::kube::{Api, api::ListParams};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let fleet = Fleet::from_kubeconfig()?;
/// let client = fleet.client("prod").await?;
/// let namespaces = Api::<Namespace>::all(client).list(&ListParams::default()).await?;
/// println!("{} namespaces", namespaces.items.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Fleet {
    inner: Arc<Inner>,
}

/// A handle that does not keep a [`Fleet`] alive.
#[derive(Clone)]
pub struct WeakFleet(Weak<Inner>);

impl WeakFleet {
    /// Returns the fleet, unless its last handle was dropped.
    pub fn upgrade(&self) -> Option<Fleet> {
        self.0.upgrade().map(|inner| Fleet { inner })
    }
}

impl fmt::Debug for WeakFleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakFleet").finish_non_exhaustive()
    }
}

struct Inner {
    registry: Arc<Registry>,
    context: Arc<Context>,
    /// Reports jumps of the clock to the members.
    clock_watch: Mutex<Option<JoinHandle<()>>>,
}

impl Fleet {
    /// Returns a fleet of every context of the kubeconfig that kubectl would use. Its clusters connect by themselves.
    ///
    /// Blocks on reading the file, which is read once: to follow its changes, call [`add_contexts`](Self::add_contexts) again.
    /// Files that it names, and plugins, are followed.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] where the kubeconfig cannot be read, or there is no Tokio runtime.
    pub fn from_kubeconfig() -> Result<Self, ConnectError> {
        Handle::try_current().map_err(|_| ConnectError::without_cluster(Failure::NoRuntime))?;
        let fleet = Self::new();
        fleet.add_contexts(&read_kubeconfig()?);
        Ok(fleet)
    }

    pub(super) fn with_context(context: Context) -> Self {
        let inner = Inner {
            registry: Arc::new(Registry::default()),
            context: Arc::new(context),
            clock_watch: Mutex::new(None),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Adds a cluster, or gives one that is there another configuration. The cluster connects by itself.
    ///
    /// An equal configuration changes nothing, however often it is given. Another one is proven first: what cannot be
    /// loaded, is refused or not reached leaves the connection of before in use, and shows as the
    /// [snapshot's](Self::snapshot) error. If the same cluster answers, its revision and handle stay.
    pub fn upsert(&self, cluster: impl Into<NamespacedName>, config: impl Into<ClusterConfig>) {
        if self.inner.registry.upsert(cluster.into(), &config.into(), &self.inner.context) {
            self.watch_clock();
        }
    }

    /// Adds every context of `kubeconfig` as a cluster without a namespace, named as the context.
    ///
    /// A context that is wrong is added as well: its snapshot says what is wrong, and the others are not concerned. A
    /// context that did not change changes nothing. Clusters whose context is gone stay until they are
    /// [removed](Self::remove).
    pub fn add_contexts(&self, kubeconfig: &Kubeconfig) {
        for context in contexts(kubeconfig) {
            let config = ClusterConfig::from_kubeconfig(kubeconfig, context);
            self.upsert(NamespacedName::cluster_scoped(context), config);
        }
    }

    /// Removes a cluster and fences its handle. Returns whether there was one.
    pub fn remove(&self, cluster: impl Into<NamespacedName>) -> bool {
        let cluster = cluster.into();
        let removed = self.inner.registry.remove(&cluster);
        if removed {
            self.inner.context.events.changed(&cluster);
        }
        removed
    }

    /// Returns a client of `cluster`, for programs that need no staleness rules. Waits for the attempt under way, or for the
    /// next one, which begins at most a second after the last one failed. An attempt has the
    /// [connect deadline](crate::FleetBuilder::connect_deadline).
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: there is no such cluster, or the attempt (or, during an outage, the probe) under way failed. The
    /// fleet goes on trying.
    pub async fn client(&self, cluster: impl Into<NamespacedName>) -> Result<Client, ConnectError> {
        let member = self.inner.registry.find(&cluster.into())?;
        self.wait(&member, Request::Connected).await?;
        client_of(member.key(), &member.published().serving()?)
    }

    /// Waits until `cluster` is connected and returns its revision.
    ///
    /// # Errors
    ///
    /// As those of [`client`](Self::client).
    pub async fn wait_connected(&self, cluster: impl Into<NamespacedName>) -> Result<ConnectedAt, ConnectError> {
        let member = self.inner.registry.find(&cluster.into())?;
        self.wait(&member, Request::Connected).await
    }

    /// Probes the connection of `cluster` now, and connects one that has none. Returns the revision.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] where the probe failed. One failure takes no cluster out of service; the
    /// [threshold](crate::FleetBuilder::failure_threshold) does.
    pub async fn probe(&self, cluster: impl Into<NamespacedName>) -> Result<ConnectedAt, ConnectError> {
        let member = self.inner.registry.find(&cluster.into())?;
        self.wait(&member, Request::Probe).await
    }

    /// Loads the configuration of `cluster` anew (files, credential plugin), proves it, and exchanges the connection
    /// under the handle. Skips the backoff. Returns the revision, which is the same if the same cluster answers.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] where no connection could be made; the old one stays in use.
    pub async fn reconnect(&self, cluster: impl Into<NamespacedName>) -> Result<ConnectedAt, ConnectError> {
        let member = self.inner.registry.find(&cluster.into())?;
        self.wait(&member, Request::Reconnect).await
    }

    /// Gives `cluster` a new revision: its handle is fenced, and every object resets what it built on it. Returns the new
    /// revision.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] where the cluster is not connected and the attempt failed: the next connection has a new revision.
    /// Also where the configuration [only adopts](crate::Naming::AdoptOnly).
    pub async fn reset(&self, cluster: impl Into<NamespacedName>) -> Result<ConnectedAt, ConnectError> {
        let member = self.inner.registry.find(&cluster.into())?;
        self.wait(&member, Request::Reset { candidate: ConnectedAt::now() }).await
    }

    async fn wait(&self, member: &Member, what: Request) -> Result<ConnectedAt, ConnectError> {
        let served = member.published().serving();
        if let (Request::Connected, Ok(connection)) = (what, &served) {
            return Ok(connection.revision);
        }
        let failed = |failure| ConnectError::new(member.key().clone(), failure);
        // A little more than an attempt has, so that the attempt's own error is the answer.
        let deadline = self.inner.context.deadline.saturating_mul(2);
        match clock::timeout(deadline, member.ask(what)).await {
            None => Err(served.err().unwrap_or_else(|| failed(Failure::NoRuntime))),
            // Why the last attempt failed says more than that time passed.
            Some(Err(_elapsed)) => match member.published().serving() {
                Err(error) if error.kind() != ConnectErrorKind::Connecting => Err(error),
                _ => Err(failed(Failure::DeadlinePassed { deadline })),
            },
            Some(Ok(answer)) => answer?.ok_or_else(|| failed(Failure::Unauthorized)),
        }
    }

    /// Returns the state of `cluster` at this moment; none where there is no such cluster.
    pub fn snapshot(&self, cluster: impl Into<NamespacedName>) -> Option<ClusterSnapshot> {
        self.inner.registry.read(&cluster.into(), |member| Some(member?.published().snapshot()))
    }

    /// Returns what happened to `cluster`: its last 32 transitions, with their times and reasons; none where there is no
    /// such cluster.
    pub fn explain(&self, cluster: impl Into<NamespacedName>) -> Option<Explanation> {
        self.inner.registry.read(&cluster.into(), |member| Some(member?.published().explanation()))
    }

    /// Returns the state of every cluster, in the order of their keys.
    pub fn snapshots(&self) -> Vec<ClusterSnapshot> {
        self.inner.registry.all().iter().map(|member| member.published().snapshot()).collect()
    }

    /// Returns the keys of the clusters, sorted.
    pub fn clusters(&self) -> Vec<NamespacedName> {
        self.inner.registry.all().iter().map(|member| member.key().clone()).collect()
    }

    /// Returns a handle that does not keep the fleet alive.
    pub fn downgrade(&self) -> WeakFleet {
        WeakFleet(Arc::downgrade(&self.inner))
    }

    /// Subscribes to changes of the clusters. The first item is [`Resync`](crate::ClusterChanges::Resync).
    pub fn events(&self) -> Events {
        self.inner.context.events.subscribe()
    }

    /// Ends the fleet: fences every handle, closes every connection, waits until all tasks have ended, and ends the streams of
    /// [`events`](Self::events). Clusters that are added later are not connected. A second call waits as well.
    ///
    /// A client that the program still holds keeps one idle task, kube's own, until it is dropped.
    pub async fn shutdown(&self) {
        self.inner.registry.shut_down();
        // After nothing can be added, so that no watch of the clock begins behind this one.
        let clock_watch = self.inner.clock_watch.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(clock_watch) = clock_watch {
            clock_watch.abort();
        }
        self.inner.context.settings.tasks.stop().await;
        self.inner.context.events.end();
    }

    /// Starts the task that notices jumps of the clock, once.
    fn watch_clock(&self) {
        let mut clock_watch = self.inner.clock_watch.lock().unwrap_or_else(PoisonError::into_inner);
        let is_watched = clock_watch.as_ref().is_some_and(|task| !task.is_finished());
        if is_watched || self.inner.registry.is_shut_down() {
            return;
        }
        let Some(runtime) = self.inner.context.runtime() else { return };
        let (registry, clock) = (Arc::downgrade(&self.inner.registry), self.inner.context.clock.clone());
        let watch = async move {
            let mut last = clock.now();
            loop {
                tokio::time::sleep(CLOCK_INTERVAL).await;
                let Some(registry) = registry.upgrade() else { return };
                let now = clock.now();
                if clock::jumped(last, now) {
                    registry.all().iter().for_each(|member| member.send(Message::ClockJumped));
                }
                last = now;
            }
        };
        *clock_watch = Some(self.inner.context.settings.tasks.spawn_on(watch, &runtime));
    }
}

#[async_trait]
impl ClientProvider for Fleet {
    type Client = Client;
    type Key = NamespacedName;
    type Revision = ConnectedAt;

    async fn connection(&self, cluster: &NamespacedName) -> Result<Connection<Client, ConnectedAt>, ProviderError> {
        let serving = self.inner.registry.read(cluster, |member| Some(member?.published().serving()));
        // Without the registry's lock, since the client may be made now.
        let served = match serving {
            Some(served) => served,
            // A cluster that is not known may be added; after the shutdown none is.
            None if self.inner.registry.is_shut_down() => Err(ConnectError::new(cluster.clone(), Failure::ShutDown)),
            None => return Err(ProviderError::NotFound),
        };
        let connection = served
            .and_then(|served| Ok(Connection { client: client_of(cluster, &served)?, revision: served.revision }));
        connection.map_err(|error| error.to_provider_error(self.inner.context.retry))
    }
}

/// The client of what is served.
fn client_of(
    cluster: &NamespacedName,
    served: &Connection<client::Handle, ConnectedAt>,
) -> Result<Client, ConnectError> {
    served.client.client().ok_or_else(|| ConnectError::new(cluster.clone(), Failure::ShutDown))
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(clock_watch) = self.clock_watch.get_mut().unwrap_or_else(PoisonError::into_inner) {
            clock_watch.abort();
        }
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("clusters", &self.inner.registry.len()).finish_non_exhaustive()
    }
}
