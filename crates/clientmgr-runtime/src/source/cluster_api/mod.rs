//! [`ClusterApi`]: the clusters that Cluster API manages.

mod join;

use clientmgr_kube::Policy;
use clientmgr_kube::k8s_openapi::api::core::v1::Secret;
use clientmgr_kube::kube::Client;
use clientmgr_kube::kube::api::DynamicObject;
use clientmgr_kube::kube::runtime::watcher;
use futures::stream::{self, Stream, StreamExt};

use self::join::{ClusterSeen, Join, SecretSeen, cluster_of_secret};
use super::event::SourceEvent;
use super::secret::KubeconfigFormat;
use super::target::{Kind, Namespaces};
use super::watch::{Observed, combined, key_of};

const CLUSTERS: Kind =
    Kind { group: "cluster.x-k8s.io", name: "Cluster", plural: "clusters", versions: &["v1beta2", "v1beta1"] };

/// A source of Cluster API's clusters. The cluster's key is the namespace and name of its `Cluster`.
///
/// A cluster is added once its control plane is initialized and the Secret `<cluster>-kubeconfig` is there. Neither a pause
/// nor its deletion removes it: it goes when its `Cluster` object is gone, so that what it runs can be cleaned up. A
/// Secret that is deleted, or cannot be used, is an error of the cluster, which keeps the connection that it has; a Secret
/// that is made again is a rotation.
///
/// Cluster API's contract says that this Secret is not for sharing with other applications: prefer credentials of your own
/// where you can.
///
/// # Examples
///
/// ```no_run
/// # fn example(hub: clientmgr_kube::kube::Client, fleet: clientmgr_kube::Fleet) {
/// use clientmgr_runtime::source::{ClusterApi, Sources};
///
/// let sources = Sources::new(fleet).source("cluster-api", ClusterApi::new(hub).watch()).spawn();
/// # drop(sources);
/// # }
/// ```
#[derive(Clone)]
#[must_use = "call `watch`"]
pub struct ClusterApi {
    client: Client,
    namespaces: Namespaces,
    policy: Policy,
}

impl ClusterApi {
    /// Returns the source of the clusters in all namespaces of the hub, with the policy
    /// [`for_secrets`](Policy::for_secrets).
    pub fn new(client: Client) -> Self {
        Self { client, namespaces: Namespaces::default(), policy: Policy::for_secrets() }
    }

    /// Reads these namespaces only.
    pub fn namespaces(self, namespaces: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { namespaces: Namespaces::of(namespaces), ..self }
    }

    /// Sets what the kubeconfigs may do.
    pub fn policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Returns the source, which watches the clusters and their Secrets while it is polled.
    pub fn watch(self) -> impl Stream<Item = SourceEvent> + Send + 'static {
        let labelled = watcher::Config::default().labels("cluster.x-k8s.io/cluster-name");
        let clusters = self.namespaces.dynamic(&self.client, &CLUSTERS).into_iter();
        let secrets = self.namespaces.secrets(&self.client, &labelled).into_iter();
        let count = clusters.len();
        let clusters = clusters.map(|seen| seen.map(|seen| map(seen, Seen::Cluster)).boxed());
        let secrets = secrets.map(|seen| seen.map(|seen| map(seen, Seen::Secret)).boxed());
        let (mut join, format) = (Join::default(), KubeconfigFormat::new("value").policy(self.policy));
        combined(clusters.chain(secrets)).flat_map(move |(at, seen)| {
            stream::iter(match seen {
                Observed::Applied(Seen::Cluster(object)) => {
                    join.cluster(key_of(&object), ClusterSeen::Is { ready: is_initialized(&object) })
                }
                Observed::Applied(Seen::Secret(secret)) => match cluster_of_secret(&key_of(&secret)) {
                    Some(cluster) => join.secret(&cluster, SecretSeen::Is(format.config(&secret))),
                    None => Vec::new(),
                },
                Observed::Gone(key) if at < count => join.cluster(key, ClusterSeen::Gone),
                Observed::Gone(key) => match cluster_of_secret(&key) {
                    Some(cluster) => join.secret(&cluster, SecretSeen::Gone),
                    None => Vec::new(),
                },
                Observed::Synced => join.synced(),
                Observed::Failed(error) => vec![SourceEvent::Failed(error)],
            })
        })
    }
}

impl std::fmt::Debug for ClusterApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterApi").field("namespaces", &self.namespaces).finish_non_exhaustive()
    }
}

/// What is watched: one of two kinds.
#[derive(Debug)]
enum Seen {
    Cluster(DynamicObject),
    Secret(Secret),
}

fn map<K>(seen: Observed<K>, kind: impl FnOnce(K) -> Seen) -> Observed<Seen> {
    match seen {
        Observed::Applied(object) => Observed::Applied(kind(object)),
        Observed::Gone(key) => Observed::Gone(key),
        Observed::Synced => Observed::Synced,
        Observed::Failed(error) => Observed::Failed(error),
    }
}

/// Whether the control plane was initialized, in the words of v1beta2 or of v1beta1.
fn is_initialized(cluster: &DynamicObject) -> bool {
    let status = &cluster.data["status"];
    let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    status["initialization"]["controlPlaneInitialized"] == true
        || status["controlPlaneReady"] == true
        || conditions
            .iter()
            .any(|condition| condition["type"] == "ControlPlaneInitialized" && condition["status"] == "True")
}

#[cfg(test)]
mod tests {
    use clientmgr_kube::kube::api::DynamicObject;
    use serde_json::{Value, json};

    use super::is_initialized;

    #[test]
    fn a_cluster_is_ready_once_its_control_plane_was_initialized() {
        let table: [(Value, bool); 6] = [
            (json!(null), false),
            (json!({"initialization": {"infrastructureProvisioned": true}}), false),
            (json!({"initialization": {"controlPlaneInitialized": true}}), true),
            (json!({"controlPlaneReady": true}), true),
            (json!({"conditions": [{"type": "ControlPlaneInitialized", "status": "False"}]}), false),
            (json!({"conditions": [{"type": "Ready"}, {"type": "ControlPlaneInitialized", "status": "True"}]}), true),
        ];
        for (status, expected) in table {
            let object = json!({"metadata": {"name": "a"}, "status": status});
            let cluster: DynamicObject = serde_json::from_value(object).unwrap();
            assert_eq!(is_initialized(&cluster), expected, "{status}");
        }
    }
}
