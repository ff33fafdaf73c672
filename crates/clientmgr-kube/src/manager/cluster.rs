//! [`ClusterObject`]: what a controller knows of a cluster, and how a revision is written in a status.

use std::borrow::Cow;
use std::sync::Arc;

use clientmgr_core::{ConnectedAt, NamespacedName, ObservedCluster};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Resource;

use crate::fleet::ClusterSnapshot;

/// A description of a cluster: its name, and in its status the revision of the connection.
///
/// Implement it for the resource that your controllers take clusters from, typed or dynamic. The writer of the status
/// is the process that connects the cluster. An [`ObservedCluster`] and a [`ClusterSnapshot`] are cluster objects too.
///
/// # Examples
///
/// ```
/// use clientmgr_kube::kube::CustomResource;
/// use clientmgr_kube::{ClusterObject, ConnectedAt, ResourceName as _};
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
///     pub connected_at: Option<ConnectedAt>,
/// }
///
/// impl ClusterObject for Cluster {
///     fn cluster_name(&self) -> (&str, &str) {
///         self.namespace_and_name()
///     }
///
///     fn connected_at(&self) -> Option<ConnectedAt> {
///         self.status.as_ref()?.connected_at
///     }
/// }
/// ```
pub trait ClusterObject {
    /// Returns the namespace and the name under which the provider knows the cluster. The namespace is empty for a
    /// cluster-scoped object.
    fn cluster_name(&self) -> (&str, &str);

    /// Returns the revision of the connection, as this object has it. `None` where it has none.
    fn connected_at(&self) -> Option<ConnectedAt>;

    /// Returns the key under which the provider knows the cluster.
    fn cluster_key(&self) -> NamespacedName {
        let (namespace, name) = self.cluster_name();
        NamespacedName::new(namespace, name)
    }
}

impl ClusterObject for ObservedCluster {
    fn cluster_name(&self) -> (&str, &str) {
        (self.key.namespace(), self.key.name())
    }

    fn connected_at(&self) -> Option<ConnectedAt> {
        self.revision
    }

    fn cluster_key(&self) -> NamespacedName {
        self.key.clone()
    }
}

impl ClusterObject for ClusterSnapshot {
    fn cluster_name(&self) -> (&str, &str) {
        (self.cluster.namespace(), self.cluster.name())
    }

    fn connected_at(&self) -> Option<ConnectedAt> {
        self.connected_at
    }

    fn cluster_key(&self) -> NamespacedName {
        self.cluster.clone()
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<C: ClusterObject + ?Sized> ClusterObject for $pointer {
            fn cluster_name(&self) -> (&str, &str) {
                (**self).cluster_name()
            }

            fn connected_at(&self) -> Option<ConnectedAt> {
                (**self).connected_at()
            }

            fn cluster_key(&self) -> NamespacedName {
                (**self).cluster_key()
            }
        }
    )*};
}

// What stores, iterators and trait objects give.
forward!(&C, Arc<C>, Box<C>);

/// The namespace and the name of a Kubernetes object, as a key.
pub trait ResourceName: Resource {
    /// Returns the namespace and the name, each empty where the object has none.
    fn namespace_and_name(&self) -> (&str, &str) {
        let meta = self.meta();
        (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
    }

    /// Returns the namespace and the name as a key.
    fn namespaced_name(&self) -> NamespacedName {
        let (namespace, name) = self.namespace_and_name();
        NamespacedName::new(namespace, name)
    }
}

impl<K: Resource> ResourceName for K {}

/// A cluster object as core's rules see it.
pub(super) struct Observed<'a, C: ?Sized>(pub(super) &'a C);

impl<C: ClusterObject + ?Sized> clientmgr_core::ClusterObject for Observed<'_, C> {
    type Key = NamespacedName;
    type Revision = ConnectedAt;

    fn key(&self) -> Cow<'_, NamespacedName> {
        Cow::Owned(self.0.cluster_key())
    }

    fn has_key(&self, key: &NamespacedName) -> bool {
        self.0.cluster_name() == (key.namespace(), key.name())
    }

    fn revision(&self) -> Option<ConnectedAt> {
        self.0.connected_at()
    }
}

