//! What is wrong with a Cluster shows in its conditions, names the field, and heals by a change.

use clientmgr_fake::apiserver::{Fault, Requests};
use clientmgr_kube::kube::api::DeleteParams;
use clientmgr_kube::{ClientProvider as _, ProviderError};
use clientmgr_runtime::cluster::{Cluster, ConditionType};
use clientmgr_runtime::controller::ConfigProblem;
use serde_json::json;

use super::fixture::{Hub, Running, by_secret, condition, conditions, holds, key, remote};

/// Waits until the Cluster `east` is not ready for this reason, with a message that begins so, after one write.
async fn assert_broken(hub: &Hub, reason: &str, message: &str) {
    let cluster = hub.until("east", |it| condition(it, ConditionType::Ready).1 == reason).await;
    let not = |type_| format!("{type_}=False/{reason}");
    assert_eq!(conditions(&cluster), [not("Connected"), not("Ready"), not("CredentialsValid")]);
    let found = condition(&cluster, ConditionType::CredentialsValid).2;
    assert!(found.starts_with(message), "{found}");
    assert_eq!(cluster.status.unwrap().error, Some(found));
    assert_eq!(hub.status_writes("east").len(), 1);
}

#[tokio::test]
async fn a_missing_secret_is_named_and_connects_once_it_is_created() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let running = hub.run(|settings| settings);
    hub.create("east", by_secret("east")).await;
    let message = "spec.connection.kubeconfig.secretRef.name: secret default/east does not exist";
    assert_broken(&hub, "SecretNotFound", message).await;
    match running.provider.connection(&key("east")).await {
        Err(ProviderError::Unavailable { source, .. }) => {
            let problem = source.downcast_ref::<ConfigProblem>();
            assert!(matches!(problem, Some(ConfigProblem::SecretNotFound { .. })), "{source:?}");
        }
        other => panic!("{:?}", other.map(|it| it.revision)),
    }
    hub.kubeconfig("east", &east, &east.admin()).await;
    hub.until_ready("east").await;
}

#[tokio::test]
async fn a_missing_secret_stays_missing_while_the_watch_of_secrets_fails() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let _running = hub.run(|settings| settings);
    hub.create("east", by_secret("east")).await;
    hub.until("east", |it| condition(it, ConditionType::Ready).1 == "SecretNotFound").await;
    let watches = || Requests::watch("secrets");
    let refused = hub.server.inject(Fault::Unavailable.on(watches()));
    hub.server.end_watches(&watches());
    hub.logged(watches().status(503)).await;
    refused.lift();
    let marker = hub.server.marker();
    hub.logged(watches().since(marker).status(200)).await;
    // The next write is the one that says that it was created.
    hub.kubeconfig("east", &east, &east.admin()).await;
    hub.until_ready("east").await;
    assert_eq!(hub.status_writes("east").len(), 2);
}

#[tokio::test]
async fn a_missing_key_is_named_and_connects_once_the_spec_names_another() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let _running = hub.run(|settings| settings);
    hub.secret("east", "value", &east.kubeconfig_yaml(&east.admin())).await;
    hub.create("east", by_secret("east")).await;
    let message =
        "spec.connection.kubeconfig.secretRef.key: secret default/east has no key \"kubeconfig\": correct one of them";
    assert_broken(&hub, "SecretKeyNotFound", message).await;
    let connection = json!({ "kubeconfig": { "secretRef": { "name": "east", "key": "value" } } });
    hub.change("east", json!({ "connection": connection })).await;
    hub.until_ready("east").await;
    // The data is not kept: the Secret was read again for the other key, and is for another namespace.
    hub.change("east", json!({ "defaultNamespace": "other" })).await;
    let is_done = |it: &Cluster| it.status.as_ref().unwrap().observed_generation == it.metadata.generation;
    hub.until("east", is_done).await;
    hub.until_ready("east").await;
    assert_eq!(hub.server.requests_matching(Requests::get("secrets").name("east")).len(), 3);
}

#[tokio::test]
async fn a_secret_that_may_not_be_read_is_named_and_read_again_when_it_changes() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let forbidden = hub.server.forbid("controller", "get", "secrets");
    let client = hub.server.client_for(&hub.server.issue_token("controller")).await.unwrap();
    let _running = Running::start(client, |settings| settings);
    hub.declare("east", &east).await;
    let message = "spec.connection.kubeconfig.secretRef.name: secret default/east is forbidden";
    assert_broken(&hub, "SecretForbidden", message).await;
    forbidden.lift();
    hub.kubeconfig("east", &east, &east.issue_token("alice")).await;
    hub.until_ready("east").await;
}

#[tokio::test]
async fn a_secret_that_is_not_found_though_it_exists_is_read_again() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let running = hub.run(|settings| settings);
    // At the first read, and at a rotation.
    let not_found = || {
        let fault = Fault::status(404, "NotFound", "default backend - 404");
        hub.server.inject(fault.on(Requests::get("secrets").name("east")).times(1))
    };
    let fault = not_found();
    hub.declare("east", &east).await;
    hub.until_ready("east").await;
    assert_eq!(fault.hits(), 1);
    let (fault, writes) = (not_found(), hub.status_writes("east").len());
    hub.kubeconfig("east", &east, &east.issue_token("alice")).await;
    holds("the rotated Secret is used", || {
        running.provider.fleet().snapshot(key("east")).is_some_and(|it| it.user.as_deref() == Some("alice"))
    })
    .await;
    assert_eq!((fault.hits(), hub.status_writes("east").len()), (1, writes));
}

