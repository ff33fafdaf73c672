//! Labelled Secrets with a kubeconfig each, and Argo CD's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clientmgr_fake::apiserver::TestServer;
use clientmgr_kube::{NamespacedName, Policy};
use clientmgr_runtime::source::{ArgoCdClusters, KubeconfigFormat, KubeconfigSecrets};
use serde_json::{Value, json};

use super::fixture::{Fed, Hub, key, member};

fn labels() -> Value {
    json!({"sigs.k8s.io/multicluster-runtime-kubeconfig": "true"})
}

fn fed(hub: &Hub) -> Fed {
    let source = KubeconfigSecrets::multicluster_runtime(hub.client.clone());
    Fed::by(|sources| sources.source("secrets", source.watch()))
}

#[tokio::test]
async fn a_secret_is_a_cluster_until_it_loses_its_label_or_is_deleted() {
    let (hub, (_member, kubeconfig)) = (Hub::start().await, member().await);
    for name in ["east", "west"] {
        hub.secret(name, labels(), json!({"kubeconfig": kubeconfig})).await;
    }
    hub.secret("other", json!({}), json!({"kubeconfig": kubeconfig})).await;
    let mut fed = fed(&hub);
    fed.sources.wait_synced().await.unwrap();
    assert_eq!(fed.fleet.clusters(), [key("east"), key("west")]);
    fed.connected(&key("east")).await;
    fed.connected(&key("west")).await;

    hub.secret("east", json!({"sigs.k8s.io/multicluster-runtime-kubeconfig": null}), json!({})).await;
    fed.gone(&key("east")).await;
    hub.delete_secret("west").await;
    fed.gone(&key("west")).await;
    assert!(fed.fleet.clusters().is_empty());
}

#[tokio::test]
async fn a_rotated_secret_changes_the_credential_and_not_the_revision() {
    let hub = Hub::start().await;
    let (member, _) = member().await;
    let as_user = |user: &str| json!({"kubeconfig": member.kubeconfig_yaml(&member.issue_token(user))});
    hub.secret("east", labels(), as_user("first")).await;
    let mut fed = fed(&hub);
    let revision = fed.connected(&key("east")).await;
    let client = fed.fleet.client(key("east")).await.unwrap();
    hub.secret("east", labels(), as_user("second")).await;
    fed.until("the new credential is in use", |fleet, _| {
        fleet.snapshot(key("east")).unwrap().user.as_deref() == Some("second")
    })
    .await;
    assert_eq!(fed.user(&key("east")).await, "second");
    assert_eq!(fed.revision(&key("east")), revision);
    client.apiserver_version().await.expect("the previous handle still works");
}

#[tokio::test]
async fn a_missing_key_or_a_bad_kubeconfig_keeps_the_connection_and_names_the_field() {
    let (hub, (_member, kubeconfig)) = (Hub::start().await, member().await);
    hub.secret("east", labels(), json!({"kubeconfig": kubeconfig})).await;
    hub.secret("never", labels(), json!({"config": kubeconfig})).await;
    let mut fed = fed(&hub);
    let revision = fed.connected(&key("east")).await;
    fed.broken(&key("never"), "kubeconfig: it is missing").await;

    hub.take_keys("east", json!({"kubeconfig": null})).await;
    fed.broken(&key("east"), "kubeconfig: it is missing").await;
    fed.fleet.client(key("east")).await.unwrap().apiserver_version().await.unwrap();

    let denied = kubeconfig.replace("    token:", "    username: admin\n    password:");
    hub.secret("east", labels(), json!({"kubeconfig": denied})).await;
    fed.broken(&key("east"), "kubeconfig: users[0].user.username").await;
    let error = fed.fleet.snapshot(key("east")).unwrap().error.unwrap();
    assert_eq!(error.field(), Some("data.kubeconfig"));
    assert_eq!(error.kind(), clientmgr_kube::ConnectErrorKind::DeniedByPolicy);
    fed.fleet.client(key("east")).await.unwrap().apiserver_version().await.unwrap();

    hub.secret("east", labels(), json!({"kubeconfig": kubeconfig})).await;
    assert_eq!(fed.connected(&key("east")).await, revision);
}

#[tokio::test]
async fn a_secret_that_is_deleted_and_made_again_is_a_cluster_that_went_and_came() {
    let (hub, (_member, kubeconfig)) = (Hub::start().await, member().await);
    hub.secret("east", labels(), json!({"kubeconfig": kubeconfig})).await;
    let mut fed = fed(&hub);
    let revision = fed.connected(&key("east")).await;
    let client = fed.fleet.client(key("east")).await.unwrap();
    hub.delete_secret("east").await;
    fed.gone(&key("east")).await;
    client.apiserver_version().await.expect_err("the handle is fenced");
    hub.secret("east", labels(), json!({"kubeconfig": kubeconfig})).await;
    assert!(fed.connected(&key("east")).await > revision);
}

