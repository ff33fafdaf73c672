//! What others do to the hub: another owner of the status, rights that are taken away, a spec that leads nowhere.

use std::sync::Arc;

use clientmgr_fake::apiserver::{Fault, Requests};
use clientmgr_kube::kube::Api;
use clientmgr_kube::kube::api::{Patch, PatchParams};
use clientmgr_kube::kube::runtime::{WatchStreamExt as _, watcher};
use clientmgr_kube::{
    BoundError, BoundStates, BoundTask, ClientError, ClientProvider as _, ClusterObject as _, ProviderError,
};
use clientmgr_runtime::cluster::{Cluster, ConditionType};
use clientmgr_runtime::controller::{ClusterController, ClusterProvider, ConfigProblem, StatusWriter};
use clientmgr_runtime::watch::RemoteWatches;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::{Value, json};

use super::fixture::{Hub, Running, by_secret, condition, conditions, holds, key, remote, within};

type Maps = RemoteWatches<Secret, ConfigMap, ClusterProvider>;

async fn apply_status(hub: &Hub, manager: &str, status: Value) {
    let patch = json!({
        "apiVersion": "clientmgr.dev/v1alpha1", "kind": "Cluster", "metadata": { "name": "east" }, "status": status,
    });
    let parameters = PatchParams::apply(manager).force();
    hub.clusters().patch_status("east", &parameters, &Patch::Apply(patch)).await.unwrap();
}

#[tokio::test]
async fn what_others_own_of_the_status_leads_to_no_endless_writes() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let running = hub.run(|settings| settings);
    hub.declare("east", &east).await;
    hub.until_ready("east").await;
    let foreign = json!({
        "conditions": [{
            "type": "PolicyChecked", "status": "True", "reason": "Checked", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
        "error": "written by another one",
    });
    apply_status(&hub, "policy", foreign).await;
    // The controller tries to remove the error, which is not its own, and sees that this has no effect.
    let probes = || east.requests_matching(Requests::under("/readyz")).len();
    let before = probes();
    holds("probes", || probes() > before + 10).await;
    let writes = hub.status_writes("east").len();
    assert!(writes <= 4, "{writes}");
    let before = probes();
    holds("more probes", || probes() > before + 10).await;
    assert_eq!(hub.status_writes("east").len(), writes);
    hub.change("east", json!({ "epoch": 1 })).await;
    let cluster = hub.until("east", |it| it.status.as_ref().unwrap().observed_epoch == Some(1)).await;
    assert_eq!(conditions(&cluster)[1], "Ready=True/Ready");
    running.kill().await;
}

#[tokio::test]
async fn a_revision_far_in_the_future_is_refused_and_without_it_the_connection_is_as_before() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let running = hub.run(|settings| settings);
    hub.declare("east", &east).await;
    let named = hub.until_ready("east").await.connected_at();
    let set = async |time: Option<&str>| {
        let patch = Patch::Merge(json!({ "status": { "connectedAt": time } }));
        hub.clusters().patch_status("east", &PatchParams::default(), &patch).await.unwrap();
    };
    set(Some("2126-01-01T00:00:00.000000Z")).await;
    let refused = hub.until("east", |it| condition(it, ConditionType::Ready).1 == "RevisionAhead").await;
    let (_, _, message) = condition(&refused, ConditionType::Ready);
    assert!(
        message.starts_with("status.connectedAt: 2126-01-01T00:00:00.000000Z is more than a day ahead"),
        "{message}"
    );
    let expected = ["Connected=True/Connected", "Ready=False/RevisionAhead", "CredentialsValid=True/Accepted"];
    assert_eq!(conditions(&refused), expected);
    let connection = running.provider.connection(&key("east")).await.unwrap();
    assert_eq!(Some(connection.revision), named, "nothing is lost");

    // A process that starts now connects nothing, and says why.
    let follower = hub.run_as(StatusWriter::Never);
    within(follower.clusters.wait_until_ready()).await.unwrap();
    let is_refused = async || match follower.provider.connection(&key("east")).await {
        Err(ProviderError::Unavailable { source, .. }) => {
            matches!(source.downcast_ref(), Some(ConfigProblem::RevisionAhead { .. }))
        }
        other => panic!("{:?}", other.map(|it| it.revision)),
    };
    within(async {
        while !is_refused().await {
            tokio::task::yield_now().await;
        }
    })
    .await;

    set(None).await;
    let cluster = hub.until_ready("east").await;
    assert_eq!(cluster.connected_at(), named);
    connection.client.apiserver_version().await.unwrap();
    follower.kill().await;
    running.kill().await;
}

#[tokio::test]
async fn a_status_of_another_cluster_is_exceeded_by_the_writer() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let running = hub.run(|settings| settings);
    hub.declare("east", &east).await;
    let before = hub.until_ready("east").await.connected_at().unwrap();
    let later = clientmgr_kube::ConnectedAt::from_unix_micros(before.as_unix_micros() + 1_000_000_000).unwrap();
    apply_status(&hub, "restore", json!({ "connectedAt": later, "identity": "another-cluster" })).await;
    let identity = east.kube_system_uid();
    let after = hub
        .until("east", |it| {
            it.connected_at() > Some(later) && it.status.as_ref().unwrap().identity.as_ref() == Some(&identity)
        })
        .await;
    let object = ConfigMap::default();
    holds("the new revision is served", || {
        running.provider.fleet().snapshot(key("east")).unwrap().connected_at == after.connected_at()
    })
    .await;
    running.clients.client(&object, &after).await.unwrap();
    running.kill().await;
}

