//! The definition of the `Cluster` resource on an API server: what it takes, and what it refuses in which words.

use clientmgr_fake::apiserver::TestServer;
use clientmgr_kube::kube::api::{ListParams, Patch, PatchParams, PostParams};
use clientmgr_kube::kube::core::DynamicObject;
use clientmgr_kube::kube::discovery::ApiResource;
use clientmgr_kube::kube::runtime::{conditions, wait};
use clientmgr_kube::kube::{Api, Client, CustomResourceExt as _, Error};
use clientmgr_runtime::cluster::Cluster;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

/// Installs the definition, and returns the untyped resource: the types refuse some of what is tried here.
async fn install(client: &Client) -> Api<DynamicObject> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    definitions.create(&PostParams::default(), &Cluster::crd()).await.unwrap();
    let established = conditions::is_crd_established();
    wait::await_condition(definitions, "clusters.clientmgr.dev", established).await.unwrap();
    Api::namespaced_with(client.clone(), "default", &ApiResource::erase::<Cluster>(&()))
}

fn cluster(name: &str, spec: &Value) -> DynamicObject {
    let json = json!({
        "apiVersion": "clientmgr.dev/v1alpha1", "kind": "Cluster", "metadata": { "name": name }, "spec": spec,
    });
    serde_json::from_value(json).unwrap()
}

fn secret_ref(reference: &Value) -> Value {
    json!({ "connection": { "kubeconfig": { "secretRef": reference } } })
}

