//! From applied to connected.

use clientmgr_fake::apiserver::{Requests, of};
use clientmgr_kube::kube::Api;
use clientmgr_kube::kube::api::ListParams;
use clientmgr_kube::{ClientProvider as _, Fleet, ProviderError};
use clientmgr_runtime::cluster::{Cluster, ConditionType};
use clientmgr_runtime::controller::DockerCluster;
use clientmgr_runtime::source::KubeconfigFiles;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use serde_json::json;

use super::fixture::{Hub, by_secret, condition, conditions, holds, key, remote, within};

#[tokio::test]
async fn an_applied_cluster_is_connected_with_one_status_write() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let running = hub.run(|settings| settings);
    hub.declare("east", &east).await;
    let cluster = hub.until_ready("east").await;

    assert_eq!(
        conditions(&cluster),
        ["Connected=True/Connected", "Ready=True/Ready", "CredentialsValid=True/Accepted"]
    );
    let status = cluster.status.clone().unwrap();
    assert_eq!(status.identity.as_deref(), Some(east.kube_system_uid().as_str()));
    assert_eq!(status.connected_at, running.provider.connection(&key("east")).await.ok().map(|it| it.revision));
    assert_eq!((status.observed_generation, status.observed_epoch, status.error), (Some(1), Some(0), None));
    assert!(status.version.is_some());
    assert_eq!(hub.status_writes("east").len(), 1);
    hub.until_events("east", &["Connected"]).await;
}

#[tokio::test]
async fn a_controller_uses_the_cluster_through_a_manager() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let running = hub.run(|settings| settings);
    hub.declare("east", &east).await;
    hub.until_ready("east").await;
    holds("the store has the status", || running.cluster("east").is_some_and(|cluster| cluster.status.is_some())).await;
    let cluster = running.cluster("east").unwrap();
    let object = ConfigMap::default();
    let _ = running.clients.refresh(&object, &*cluster);
    let client = running.clients.client(&object, &*cluster).await.unwrap();
    Api::<Namespace>::all(client).list(&ListParams::default()).await.unwrap();
    within(east.wait_for(Requests::list(of::<Namespace>()))).await;
}

#[tokio::test]
async fn at_rest_the_hub_sees_watches_and_nothing_else() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let _running = hub.run(|settings| settings);
    for name in ["a", "b", "c"] {
        hub.declare(name, &east).await;
    }
    for name in ["a", "b", "c"] {
        hub.until_ready(name).await;
        hub.until_events(name, &["Connected"]).await;
    }
    let marker = hub.server.marker();
    // Many probes of the remote cluster later.
    let probes = east.requests_matching(Requests::under("/readyz")).len();
    holds("probes", || east.requests_matching(Requests::under("/readyz")).len() > probes + 12).await;
    let requests = hub.server.requests_matching(Requests::any().since(marker));
    assert!(requests.iter().all(|request| request.verb() == "watch"), "{requests:#?}");
    // One watch of metadata for the namespace, whatever the number of Secrets.
    assert_eq!(hub.server.requests_matching(Requests::watch("secrets")).len(), 1);
    for name in ["a", "b", "c"] {
        assert_eq!(hub.server.requests_matching(Requests::get("secrets").name(name)).len(), 1);
        assert_eq!(hub.status_writes(name).len(), 1);
    }
}

#[tokio::test]
async fn a_secret_that_no_cluster_refers_to_is_never_read() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    hub.secret("other", "kubeconfig", "not to be read").await;
    let _running = hub.run(|settings| settings);
    hub.declare("east", &east).await;
    hub.until_ready("east").await;
    hub.secret("other", "kubeconfig", "changed").await;
    hub.secret("third", "kubeconfig", "new").await;
    // A change of the cluster's own Secret comes after theirs, on the same watch.
    let marker = hub.server.marker();
    hub.kubeconfig("east", &east, &east.issue_token("alice")).await;
    hub.logged(Requests::get("secrets").name("east").since(marker)).await;
    for name in ["other", "third"] {
        assert!(hub.server.requests_matching(Requests::get("secrets").name(name)).is_empty());
    }
}

#[tokio::test]
async fn a_docker_cluster_is_valid_and_has_no_kubernetes_client() {
    let hub = Hub::start().await;
    let running = hub.run(|settings| settings);
    hub.create("docker", json!({ "connection": { "docker": { "host": "unix:///var/run/docker.sock" } } })).await;
    let cluster = hub.until("docker", |cluster| cluster.status.is_some()).await;
    assert_eq!(
        conditions(&cluster),
        ["Connected=Unknown/Incompatible", "Ready=Unknown/Incompatible", "CredentialsValid=Unknown/Incompatible"]
    );
    match running.provider.connection(&key("docker")).await {
        Err(ProviderError::Incompatible { source }) => {
            assert!(source.downcast_ref::<DockerCluster>().is_some(), "{source:?}");
        }
        other => panic!("{:?}", other.map(|it| it.revision)),
    }
    assert_eq!(hub.status_writes("docker").len(), 1);
}