#[tokio::test]
async fn only_the_named_namespaces_are_read() {
    let (hub, (_member, kubeconfig)) = (Hub::start().await, member().await);
    for namespace in ["team-a", "team-b", "team-c"] {
        hub.namespace(namespace).await;
        hub.secret_in(namespace, "one", json!({"cluster": "yes"}), json!({"value.yaml": kubeconfig})).await;
    }
    let source = KubeconfigSecrets::new(hub.client.clone(), "cluster=yes", KubeconfigFormat::flux());
    let source = source.namespaces(["team-a", "team-c"]);
    let mut fed = Fed::by(|sources| sources.source("secrets", source.watch()));
    fed.sources.wait_synced().await.unwrap();
    let expected = [NamespacedName::new("team-a", "one"), NamespacedName::new("team-c", "one")];
    assert_eq!(fed.fleet.clusters(), expected);
    for cluster in &expected {
        fed.connected(cluster).await;
    }
}

#[tokio::test]
async fn an_argo_cd_cluster_connects_with_its_token_or_its_certificate() {
    let hub = Hub::start().await;
    let member = TestServer::start_default().await.unwrap();
    let encoded = |text: &str| STANDARD.encode(text);
    let ca = encoded(&member.ca_pem().unwrap());
    let token = member.issue_token("argo");
    let by_token = json!({"bearerToken": token.token().unwrap(), "tlsClientConfig": {"caData": ca}});
    let issued = member.issue_certificate("argo", std::time::Duration::from_secs(600)).unwrap();
    let kubeconfig = member.kubeconfig_for(&issued);
    let user = serde_json::to_value(&kubeconfig.auth_infos[0]).unwrap();
    let by_certificate = json!({"tlsClientConfig": {
        "caData": ca,
        "certData": user["user"]["client-certificate-data"], "keyData": user["user"]["client-key-data"],
    }});
    let labels = json!({"argocd.argoproj.io/secret-type": "cluster"});
    for (name, config) in [("token", by_token), ("certificate", by_certificate), ("aws", json!({"awsAuthConfig": {}}))]
    {
        let data = json!({"name": name, "server": member.url(), "config": config.to_string()});
        hub.secret(name, labels.clone(), data).await;
    }
    let source = ArgoCdClusters::new(hub.client.clone()).policy(Policy::for_secrets());
    let mut fed = Fed::by(|sources| sources.source("argo", source.watch()));
    for name in ["token", "certificate"] {
        fed.connected(&key(name)).await;
        assert_eq!(fed.user(&key(name)).await, "argo");
    }
    fed.broken(&key("aws"), "config.awsAuthConfig: it is not supported").await;
}

#[tokio::test]
async fn an_argo_cd_cluster_comes_and_goes_with_its_label_its_keys_and_its_secret() {
    let (hub, member) = (Hub::start().await, TestServer::start_default().await.unwrap());
    let token = member.issue_token("argo");
    let ca = STANDARD.encode(member.ca_pem().unwrap());
    let config = json!({"bearerToken": token.token().unwrap(), "tlsClientConfig": {"caData": ca}}).to_string();
    let data = json!({"name": "east", "server": member.url(), "config": config});
    let labels = |value: &Value| json!({"argocd.argoproj.io/secret-type": value});
    hub.secret("east", labels(&json!("cluster")), data.clone()).await;
    let source = ArgoCdClusters::new(hub.client.clone()).namespaces(["fleet"]);
    let mut fed = Fed::by(|sources| sources.source("argo", source.watch()));
    let first = fed.connected(&key("east")).await;
    hub.take_keys("east", json!({"config": null})).await;
    fed.broken(&key("east"), "config: it is missing").await;
    fed.fleet.client(key("east")).await.unwrap().apiserver_version().await.unwrap();
    hub.secret("east", labels(&json!("cluster")), data.clone()).await;
    assert_eq!(fed.connected(&key("east")).await, first);

    hub.secret("east", labels(&Value::Null), json!({})).await;
    fed.gone(&key("east")).await;
    hub.secret("east", labels(&json!("cluster")), json!({})).await;
    let second = fed.connected(&key("east")).await;
    assert!(second > first);
    hub.delete_secret("east").await;
    fed.gone(&key("east")).await;
    hub.secret("east", labels(&json!("cluster")), data).await;
    assert!(fed.connected(&key("east")).await > second);
}
