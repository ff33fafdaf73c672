//! The definition of the resource, without a server.

use kube::CustomResourceExt as _;
use serde_json::json;

use super::{Cluster, Connection, ConnectionKind, SecretKeyRef};

#[test]
fn the_definition_has_a_short_name_a_category_and_columns() {
    let definition = serde_json::to_value(Cluster::crd()).unwrap();
    assert_eq!(definition["metadata"]["name"], "clusters.clientmgr.dev");
    assert_eq!(definition["spec"]["names"]["shortNames"], json!(["cmc"]));
    assert_eq!(definition["spec"]["names"]["categories"], json!(["clientmgr"]));
    let columns = definition["spec"]["versions"][0]["additionalPrinterColumns"].as_array().unwrap();
    let names: Vec<_> = columns.iter().map(|column| column["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Ready", "Reason", "Version", "Connected", "Age", "Paused", "Identity", "Expires", "Error"]);
}

#[test]
fn the_conditions_are_a_map_by_their_type() {
    let definition = serde_json::to_value(Cluster::crd()).unwrap();
    let conditions =
        definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/conditions").unwrap();
    assert_eq!(conditions["x-kubernetes-list-type"], "map");
    assert_eq!(conditions["x-kubernetes-list-map-keys"], json!(["type"]));
}

#[test]
fn a_connection_has_a_kind_only_with_one_field() {
    let read = |json| serde_json::from_value::<Connection>(json).unwrap();
    assert!(matches!(
        read(json!({ "kubeconfig": { "secretRef": { "name": "east" } } })).kind(),
        Some(ConnectionKind::Kubeconfig(kubeconfig)) if kubeconfig.secret_ref == SecretKeyRef::new("east")
    ));
    assert_eq!(read(json!({ "inCluster": {} })).kind(), Some(ConnectionKind::InCluster));
    assert_eq!(read(json!({})).kind(), None);
    assert_eq!(read(json!({ "inCluster": {}, "context": { "name": "east" } })).kind(), None);
    // A field of a later version.
    assert_eq!(read(json!({ "later": {} })).kind(), None);
}

#[test]
fn a_status_names_an_incarnation_with_both_its_parts() {
    let read = |json| serde_json::from_value::<super::ClusterStatus>(json).unwrap().incarnation();
    let (uid, time) = ("0b1cb3f0-9d36-4b07-b8f2-2c40a5b8f6a1", "2026-11-22T12:00:00.123456Z");
    let incarnation = read(json!({ "identity": uid, "connectedAt": time })).unwrap();
    assert_eq!((incarnation.identity.to_string(), incarnation.revision.to_string()), (uid.into(), time.into()));
    assert_eq!(read(json!({ "identity": uid })), None);
    assert_eq!(read(json!({ "connectedAt": time })), None);
    assert_eq!(read(json!({ "identity": "a b", "connectedAt": time })), None);
}

#[test]
fn a_cluster_is_connected_by_its_condition() {
    let cluster = |conditions| -> Cluster {
        let json = json!({
            "apiVersion": "clientmgr.dev/v1alpha1", "kind": "Cluster", "metadata": {},
            "spec": { "connection": { "inCluster": {} } }, "status": { "conditions": conditions },
        });
        serde_json::from_value(json).unwrap()
    };
    let condition = |type_: &str, status: &str| {
        json!([{
            "type": type_, "status": status, "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }])
    };
    assert!(cluster(condition("Connected", "True")).is_connected());
    for conditions in [json!([]), condition("Connected", "False"), condition("Ready", "True")] {
        assert!(!cluster(conditions).is_connected());
    }
}
