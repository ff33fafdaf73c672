//! [`ClusterProvider`]: the clients of the declared clusters. A fleet, and what is known of the clusters it does not have.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use clientmgr_kube::{ClientProvider, ConnectedAt, Connection, DynProvider, Fleet, NamespacedName, ProviderError};
use kube::Client;

use super::connection::Desired;
use super::problem::ConfigProblem;

/// The clients of the clusters that `Cluster` objects declare. Cheap to clone; all clones are one provider.
///
/// It answers as its [`Fleet`] does. For a cluster that the fleet does not have, it says why: the configuration is
/// [broken](ConfigProblem), or the cluster has no Kubernetes client.
#[derive(Clone)]
pub struct ClusterProvider {
    fleet: Fleet,
    others: Arc<RwLock<HashMap<NamespacedName, WithoutClient>>>,
}

/// Why the fleet does not have a declared cluster.
#[derive(Clone, Debug)]
enum WithoutClient {
    Broken(Arc<ConfigProblem>),
    Docker(Arc<str>),
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
        Self { fleet, others: Arc::default() }
    }

    /// Returns the fleet that holds the connections.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Notes what the spec of `cluster` asks for.
    pub(super) fn note(&self, cluster: &NamespacedName, desired: &Desired) {
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        match desired {
            Desired::Connect(_) => drop(others.remove(cluster)),
            Desired::Pending(problem) | Desired::Broken(problem) => {
                others.insert(cluster.clone(), WithoutClient::Broken(Arc::clone(problem)));
            }
            Desired::Docker(host) => {
                others.insert(cluster.clone(), WithoutClient::Docker(Arc::clone(host)));
            }
        }
    }

    pub(super) fn forget(&self, cluster: &NamespacedName) {
        self.others.write().unwrap_or_else(PoisonError::into_inner).remove(cluster);
    }

    fn why_without(&self, cluster: &NamespacedName) -> ProviderError {
        match self.others.read().unwrap_or_else(PoisonError::into_inner).get(cluster) {
            None => ProviderError::NotFound,
            Some(WithoutClient::Broken(problem)) => ProviderError::unavailable(ConfigProblem::clone(problem)),
            Some(WithoutClient::Docker(host)) => ProviderError::incompatible(DockerCluster { host: Arc::clone(host) }),
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
