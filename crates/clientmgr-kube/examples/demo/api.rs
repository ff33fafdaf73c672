//! The hub's resources: clusters, and the beacons that the controller reconciles.

use clientmgr_kube::{ClusterObject, ConnectedAt, ResourceName as _};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A remote cluster. Its status names the revision of the current connection.
#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(group = "demo.clientmgr.dev", version = "v1", kind = "Cluster", namespaced, status = "ClusterStatus")]
pub(crate) struct ClusterSpec {}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClusterStatus {
    pub(crate) connected_at: Option<ConnectedAt>,
    pub(crate) error: Option<String>,
}

impl ClusterObject for Cluster {
    fn cluster_name(&self) -> (&str, &str) {
        self.namespace_and_name()
    }

    fn connected_at(&self) -> Option<ConnectedAt> {
        self.status.as_ref()?.connected_at
    }
}

/// Asks for a message to be kept in a ConfigMap on a cluster.
#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(group = "demo.clientmgr.dev", version = "v1", kind = "Beacon", namespaced)]
pub(crate) struct BeaconSpec {
    /// The name of the cluster object, in the beacon's namespace.
    pub(crate) cluster: String,
    pub(crate) message: String,
}