#[tokio::test]
async fn a_context_of_the_controllers_kubeconfig_needs_to_be_allowed() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let running = hub.run(|settings| settings);
    hub.create("east", json!({ "connection": { "context": { "name": "east" } } })).await;
    let refused = hub.until("east", |cluster| cluster.status.is_some()).await;
    assert_eq!(conditions(&refused)[1], "Ready=False/NotAllowed");
    running.kill().await;

    let _running = hub.run(|settings| settings.allow_contexts(east.kubeconfig()));
    hub.until_ready("east").await;
}

#[cfg(unix)]
#[tokio::test]
async fn contexts_of_watched_files_rotate_and_a_broken_file_shows_and_changes_nothing() {
    use std::fs;
    use std::os::unix::fs::symlink;

    let (hub, east) = (Hub::start().await, remote("east").await);
    // As a mounted ConfigMap or Secret: a link to a directory that is exchanged.
    let mount = tempfile::tempdir().unwrap();
    let path = |name: &str| mount.path().join(name);
    let write = |version: &str, text: &str| {
        fs::create_dir(path(version)).unwrap();
        fs::write(path(version).join("config"), text).unwrap();
    };
    let swap = |version: &str| {
        symlink(version, path("..data_tmp")).unwrap();
        fs::rename(path("..data_tmp"), path("..data")).unwrap();
    };
    let of = |user: &str| east.kubeconfig_yaml(&east.issue_token(user));
    write("..1", &of("first"));
    write("..2", &of("second"));
    write("..3", "contexts: [");
    write("..4", &of("fourth"));
    symlink("..1", path("..data")).unwrap();
    symlink("..data/config", path("config")).unwrap();
    let files = KubeconfigFiles::new([path("config")]);
    let running = hub.run(|settings| settings.allow_contexts_of(files));
    hub.create("east", json!({ "connection": { "context": { "name": "east" } } })).await;
    let before = hub.until_ready("east").await.status.unwrap();
    let user = || running.provider.fleet().snapshot(key("east")).unwrap().user.unwrap_or_default();
    assert_eq!(user(), "first");

    swap("..2");
    holds("the second is in use", || user() == "second").await;
    swap("..3");
    let broken = hub.until("east", |it| condition(it, ConditionType::Ready).0 == "False").await;
    let (_, reason, message) = condition(&broken, ConditionType::Ready);
    assert_eq!(reason, "InvalidConfig");
    assert!(message.starts_with("spec.connection.context: the controller's kubeconfig: "), "{message}");
    running.provider.connection(&key("east")).await.unwrap();
    assert_eq!(user(), "second");
    swap("..4");
    let after = hub.until_ready("east").await.status.unwrap();
    assert_eq!(after.connected_at, before.connected_at);
    holds("the fourth is in use", || user() == "fourth").await;
    running.kill().await;
}

#[tokio::test]
async fn requests_are_made_as_the_user_of_the_spec_in_its_namespace() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let running = hub.run(|settings| settings);
    hub.kubeconfig("east", &east, &east.admin()).await;
    let mut spec = by_secret("east");
    spec["impersonate"] = json!({ "user": "alice", "groups": ["system:masters"] });
    spec["defaultNamespace"] = json!("shop");
    hub.create("east", spec).await;
    let cluster = hub.until("east", |cluster: &Cluster| cluster.status.is_some()).await;
    assert_eq!(conditions(&cluster)[1], "Ready=True/Ready", "{:?}", cluster.status);
    let snapshot = running.provider.fleet().snapshot(key("east")).unwrap();
    assert_eq!(snapshot.user.as_deref(), Some("alice"));
    let client = running.provider.connection(&key("east")).await.unwrap().client;
    assert_eq!(client.default_namespace(), "shop");
}

#[tokio::test]
async fn a_hundred_clusters_start_with_one_read_and_one_write_each() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let names: Vec<_> = (0..100).map(|index| format!("c{index}")).collect();
    for name in &names {
        hub.declare(name, &east).await;
    }
    let _running = hub.run(|settings| settings.fleet(Fleet::new()));
    for name in &names {
        hub.until_ready(name).await;
    }
    for name in &names {
        assert_eq!(hub.server.requests_matching(Requests::get("secrets").name(name)).len(), 1, "{name}");
        assert_eq!(hub.status_writes(name).len(), 1, "{name}");
    }
    assert_eq!(hub.server.requests_matching(Requests::list("secrets")).len(), 1);
}