#[tokio::test]
async fn a_hub_that_refuses_everything_for_a_moment_changes_no_status() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let client = hub.server.client_for(&hub.server.issue_token("controller")).await.unwrap();
    let running = Running::start(client, |settings| settings);
    hub.declare("east", &east).await;
    let before = hub.until_ready("east").await.status.unwrap();
    // As an API server that just started: the watch of Secrets resumes, and a change is read.
    let secrets = || Requests::any().resource("secrets").user("controller");
    let refused = hub.server.inject(Fault::Forbidden.on(secrets()).times(1));
    let marker = hub.server.marker();
    hub.server.end_watches(&Requests::watch("secrets"));
    hub.logged(secrets().since(marker).status(403)).await;
    hub.logged(Requests::watch("secrets").since(marker).status(200)).await;
    assert_eq!(refused.hits(), 1);
    let refused = hub.server.inject(Fault::Forbidden.on(Requests::get("secrets").user("controller")).times(1));
    hub.kubeconfig("east", &east, &east.issue_token("alice")).await;
    holds("the rotated Secret is used", || {
        running.provider.fleet().snapshot(key("east")).is_some_and(|it| it.user.as_deref() == Some("alice"))
    })
    .await;
    assert_eq!(refused.hits(), 1);
    let after = hub.clusters().get("east").await.unwrap().status.unwrap();
    assert_eq!((after.conditions, hub.status_writes("east").len()), (before.conditions, 1));
}

#[tokio::test]
async fn secrets_that_may_not_be_watched_are_named() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    hub.server.forbid("controller", "list", "secrets");
    let client = hub.server.client_for(&hub.server.issue_token("controller")).await.unwrap();
    let _running = Running::start(client, |settings| settings);
    hub.declare("east", &east).await;
    let message = "spec.connection.kubeconfig.secretRef.name: secret default/east is forbidden";
    assert_broken(&hub, "SecretForbidden", message).await;
}

#[tokio::test]
async fn a_broken_kubeconfig_names_the_field_and_quotes_nothing() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let _running = hub.run(|settings| settings);
    let text = "
        current-context: c
        contexts: [{ name: c, context: { cluster: c, user: u } }]
        clusters: [{ name: c, cluster: { server: 'https://127.0.0.1:1' } }]
        users: [{ name: u, user: { token: hunter2, client-certificate-data: hunter3 } }]
    ";
    hub.secret("east", "kubeconfig", text).await;
    hub.create("east", by_secret("east")).await;
    let message =
        "spec.connection.kubeconfig.secretRef: key \"kubeconfig\" of secret default/east: users[0].user.client-";
    assert_broken(&hub, "InvalidConfig", message).await;
    let cluster = serde_json::to_string(&hub.clusters().get("east").await.unwrap()).unwrap();
    assert!(!cluster.contains("hunter"), "{cluster}");
    hub.kubeconfig("east", &east, &east.admin()).await;
    hub.until_ready("east").await;
}

#[tokio::test]
async fn what_the_policy_denies_is_named() {
    let hub = Hub::start().await;
    let _running = hub.run(|settings| settings);
    let text = "
        current-context: c
        contexts: [{ name: c, context: { cluster: c, user: u } }]
        clusters: [{ name: c, cluster: { server: 'https://127.0.0.1:1' } }]
        users: [{ name: u, user: { exec: { apiVersion: client.authentication.k8s.io/v1, command: rm } } }]
    ";
    hub.secret("east", "kubeconfig", text).await;
    hub.create("east", by_secret("east")).await;
    let message = "spec.connection.kubeconfig.secretRef: key \"kubeconfig\" of secret default/east: users[0].user.exec";
    assert_broken(&hub, "DeniedByPolicy", message).await;
}

#[tokio::test]
async fn a_deleted_secret_leaves_the_connection_and_shows() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let running = hub.run(|settings| settings);
    hub.declare("east", &east).await;
    hub.until_ready("east").await;
    hub.secrets().delete("east", &DeleteParams::default()).await.unwrap();
    let cluster = hub.until("east", |it| condition(it, ConditionType::Ready).0 == "False").await;
    assert_eq!(
        conditions(&cluster),
        ["Connected=True/Connected", "Ready=False/SecretNotFound", "CredentialsValid=False/SecretNotFound"]
    );
    running.provider.connection(&key("east")).await.unwrap();
    hub.kubeconfig("east", &east, &east.admin()).await;
    hub.until_ready("east").await;
    assert_eq!(hub.status_writes("east").len(), 3);
}

#[tokio::test]
async fn a_status_that_cannot_be_written_is_written_later() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    // The last two without a change of the object: a replica of the API server that starts does not know the resource yet.
    let not_found = Fault::status(404, "NotFound", "the server could not find the requested resource");
    let _running = hub.run(|settings| settings);
    for (name, fault) in [("a", Fault::Unavailable), ("b", not_found), ("c", Fault::Conflict)] {
        let fault = hub.server.inject(fault.on(Requests::patch("clusters/status").name(name)).times(1));
        hub.declare(name, &east).await;
        hub.until_ready(name).await;
        assert_eq!(fault.hits(), 1);
    }
}
