//! [`ClusterResource`]: what a controller's own cluster objects tell, and how a revision is written in them.

use std::borrow::Cow;

use clientmgr_core::{ClusterObject, ConnectedAt, NamespacedName};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Resource;

/// A Kubernetes object that describes a cluster: the hub's cluster object.
///
/// Implement it for the resource that your controllers take clusters from. Its status tells the revision of the
/// connection, written by whoever connects the cluster.
///
/// # Example
///
/// ```
/// use clientmgr_kube::{ClusterResource, ConnectedAt, from_micro_time};
/// use clientmgr_kube::k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
/// use kube::CustomResource;
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(CustomResource, Serialize, Deserialize, Clone, Debug, JsonSchema)]
/// #[kube(group = "example.com", version = "v1", kind = "Cluster", namespaced, status = "ClusterStatus")]
/// pub struct ClusterSpec {}
///
/// #[derive(Serialize, Deserialize, Clone, Debug, JsonSchema)]
/// #[serde(rename_all = "camelCase")]
/// pub struct ClusterStatus {
///     pub connected_at: Option<MicroTime>,
/// }
///
/// impl ClusterResource for Cluster {
///     fn connected_at(&self) -> Option<ConnectedAt> {
///         from_micro_time(self.status.as_ref()?.connected_at.as_ref()?)
///     }
/// }
/// ```
pub trait ClusterResource: Resource {
    /// The revision of the connection, as this object tells it. None where it tells of no connection.
    fn connected_at(&self) -> Option<ConnectedAt>;

    /// The key under which the provider knows the cluster: by default this object's namespace and name.
    fn cluster_key(&self) -> Cow<'_, NamespacedName> {
        let meta = self.meta();
        Cow::Owned(NamespacedName::new(
            meta.namespace.as_deref().unwrap_or_default(),
            meta.name.as_deref().unwrap_or_default(),
        ))
    }
}

/// A cluster resource as core's rules see it.
pub(crate) struct Observed<'a, C: ?Sized>(pub(crate) &'a C);

impl<C: ClusterResource + ?Sized> ClusterObject for Observed<'_, C> {
    type Key = NamespacedName;
    type Revision = ConnectedAt;

    fn key(&self) -> Cow<'_, NamespacedName> {
        self.0.cluster_key()
    }

    fn revision(&self) -> Option<ConnectedAt> {
        self.0.connected_at()
    }
}

/// The revision that a time in a status stands for. None for the zero time, which stands for none.
pub fn from_micro_time(time: &MicroTime) -> Option<ConnectedAt> {
    ConnectedAt::from_timestamp(time.0)
}

/// A revision as it is written in a status. It is still the same after the round trip.
pub fn to_micro_time(connected_at: ConnectedAt) -> MicroTime {
    MicroTime(connected_at.to_timestamp())
}
