//! What goes wrong on the hub: the clusters stay, and the status says so.

use std::time::Duration;

use clientmgr_fake::apiserver::{Fault, Requests, TestServer, of};
use clientmgr_runtime::source::{KubeconfigSecrets, SourceError};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};

use super::fixture::{Fed, NAMESPACE, key, member};

async fn hub() -> (TestServer, Api<Secret>, Client) {
    let server = TestServer::start_default().await.unwrap();
    let client = server.client().await.unwrap();
    let namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}})).unwrap();
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    (server, Api::namespaced(client.clone(), NAMESPACE), client)
}

async fn add(secrets: &Api<Secret>, name: &str, kubeconfig: &str) {
    let secret: Value = json!({
        "metadata": {"name": name, "labels": {"sigs.k8s.io/multicluster-runtime-kubeconfig": "true"}},
        "stringData": {"kubeconfig": kubeconfig},
    });
    secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
}

fn fed(client: Client) -> Fed {
    let source = KubeconfigSecrets::multicluster_runtime(client);
    Fed::by(|sources| sources.source("secrets", source.watch()))
}

fn watches() -> Requests {
    Requests::watch(of::<Secret>())
}

#[tokio::test]
async fn a_watch_that_ends_resumes_without_a_list() {
    let ((hub, secrets, client), (_member, kubeconfig)) = (hub().await, member().await);
    add(&secrets, "east", &kubeconfig).await;
    let mut fed = fed(client);
    fed.connected(&key("east")).await;
    hub.wait_for(watches()).await;
    let marker = hub.marker();
    hub.end_watches(&watches());
    tokio::time::timeout(Duration::from_secs(20), hub.wait_for(watches().since(marker))).await.unwrap();
    add(&secrets, "west", &kubeconfig).await;
    fed.connected(&key("west")).await;
    // And one whose connection is cut.
    let watched = hub.marker();
    hub.cut_connections();
    tokio::time::timeout(Duration::from_secs(20), hub.wait_for(watches().since(watched))).await.unwrap();
    add(&secrets, "north", &kubeconfig).await;
    fed.connected(&key("north")).await;
    assert!(hub.requests_matching(Requests::list(of::<Secret>()).since(marker)).is_empty());
    assert!(fed.sources.status().sources[0].error.is_none());
}

#[tokio::test]
async fn a_hub_that_is_down_keeps_the_clusters_and_what_went_meanwhile_goes_with_the_next_list() {
    let ((hub, secrets, client), (_member, kubeconfig)) = (hub().await, member().await);
    add(&secrets, "east", &kubeconfig).await;
    add(&secrets, "west", &kubeconfig).await;
    let mut fed = fed(client);
    let revision = fed.connected(&key("east")).await;
    fed.connected(&key("west")).await;
    hub.stop().await;
    fed.source("the source is broken", |source| matches!(source.error, Some(SourceError::Hub { .. }))).await;
    assert_eq!(fed.fleet.clusters(), [key("east"), key("west")]);
    fed.fleet.client(key("east")).await.unwrap().apiserver_version().await.unwrap();

    hub.start().await.unwrap();
    fed.source("the source works again", |source| source.error.is_none()).await;
    assert_eq!(fed.connected(&key("east")).await, revision);
    // The list after the outage must not show what was deleted before the source sees it.
    let refused = hub.inject(Fault::Unavailable.on(watches()));
    hub.end_watches(&watches());
    fed.source("the source is broken", |source| source.error.is_some()).await;
    secrets.delete("west", &DeleteParams::default()).await.unwrap();
    refused.lift();
    fed.gone(&key("west")).await;
    assert_eq!(fed.revision(&key("east")), revision);
}

#[tokio::test]
async fn a_compacted_history_leads_to_a_list_and_resets_nothing() {
    let ((hub, secrets, client), (_member, kubeconfig)) = (hub().await, member().await);
    add(&secrets, "east", &kubeconfig).await;
    let mut fed = fed(client);
    let revision = fed.connected(&key("east")).await;
    hub.wait_for(watches()).await;
    let refused = hub.inject(Fault::Unavailable.on(watches()));
    hub.end_watches(&watches());
    fed.source("the source is broken", |source| source.error.is_some()).await;
    add(&secrets, "west", &kubeconfig).await;
    hub.compact();
    refused.lift();
    fed.connected(&key("west")).await;
    fed.source("the source works again", |source| source.error.is_none()).await;
    assert_eq!(fed.revision(&key("east")), revision);
}

#[tokio::test]
async fn a_list_that_fails_from_the_start_says_so_and_removes_nothing() {
    let ((hub, secrets, client), (_member, kubeconfig)) = (hub().await, member().await);
    let forbidden = hub.forbid("*", "list", "secrets");
    add(&secrets, "east", &kubeconfig).await;
    let mut fed = fed(client);
    fed.source("the list is forbidden", |source| {
        let error = source.error.as_ref().filter(|error| matches!(error, SourceError::Forbidden { .. }));
        error.is_some_and(|error| error.to_string().contains("give the hub's client the rights")) && !source.synced
    })
    .await;
    forbidden.lift();
    fed.connected(&key("east")).await;
    fed.source("the source works", |source| source.error.is_none() && source.synced && source.clusters == 1).await;
}
