//! The hub's description of a cluster, and in its status the revision of the connection.

use clientmgr_kube::{ClusterObject, ConnectedAt};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Cluster", status = "ClusterStatus")]
pub(crate) struct ClusterSpec {
    /// The context of the kubeconfig: `admin@prod` or an ARN, which no object may be called.
    pub(crate) context: String,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClusterStatus {
    /// The revision of the connection. It stays through an outage.
    pub(crate) connected_at: Option<ConnectedAt>,
    /// Why the cluster is unavailable.
    pub(crate) error: Option<String>,
}

impl ClusterObject for Cluster {
    fn cluster_name(&self) -> (&str, &str) {
        ("", &self.spec.context)
    }

    fn connected_at(&self) -> Option<ConnectedAt> {
        self.status.as_ref()?.connected_at
    }
}