fn in_cluster(more: &Value) -> Value {
    let mut spec = json!({ "connection": { "inCluster": {} } });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

#[tokio::test]
async fn every_kind_of_connection_is_accepted_and_defaults_are_filled() {
    let server = TestServer::from_env().await.unwrap();
    let api = install(&server.client().await.unwrap()).await;
    let specs = [
        secret_ref(&json!({ "name": "east" })),
        json!({ "connection": { "kubeconfig": { "secretRef": { "name": "a.b", "key": "value" }, "context": "c" } } }),
        json!({ "connection": { "context": { "name": "arn:aws:eks:eu-west-1:1:cluster/prod" } } }),
        json!({ "connection": { "docker": { "host": "unix:///var/run/docker.sock" } } }),
        in_cluster(&json!({
            "defaultNamespace": "shop", "paused": true, "epoch": 7,
            "impersonate": { "user": "alice", "uid": "1", "groups": ["dev"], "extra": { "scopes": ["a", "b"] } },
        })),
    ];
    for (index, spec) in specs.iter().enumerate() {
        api.create(&PostParams::default(), &cluster(&format!("c{index}"), spec)).await.unwrap();
    }
    let first = api.get("c0").await.unwrap();
    assert_eq!(first.data["spec"]["connection"]["kubeconfig"]["secretRef"]["key"], "kubeconfig");
    assert_eq!((&first.data["spec"]["epoch"], &first.data["spec"]["paused"]), (&json!(0), &json!(false)));
    // The types read what the server stored.
    let client = server.client().await.unwrap();
    let typed: Api<Cluster> = Api::namespaced(client, "default");
    assert_eq!(typed.list(&ListParams::default()).await.unwrap().items.len(), specs.len());
    server.shutdown().await;
}

#[tokio::test]
async fn what_is_no_cluster_is_refused_in_words_that_name_the_field() {
    let server = TestServer::from_env().await.unwrap();
    let api = install(&server.client().await.unwrap()).await;
    let one = "set exactly one of kubeconfig, inCluster, context and docker";
    let docker = |more: &Value| {
        let mut spec = in_cluster(more);
        spec["connection"] = json!({ "docker": { "host": "tcp://127.0.0.1:2375" } });
        spec
    };
    let without_client = "a docker cluster has no Kubernetes client: remove defaultNamespace and impersonate";
    let table = [
        (json!({}), "spec.connection"),
        (json!({ "connection": {} }), one),
        (json!({ "connection": { "inCluster": {}, "context": { "name": "a" } } }), one),
        (json!({ "connection": { "inCluster": {}, "docker": { "host": "tcp://a" } } }), one),
        (docker(&json!({ "defaultNamespace": "a" })), without_client),
        (docker(&json!({ "impersonate": { "user": "a" } })), without_client),
        (json!({ "connection": { "docker": { "host": "somewhere" } } }), "spec.connection.docker.host"),
        (json!({ "connection": { "docker": {} } }), "spec.connection.docker.host"),
        (json!({ "connection": { "context": { "name": "" } } }), "spec.connection.context.name"),
        (json!({ "connection": { "kubeconfig": {} } }), "spec.connection.kubeconfig.secretRef"),
        (secret_ref(&json!({})), "secretRef.name"),
        (secret_ref(&json!({ "name": "" })), "secretRef.name"),
        (secret_ref(&json!({ "name": "East" })), "secretRef.name"),
        (secret_ref(&json!({ "name": "a/b" })), "secretRef.name"),
        (secret_ref(&json!({ "name": "a", "key": "" })), "secretRef.key"),
        (secret_ref(&json!({ "name": "a", "key": "a/b" })), "secretRef.key"),
        (in_cluster(&json!({ "defaultNamespace": "" })), "spec.defaultNamespace"),
        (in_cluster(&json!({ "defaultNamespace": "A" })), "spec.defaultNamespace"),
        (in_cluster(&json!({ "epoch": -1 })), "spec.epoch"),
        (in_cluster(&json!({ "epoch": "1" })), "spec.epoch"),
        (in_cluster(&json!({ "impersonate": {} })), "spec.impersonate.user"),
        (in_cluster(&json!({ "impersonate": { "user": "" } })), "spec.impersonate.user"),
        (in_cluster(&json!({ "impersonate": { "user": "a", "groups": [""] } })), "spec.impersonate.groups[0]"),
    ];
    for (index, (spec, words)) in table.iter().enumerate() {
        let error = api.create(&PostParams::default(), &cluster(&format!("c{index}"), spec)).await;
        let Err(Error::Api(status)) = error else { panic!("{spec}: {error:?}") };
        assert_eq!(status.code, 422, "{spec}: {status}");
        assert!(status.message.contains(words), "{spec}: {}", status.message);
    }
    server.shutdown().await;
}

#[tokio::test]
async fn the_epoch_only_grows() {
    let server = TestServer::from_env().await.unwrap();
    let api = install(&server.client().await.unwrap()).await;
    api.create(&PostParams::default(), &cluster("east", &in_cluster(&json!({ "epoch": 2 })))).await.unwrap();
    let set = |epoch: Value| {
        let (api, patch) = (api.clone(), json!({ "spec": { "epoch": epoch } }));
        async move { api.patch("east", &PatchParams::default(), &Patch::Merge(patch)).await }
    };
    set(json!(2)).await.unwrap();
    set(json!(3)).await.unwrap();
    for epoch in [json!(2), Value::Null] {
        let error = set(epoch).await.unwrap_err().to_string();
        assert!(error.contains("epoch may only grow"), "{error}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_status_that_is_based_on_an_older_version_is_refused() {
    let server = TestServer::from_env().await.unwrap();
    let api = install(&server.client().await.unwrap()).await;
    let before = api.create(&PostParams::default(), &cluster("east", &in_cluster(&json!({})))).await.unwrap();
    let apply = |version: Option<String>| {
        let patch = json!({
            "apiVersion": "clientmgr.dev/v1alpha1", "kind": "Cluster",
            "metadata": { "name": "east", "resourceVersion": version }, "status": { "version": version },
        });
        let api = api.clone();
        async move { api.patch_status("east", &PatchParams::apply("test").force(), &Patch::Apply(patch)).await }
    };
    let after = apply(before.metadata.resource_version.clone()).await.unwrap();
    let Err(Error::Api(status)) = apply(before.metadata.resource_version).await else { panic!("not refused") };
    assert_eq!(status.code, 409, "{status}");
    apply(after.metadata.resource_version).await.unwrap();
    server.shutdown().await;
}

#[tokio::test]
async fn a_revision_that_clients_cannot_read_is_refused() {
    let server = TestServer::from_env().await.unwrap();
    let api = install(&server.client().await.unwrap()).await;
    api.create(&PostParams::default(), &cluster("east", &in_cluster(&json!({})))).await.unwrap();
    let set = async |time: Value| {
        let patch = json!({ "status": { "connectedAt": time } });
        api.patch_status("east", &PatchParams::default(), &Patch::Merge(patch)).await
    };
    set(json!("2026-01-01T00:00:00.000001Z")).await.unwrap();
    for time in ["1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
        let Err(Error::Api(status)) = set(json!(time)).await else { panic!("{time} is not refused") };
        assert_eq!(status.code, 422, "{status}");
        assert!(status.message.contains("connectedAt must be after"), "{time}: {}", status.message);
    }
    set(Value::Null).await.unwrap();
    server.shutdown().await;
}

#[test]
fn the_definition_in_the_repository_is_current() {
    let text = include_str!("../../../../deploy/crds/clusters.clientmgr.dev.yaml");
    let written: Value = serde_saphyr::from_str(text).unwrap();
    assert_eq!(written, serde_json::to_value(Cluster::crd()).unwrap(), "run `cargo xtask crds`");
}