#[tokio::test]
async fn a_spec_that_leads_nowhere_is_never_ready() {
    let (hub, east, west) = (Hub::start().await, remote("east").await, remote("west").await);
    let running = hub.run(|settings| settings);
    hub.declare("east", &east).await;
    hub.until_ready("east").await;
    let hangs = west.inject(Fault::NeverAnswer);
    hub.kubeconfig("west", &west, &west.admin()).await;
    let config = watcher::Config::default().fields("metadata.name=east");
    let mut seen = watcher(hub.clusters(), config).default_backoff().applied_objects().boxed();
    hub.change("east", by_secret("west")).await;
    within(west.wait_for(Requests::any())).await;
    // What changes meanwhile brings the controller to look again.
    hub.change("east", json!({ "defaultNamespace": "shop" })).await;
    holds("it is being tried", || running.provider.fleet().snapshot(key("east")).unwrap().config_pending).await;
    holds("the controller sees the spec", || {
        running.cluster("east").is_some_and(|it| it.spec.default_namespace.is_some())
    })
    .await;
    let probes = || east.requests_matching(Requests::under("/readyz")).len();
    let before = probes();
    holds("probes of the connection in use", || probes() > before + 4).await;
    running.provider.connection(&key("east")).await.unwrap();
    hangs.lift();
    west.cut_connections();
    let identity = west.kube_system_uid();
    let after = async {
        loop {
            let cluster: Cluster = seen.next().await.unwrap().unwrap();
            let status = cluster.status.clone().unwrap();
            let is_ready = condition(&cluster, ConditionType::Ready).0 == "True";
            if status.observed_generation > Some(1) {
                // Never with the previous cluster.
                assert!(!is_ready || status.identity.as_ref() == Some(&identity), "{status:#?}");
            }
            if is_ready && status.observed_generation == Some(3) {
                return;
            }
        }
    };
    within(after).await;
    running.kill().await;
}

#[tokio::test]
async fn secrets_that_may_no_longer_be_watched_show_and_the_connection_stays() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let client = hub.server.client_for(&hub.server.issue_token("controller")).await.unwrap();
    let running = Running::start(client, |settings| settings);
    hub.declare("east", &east).await;
    hub.until_ready("east").await;
    let denied = ["list", "watch"].map(|verb| hub.server.forbid("controller", verb, "secrets"));
    hub.server.end_watches(&Requests::watch("secrets"));
    let cluster = hub.until("east", |it| condition(it, ConditionType::Ready).0 == "False").await;
    let reason = "False/SecretForbidden";
    assert_eq!(
        conditions(&cluster),
        ["Connected=True/Connected".to_owned(), format!("Ready={reason}"), format!("CredentialsValid={reason}")]
    );
    running.provider.connection(&key("east")).await.unwrap();
    for denied in denied {
        denied.lift();
    }
    hub.until_ready("east").await;
    running.kill().await;
}

#[tokio::test]
async fn remote_watches_of_a_deleted_cluster_end() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let config = watcher::Config::default();
    let controller = ClusterController::builder(hub.client.clone(), StatusWriter::Always).build();
    let (maps, _triggers) = Maps::new(controller.provider(), Api::all, config, |_: &ConfigMap, _| None);
    controller.register(&maps);
    let task = tokio::spawn(controller.run(std::future::pending()));
    hub.declare("east", &east).await;
    let cluster = hub.until_ready("east").await;
    let object = Secret::default();
    within(maps.get(&object, &cluster)).await.unwrap();
    assert_eq!((maps.watches(), maps.objects()), (1, 1));
    hub.delete("east").await;
    holds("the watch ends", || (maps.watches(), maps.objects()) == (0, 0)).await;
    task.abort();
}

#[tokio::test]
async fn a_cluster_that_becomes_a_docker_engine_and_back_runs_what_is_bound_to_it_anew() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let controller = ClusterController::builder(hub.client.clone(), StatusWriter::Always).build();
    let tasks = Arc::new(BoundStates::<BoundTask, _>::new(controller.provider()));
    controller.register(&tasks);
    let running = tokio::spawn(controller.run(std::future::pending()));
    hub.declare("east", &east).await;
    let object = Secret::default();
    let before = hub.until_ready("east").await;
    let build = || BoundTask::build(async |_| std::future::pending().await);
    within(tasks.get_or_build(&object, &before, build())).await.unwrap();

    let docker = json!({ "kubeconfig": null, "docker": { "host": "unix:///run/docker.sock" } });
    hub.change("east", json!({ "connection": docker })).await;
    holds("its state is forgotten", || tasks.objects() == 0).await;
    let error = within(tasks.get_or_build(&object, &before, build())).await.unwrap_err();
    assert!(matches!(error, BoundError::Client(ClientError::Incompatible { .. })), "{error:?}");
    hub.until("east", |it| condition(it, ConditionType::Ready).1 == "Incompatible").await;

    hub.change("east", json!({ "connection": { "docker": null, "kubeconfig": { "secretRef": { "name": "east" } } } }))
        .await;
    let after = hub.until_ready("east").await;
    assert_eq!(after.connected_at(), before.connected_at());
    let task = within(tasks.get_or_build(&object, &after, build())).await.unwrap();
    assert!(!task.is_finished());
    running.abort();
}
