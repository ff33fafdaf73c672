//! Cluster API's clusters, in both versions.

use clientmgr_kube::ConnectErrorKind;
use clientmgr_runtime::source::{ClusterApi, SourceError};
use kube::api::{Api, DeleteParams, DynamicObject};
use serde_json::{Value, json};

use super::fixture::{Fed, Hub, key, member, put};

async fn install(hub: &Hub, version: &str) -> Api<DynamicObject> {
    hub.install("cluster.x-k8s.io", version, "Cluster", "clusters").await
}

fn fed(hub: &Hub) -> Fed {
    let source = ClusterApi::new(hub.client.clone()).namespaces(["fleet"]);
    Fed::by(|sources| sources.source("cluster-api", source.watch()))
}

fn cluster(version: &str, name: &str, more: &Value) -> Value {
    let mut cluster = json!({
        "apiVersion": format!("cluster.x-k8s.io/{version}"), "kind": "Cluster", "metadata": {"name": name},
    });
    cluster.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    cluster
}

fn initialized() -> Value {
    json!({"status": {"initialization": {"controlPlaneInitialized": true}}})
}

fn labels(name: &str) -> Value {
    json!({"cluster.x-k8s.io/cluster-name": name})
}

#[tokio::test]
async fn a_cluster_connects_once_it_is_initialized_and_stays_until_it_is_gone() {
    let (hub, (_member, kubeconfig)) = (Hub::start().await, member().await);
    let clusters = install(&hub, "v1beta2").await;
    put(&clusters, cluster("v1beta2", "east", &json!({}))).await;
    hub.secret("east-kubeconfig", labels("east"), json!({"value": kubeconfig})).await;
    hub.secret("east-ca", labels("east"), json!({"tls.crt": "not read"})).await;
    let mut fed = fed(&hub);
    fed.sources.wait_synced().await.unwrap();
    assert!(fed.fleet.clusters().is_empty(), "the control plane is not initialized");
    put(&clusters, cluster("v1beta2", "east", &initialized())).await;
    let revision = fed.connected(&key("east")).await;

    // A pause and the beginning of a deletion take nothing away; a second cluster shows that both were seen.
    put(&clusters, cluster("v1beta2", "east", &json!({"spec": {"paused": true}}))).await;
    let paused = json!({"metadata": {"name": "east", "annotations": {"cluster.x-k8s.io/paused": ""}}});
    put(&clusters, cluster("v1beta2", "east", &paused)).await;
    let finalizers = json!({"metadata": {"name": "east", "finalizers": ["example.com/cleanup"]}});
    put(&clusters, cluster("v1beta2", "east", &finalizers)).await;
    clusters.delete("east", &DeleteParams::default()).await.unwrap();
    put(&clusters, cluster("v1beta2", "west", &initialized())).await;
    hub.secret("west-kubeconfig", labels("west"), json!({"value": kubeconfig})).await;
    fed.connected(&key("west")).await;
    assert_eq!(fed.revision(&key("east")), revision);
    put(&clusters, cluster("v1beta2", "east", &json!({"metadata": {"name": "east", "finalizers": null}}))).await;
    fed.gone(&key("east")).await;
    assert_eq!(fed.fleet.clusters(), [key("west")]);
}

#[tokio::test]
async fn a_secret_that_is_deleted_and_made_again_is_a_rotation() {
    let (hub, (_member, kubeconfig)) = (Hub::start().await, member().await);
    let clusters = install(&hub, "v1beta1").await;
    put(&clusters, cluster("v1beta1", "east", &json!({"status": {"controlPlaneReady": true}}))).await;
    hub.secret("east-kubeconfig", labels("east"), json!({"value": kubeconfig})).await;
    let mut fed = fed(&hub);
    let revision = fed.connected(&key("east")).await;
    let client = fed.fleet.client(key("east")).await.unwrap();
    hub.delete_secret("east-kubeconfig").await;
    fed.broken(&key("east"), "the Secret fleet/east-kubeconfig is missing").await;
    client.apiserver_version().await.unwrap();
    hub.secret("east-kubeconfig", labels("east"), json!({"value": kubeconfig})).await;
    assert_eq!(fed.connected(&key("east")).await, revision);
    client.apiserver_version().await.unwrap();
    hub.take_keys("east-kubeconfig", json!({"value": null})).await;
    fed.broken(&key("east"), "data.value: it is missing").await;
    client.apiserver_version().await.unwrap();
}

#[tokio::test]
async fn a_label_that_is_removed_and_a_kubeconfig_that_is_denied_are_errors_of_the_cluster_which_stays() {
    let (hub, (_member, kubeconfig)) = (Hub::start().await, member().await);
    let clusters = install(&hub, "v1beta2").await;
    put(&clusters, cluster("v1beta2", "east", &initialized())).await;
    hub.secret("east-kubeconfig", labels("east"), json!({"value": kubeconfig})).await;
    let mut fed = fed(&hub);
    let revision = fed.connected(&key("east")).await;
    let label = |name: Value| json!({"cluster.x-k8s.io/cluster-name": name});
    hub.secret("east-kubeconfig", label(Value::Null), json!({})).await;
    fed.broken(&key("east"), "the Secret fleet/east-kubeconfig is missing").await;
    let denied = kubeconfig.replace("token:", "tokenFile:");
    hub.secret("east-kubeconfig", label(json!("east")), json!({"value": denied})).await;
    fed.broken(&key("east"), "users[0].user.tokenFile").await;
    assert_eq!(fed.fleet.snapshot(key("east")).unwrap().error.unwrap().kind(), ConnectErrorKind::DeniedByPolicy);
    fed.fleet.client(key("east")).await.unwrap().apiserver_version().await.unwrap();
    assert_eq!(fed.revision(&key("east")), revision);
}

#[tokio::test]
async fn a_hub_without_cluster_api_says_so_until_it_is_installed() {
    let (hub, (_member, kubeconfig)) = (Hub::start().await, member().await);
    let mut fed = fed(&hub);
    fed.source("the kind is not served", |source| {
        matches!(source.error, Some(SourceError::NotServed { kind: "Cluster", .. }))
    })
    .await;
    let clusters = install(&hub, "v1beta2").await;
    put(&clusters, cluster("v1beta2", "east", &initialized())).await;
    hub.secret("east-kubeconfig", labels("east"), json!({"value": kubeconfig})).await;
    fed.connected(&key("east")).await;
    fed.source("the source works", |source| source.error.is_none()).await;
}
