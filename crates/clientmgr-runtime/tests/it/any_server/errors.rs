//! Every way in which a Cluster can be wrong: the reason, a message that names the field, and how it heals.

use clientmgr_fake::apiserver::{AnyServer, InjectionHandle};
use clientmgr_kube::kube::api::PostParams;
use clientmgr_kube::kube::config::{KubeConfigOptions, Kubeconfig};
use clientmgr_kube::kube::{Api, Client, Config};
use clientmgr_kube::{ClientProvider as _, ProviderError};
use clientmgr_runtime::cluster::ConditionType;
use clientmgr_runtime::controller::DockerCluster;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use serde_json::{Value, json};

use super::fixture::{ALICE, NOBODY, Remote, hub};
use crate::controller::fixture::{Hub, Running, by_secret, condition, conditions, key, within};

/// What is wrong with a Cluster.
struct Wrong {
    name: &'static str,
    secret: Option<(&'static str, String)>,
    spec: Value,
    reason: &'static str,
    /// How the message begins.
    message: &'static str,
}

fn table(remote: &Remote) -> Vec<Wrong> {
    let good = remote.kubeconfig(ALICE);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut kubeconfig: Value = serde_json::from_str(&good).unwrap();
        change(&mut kubeconfig);
        Some(("kubeconfig", kubeconfig.to_string()))
    };
    let cluster =
        |field: &'static str, value: Value| changed(&|it| it["clusters"][0]["cluster"][field] = value.clone());
    let user = |value: Value| changed(&|it| it["users"][0]["user"] = value.clone());
    let exec = json!({ "exec": { "apiVersion": "client.authentication.k8s.io/v1", "command": "rm" } });
    let of_secret = |name, secret, reason, message| Wrong { name, secret, spec: by_secret(name), reason, message };
    let of_spec = |name, connection: Value, reason, message| Wrong {
        name,
        secret: None,
        spec: json!({ "connection": connection }),
        reason,
        message,
    };
    vec![
        of_secret(
            "missing",
            None,
            "SecretNotFound",
            "spec.connection.kubeconfig.secretRef.name: secret default/missing does not exist",
        ),
        of_secret(
            "key",
            Some(("value", good.clone())),
            "SecretKeyNotFound",
            "spec.connection.kubeconfig.secretRef.key: secret default/key has no key \"kubeconfig\": correct one of them",
        ),
        of_secret(
            "yaml",
            Some(("kubeconfig", "contexts: [".to_owned())),
            "InvalidConfig",
            "spec.connection.kubeconfig.secretRef: key \"kubeconfig\" of secret default/yaml: the kubeconfig is not valid",
        ),
        of_secret(
            "context",
            changed(&|it| it["current-context"] = json!("other")),
            "InvalidConfig",
            "spec.connection.kubeconfig.secretRef: key \"kubeconfig\" of secret default/context: ",
        ),
        of_secret(
            "exec",
            user(exec),
            "DeniedByPolicy",
            "spec.connection.kubeconfig.secretRef: key \"kubeconfig\" of secret default/exec: users[0].user.exec: ",
        ),
        of_secret(
            "files",
            user(json!({ "tokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token" })),
            "DeniedByPolicy",
            "spec.connection.kubeconfig.secretRef: key \"kubeconfig\" of secret default/files: users[0].user.tokenFile: ",
        ),
        of_secret(
            "empty",
            user(json!({ "token": "" })),
            "NoCredentials",
            "spec.connection.kubeconfig.secretRef: key \"kubeconfig\" of secret default/empty: users[0].user.token: ",
        ),
        of_secret("refused", user(json!({ "token": "no-server-issued-this" })), "Unauthorized", ""),
        of_secret("closed", cluster("server", json!("https://127.0.0.1:1")), "Unreachable", ""),
        of_secret("name", cluster("tls-server-name", json!("another.example.com")), "Tls", ""),
        of_spec("local", json!({ "context": { "name": "east" } }), "NotAllowed", "spec.connection.context: "),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_cluster_is_named_and_heals_by_a_change() {
    let hub = hub().await;
    let remote = Remote::to(&hub.server).await;
    let running = hub.run(|settings| settings);
    let table = table(&remote);
    for Wrong { name, secret, spec, .. } in &table {
        if let Some((key, text)) = secret {
            hub.secret(name, key, text).await;
        }
        hub.create(name, spec.clone()).await;
    }
    for Wrong { name, reason, message, .. } in &table {
        let cluster = hub.until(name, |it| condition(it, ConditionType::Ready).1 == *reason).await;
        let (status, _, found) = condition(&cluster, ConditionType::Ready);
        assert_eq!(status, "False", "{name}");
        assert!(found.starts_with(message), "{name}: {found}");
        assert_eq!(condition(&cluster, ConditionType::Connected).0, "False", "{name}");
        assert_eq!(cluster.status.unwrap().error, Some(found), "{name}");
        let Err(ProviderError::Unavailable { .. }) = running.provider.connection(&key(name)).await else {
            panic!("{name}: the provider does not say why")
        };
        hub.until_events(name, &[reason]).await;
    }
    for Wrong { name, .. } in &table {
        hub.secret(name, "kubeconfig", &remote.kubeconfig(ALICE)).await;
        hub.change(name, json!({ "connection": { "context": null, "kubeconfig": { "secretRef": { "name": name } } } }))
            .await;
    }
    for Wrong { name, .. } in &table {
        let cluster = hub.until_ready(name).await;
        assert_eq!(cluster.status.unwrap().error, None, "{name}");
    }
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_docker_cluster_is_valid_and_its_provider_answers_incompatible() {
    let hub = hub().await;
    let running = hub.run(|settings| settings);
    hub.create("docker", json!({ "connection": { "docker": { "host": "unix:///var/run/docker.sock" } } })).await;
    let cluster = hub.until("docker", |cluster| cluster.status.is_some()).await;
    let unknown = "Unknown/Incompatible";
    assert_eq!(conditions(&cluster), ["Connected", "Ready", "CredentialsValid"].map(|it| format!("{it}={unknown}")));
    match running.provider.connection(&key("docker")).await {
        Err(ProviderError::Incompatible { source }) => assert!(source.is::<DockerCluster>(), "{source:?}"),
        other => panic!("{:?}", other.map(|it| it.revision)),
    }
    running.kill().await;
}

/// A user that may do all that the controller does, but for reading Secrets.
struct Limited {
    client: Client,
    /// In-process, where there is no RBAC.
    forbidden: Option<InjectionHandle>,
}

impl Limited {
    async fn on(hub: &Hub<AnyServer>) -> Self {
        let mut kubeconfig: Kubeconfig = hub.server.kubeconfig();
        kubeconfig.auth_infos[0].auth_info = serde_json::from_value(json!({ "token": NOBODY })).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        let client = Client::try_from(config).unwrap();
        let forbidden = hub.server.in_process().map(|server| server.forbid("nobody", "get", "secrets"));
        let limited = Self { client, forbidden };
        if limited.forbidden.is_none() {
            let rules = json!([
                { "apiGroups": ["clientmgr.dev"], "resources": ["clusters"], "verbs": ["get", "list", "watch"] },
                { "apiGroups": ["clientmgr.dev"], "resources": ["clusters/status"], "verbs": ["patch"] },
                { "apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"] },
                { "apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "watch"] },
            ]);
            allow(&hub.client, "controller", rules).await;
        }
        limited
    }

    /// Permits to read Secrets, and waits until the server knows it.
    async fn permit(&self, hub: &Hub<AnyServer>) {
        if let Some(forbidden) = &self.forbidden {
            forbidden.lift();
        } else {
            let rules = json!([{ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"] }]);
            allow(&hub.client, "secret-reader", rules).await;
        }
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), "default");
        within(async { while secrets.get_opt("none").await.is_err() {} }).await;
    }
}

/// Gives the user `nobody` rights.
async fn allow(client: &Client, name: &str, rules: Value) {
    let role = json!({ "metadata": { "name": name }, "rules": rules });
    let role: ClusterRole = serde_json::from_value(role).unwrap();
    Api::all(client.clone()).create(&PostParams::default(), &role).await.unwrap();
    let api_group = "rbac.authorization.k8s.io";
    let binding = json!({
        "metadata": { "name": name }, "roleRef": { "apiGroup": api_group, "kind": "ClusterRole", "name": name },
        "subjects": [{ "apiGroup": api_group, "kind": "User", "name": "nobody" }],
    });
    let binding: ClusterRoleBinding = serde_json::from_value(binding).unwrap();
    Api::all(client.clone()).create(&PostParams::default(), &binding).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_may_not_be_read_is_named_and_the_documented_rights_suffice() {
    let hub = hub().await;
    let remote = Remote::to(&hub.server).await;
    let limited = Limited::on(&hub).await;
    let running = Running::start(limited.client.clone(), |settings| settings);
    hub.declare_remote("east", &remote).await;
    let refused = hub.until("east", |it| condition(it, ConditionType::Ready).1 == "SecretForbidden").await;
    let message = condition(&refused, ConditionType::Ready).2;
    let expected = "spec.connection.kubeconfig.secretRef.name: secret default/east is forbidden";
    assert!(message.starts_with(expected), "{message}");

    limited.permit(&hub).await;
    hub.secret("east", "kubeconfig", &format!("{}\n", remote.kubeconfig(ALICE))).await;
    hub.until_ready("east").await;
    hub.until_events("east", &["SecretForbidden", "Connected", "CredentialsAccepted"]).await;
    running.kill().await;
}