/// Returns the revision of a time in a status. `None` for the zero time, which means that no time was written.
pub fn from_micro_time(time: &MicroTime) -> Option<ConnectedAt> {
    ConnectedAt::from_timestamp(time.0)
}

/// Returns a revision as a time in a status. It is equal to itself after the round trip.
pub fn to_micro_time(connected_at: ConnectedAt) -> MicroTime {
    MicroTime(connected_at.to_timestamp())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clientmgr_core::{ClusterObject as _, ConnectedAt, NamespacedName, ObservedCluster};
    use kube::core::DynamicObject;
    use kube::{CustomResource, CustomResourceExt as _};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::{ClusterObject, Observed, ResourceName as _};

    #[derive(CustomResource, Serialize, Deserialize, Clone, Debug, JsonSchema)]
    #[kube(group = "example.com", version = "v1", kind = "Cluster", namespaced, status = "ClusterStatus")]
    struct ClusterSpec {}

    #[derive(Serialize, Deserialize, Clone, Debug, JsonSchema)]
    #[serde(rename_all = "camelCase")]
    struct ClusterStatus {
        connected_at: Option<ConnectedAt>,
    }

    impl ClusterObject for Cluster {
        fn cluster_name(&self) -> (&str, &str) {
            self.namespace_and_name()
        }

        fn connected_at(&self) -> Option<ConnectedAt> {
            self.status.as_ref()?.connected_at
        }
    }

    /// A cluster object whose kind is known only at run time.
    struct Dynamic(DynamicObject);

    impl ClusterObject for Dynamic {
        fn cluster_name(&self) -> (&str, &str) {
            self.0.namespace_and_name()
        }

        fn connected_at(&self) -> Option<ConnectedAt> {
            serde_json::from_value(self.0.data.pointer("/status/connectedAt")?.clone()).ok()
        }
    }

    #[test]
    fn a_revision_in_a_status_has_the_schema_and_the_text_of_a_micro_time() {
        let definition = serde_json::to_value(Cluster::crd()).unwrap();
        let schema = definition
            .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/connectedAt")
            .unwrap();
        assert_eq!(*schema, serde_json::json!({ "type": "string", "format": "date-time", "nullable": true }));

        let status = ClusterStatus { connected_at: ConnectedAt::from_unix_micros(1_000_000) };
        let written = serde_json::to_value(status).unwrap();
        assert_eq!(written, serde_json::json!({ "connectedAt": "1970-01-01T00:00:01.000000Z" }));
    }

    #[test]
    fn what_points_to_a_cluster_object_is_one() {
        let east = ObservedCluster { key: NamespacedName::from("east"), revision: ConnectedAt::from_unix_micros(1) };
        let boxed: Box<dyn ClusterObject> = Box::new(east.clone());
        let shared = Arc::new(east.clone());
        let all: [&dyn ClusterObject; 4] = [&&east, &shared, &boxed, &*boxed];
        for cluster in all {
            assert_eq!(cluster.cluster_name(), ("", "east"));
            assert_eq!((cluster.cluster_key(), cluster.connected_at()), (east.key.clone(), east.revision));
        }
    }

    #[test]
    fn typed_and_dynamic_objects_are_the_same_cluster() {
        let json = serde_json::json!({
            "apiVersion": "example.com/v1", "kind": "Cluster", "metadata": { "namespace": "fleet", "name": "east" },
            "spec": {}, "status": { "connectedAt": "2026-11-22T12:00:00.123456Z" },
        });
        let typed: Cluster = serde_json::from_value(json.clone()).unwrap();
        let dynamic = Dynamic(serde_json::from_value(json).unwrap());
        let key = NamespacedName::new("fleet", "east");
        assert_eq!((typed.cluster_key(), typed.namespaced_name()), (key.clone(), key.clone()));
        assert_eq!((dynamic.cluster_key(), dynamic.connected_at()), (key.clone(), typed.connected_at()));
        assert!(typed.connected_at().is_some());
        for other in [NamespacedName::new("fleet", "west"), NamespacedName::new("", "east")] {
            assert!(Observed(&typed).has_key(&key) && !Observed(&typed).has_key(&other));
        }
    }
}
