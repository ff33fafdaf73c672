//! [`ClusterProvider`]: the clients of the declared clusters. A fleet, and what is known of the clusters it does not have.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use clientmgr_kube::{ClientProvider, ConnectedAt, Connection, DynProvider, Fleet, NamespacedName, ProviderError};
use kube::Client;

use super::connection::Desired;
use super::hub_error::HubError;
use super::problem::ConfigProblem;

/// The clients of the clusters that `Cluster` objects declare. Cheap to clone; all clones are one provider.
///
/// It answers as its [`Fleet`] does. For a cluster that the fleet does not have, it says why: the configuration is
/// [broken](ConfigProblem), the cluster has no Kubernetes client, or the controller [does not know](NotConnected) yet. Only a
/// cluster that no object declares is not found.
#[derive(Clone)]
pub struct ClusterProvider {
    fleet: Fleet,
    known: Arc<RwLock<Known>>,
}

/// What the controller knows of the Clusters.
#[derive(Default)]
struct Known {
    listing: Listing,
    declared: HashMap<NamespacedName, Declared>,
}

/// Whether the Clusters were listed.
#[derive(Default)]
enum Listing {
    #[default]
    Pending,
    Failed(HubError),
    Done,
}

/// A declared cluster, and why the fleet does not have it.
#[derive(Clone, Debug)]
enum Declared {
    Connecting,
    Broken(Arc<ConfigProblem>),
    Docker(Arc<str>),
    /// The fleet has it, and refuses the revision that the status names.
    Fenced(ConnectedAt),
}

/// Why there is no client of a cluster yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotConnected {
    /// The controller has not listed the Clusters: it was just started.
    #[error("the Clusters are not listed yet")]
    Unlisted,
    /// The controller cannot list the Clusters.
    #[error("the Clusters are not listed yet: {0}")]
    Hub(HubError),
    /// The cluster is declared, and about to be connected.
    #[error("the cluster is being connected")]
    Connecting,
    /// Another cluster answered for a moment, and this process, which does not write the status, revoked the clients of the
    /// revision that the status still names. It serves the cluster again under a later revision.
    #[error(
        "revision {revision} was revoked in this process, because another cluster answered for a moment: raise spec.epoch of \
         the Cluster for a new revision, or restart this process"
    )]
    Fenced {
        /// The revision that the status names.
        revision: ConnectedAt,
    },
}

/// The cluster is a Docker engine, which has no Kubernetes client.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the cluster is a docker engine at {host}: it has no Kubernetes client")]
pub struct DockerCluster {
    /// The address of the engine.
    pub host: Arc<str>,
}

impl ClusterProvider {
    pub(super) fn new(fleet: Fleet) -> Self {
        Self { fleet, known: Arc::default() }
    }

    /// Returns the fleet that holds the connections.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Notes what the spec of `cluster` asks for.
    pub(super) fn note(&self, cluster: &NamespacedName, desired: &Desired) {
        let declared = match desired {
            Desired::Connect(_) => Declared::Connecting,
            Desired::Pending(problem) | Desired::Broken(problem) => Declared::Broken(Arc::clone(problem)),
            Desired::Docker(host) => Declared::Docker(Arc::clone(host)),
        };
        self.known().declared.insert(cluster.clone(), declared);
    }

    /// Notes that the fleet refuses the revision that the status of `cluster` names, because it has fenced it.
    pub(super) fn note_fenced(&self, cluster: &NamespacedName, revision: ConnectedAt) {
        self.known().declared.insert(cluster.clone(), Declared::Fenced(revision));
    }

    fn is_fenced(&self, cluster: &NamespacedName) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        matches!(known.declared.get(cluster), Some(Declared::Fenced(_)))
    }

    pub(super) fn forget(&self, cluster: &NamespacedName) {
        self.known().declared.remove(cluster);
    }

    /// All Clusters are known.
    pub(super) fn listed(&self) {
        self.known().listing = Listing::Done;
    }

    /// The Clusters cannot be listed. What was listed before is known all the same.
    pub(super) fn list_failed(&self, error: HubError) {
        let mut known = self.known();
        if !matches!(known.listing, Listing::Done) {
            known.listing = Listing::Failed(error);
        }
    }

    fn known(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn why_without(&self, cluster: &NamespacedName) -> ProviderError {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        match known.declared.get(cluster) {
            None => match &known.listing {
                Listing::Done => ProviderError::NotFound,
                Listing::Failed(error) => ProviderError::unavailable(NotConnected::Hub(error.clone())),
                Listing::Pending => ProviderError::unavailable(NotConnected::Unlisted),
            },
            Some(Declared::Fenced(revision)) => {
                ProviderError::unavailable(NotConnected::Fenced { revision: *revision })
            }
            Some(Declared::Connecting) => ProviderError::unavailable(NotConnected::Connecting),
            Some(Declared::Broken(problem)) => ProviderError::unavailable(ConfigProblem::clone(problem)),
            Some(Declared::Docker(host)) => ProviderError::incompatible(DockerCluster { host: Arc::clone(host) }),
        }
    }
}

#[async_trait::async_trait]
impl ClientProvider for ClusterProvider {
    type Client = Client;
    type Key = NamespacedName;
    type Revision = ConnectedAt;

    async fn connection(&self, cluster: &NamespacedName) -> Result<Connection<Client, ConnectedAt>, ProviderError> {
        match self.fleet.connection(cluster).await {
            Err(ProviderError::NotFound) => Err(self.why_without(cluster)),
            Err(_) if self.is_fenced(cluster) => Err(self.why_without(cluster)),
            answer => answer,
        }
    }
}

impl From<ClusterProvider> for DynProvider {
    fn from(provider: ClusterProvider) -> Self {
        Self::new(provider)
    }
}

impl fmt::Debug for ClusterProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterProvider").field("fleet", &self.fleet).finish_non_exhaustive()
    }
}
