//! The status of a [`Cluster`](super::Cluster): what its connection is, as the writer of the status last saw it.
#![expect(unreachable_pub, reason = "the derive of the schema repeats each type inside a function")]

use clientmgr_kube::{ConnectedAt, Incarnation};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What the connection of a cluster is. Only the elected controller writes it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// The revision: when this incarnation of the cluster was first connected. It stays through outages, restarts and
    /// rotated credentials, and changes when another cluster answers or `spec.epoch` was raised.
    // Others are no time for a client: one such object would end every watch of Clusters.
    #[x_kube(validation = Rule::new(
        "self > timestamp('1970-01-01T00:00:00Z') && self < timestamp('9999-01-01T00:00:00Z')"
    ).message("connectedAt must be after 1970-01-01T00:00:00Z and before the year 9999"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_at: Option<ConnectedAt>,

    /// Which cluster it is: the UID of its namespace `kube-system`, or a hash of its address where that may not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,

    /// The `spec.epoch` that `connectedAt` belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_epoch: Option<i64>,

    /// What failed last, and the field that is wrong. Empty while everything is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,

    /// The version of the cluster's API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// When the credentials in use end, where that is known. They are renewed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_expire_at: Option<Time>,

    /// The `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Connected`, `Ready` and `CredentialsValid`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

impl ClusterStatus {
    /// Returns the incarnation of the cluster that this status names, for [`with_incarnation`]. `None` where the cluster
    /// was never connected, or the identity is not one.
    ///
    /// [`with_incarnation`]: clientmgr_kube::ClusterConfig::with_incarnation
    pub fn incarnation(&self) -> Option<Incarnation> {
        let identity = self.identity.as_deref()?.parse().ok()?;
        Some(Incarnation { identity, revision: self.connected_at? })
    }
}
