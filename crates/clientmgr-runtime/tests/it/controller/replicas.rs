//! Restarts, failover and several replicas: every replica that serves a cluster serves the revision that the status names.

use std::sync::Arc;
use std::time::Duration;

use clientmgr_fake::apiserver::{Replacement, Requests};
use clientmgr_kube::kube::api::{Patch, PatchParams};
use clientmgr_kube::kube::client::Body;
use clientmgr_kube::kube::{Api, Client};
use clientmgr_kube::{ClientProvider as _, ClusterObject as _, ConnectErrorKind, ConnectedAt, ProviderError};
use clientmgr_runtime::controller::{ClusterController, NotConnected, StatusWriter};
use clientmgr_runtime::lease::{LeaderElection, Leadership, LeaseTimings};
use http::{Method, Request};
use k8s_openapi::api::core::v1::ConfigMap;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::fixture::{Hub, NAMESPACE, Running, holds, key, remote, within};

fn candidate(hub: &Hub, name: &str) -> (Leadership, JoinHandle<()>) {
    let milliseconds = Duration::from_millis;
    let timings = LeaseTimings::new(milliseconds(3_000), milliseconds(2_200), milliseconds(100)).unwrap();
    let election =
        LeaderElection::new(Api::namespaced(hub.client.clone(), NAMESPACE), "clusters").identity(name).timings(timings);
    (election.leadership(), tokio::spawn(election.run(std::future::pending())))
}

/// Waits until a replica serves the cluster, and returns its revision.
async fn served(running: &Running) -> ConnectedAt {
    holds("connected", || {
        running.provider.fleet().snapshot(key("east")).is_some_and(|snapshot| snapshot.is_connected())
    })
    .await;
    running.provider.connection(&key("east")).await.unwrap().revision
}

#[tokio::test]
async fn a_restart_adopts_and_writes_nothing() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let first = hub.run(|settings| settings);
    hub.declare("east", &east).await;
    let cluster = hub.until_ready("east").await;
    let revision = served(&first).await;
    first.kill().await;

    let second = hub.run(|settings| settings);
    assert_eq!(served(&second).await, revision);
    let object = ConfigMap::default();
    second.clients.client(&object, &cluster).await.unwrap();
    assert_eq!(hub.status_writes("east").len(), 1);
}

#[tokio::test]
async fn a_cluster_that_is_down_at_a_restart_keeps_its_revision() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let first = hub.run(|settings| settings);
    hub.declare("east", &east).await;
    let before = hub.until_ready("east").await.status.unwrap();
    first.kill().await;
    east.stop().await;

    let second = hub.run(|settings| settings);
    let down = hub.until("east", |it| it.status.as_ref().is_some_and(|status| status.error.is_some())).await;
    let status = down.status.unwrap();
    assert_eq!((status.connected_at, status.identity), (before.connected_at, before.identity));
    east.start().await.unwrap();
    let after = hub.until_ready("east").await;
    assert_eq!(after.status.unwrap().connected_at, before.connected_at);
    assert_eq!(Some(served(&second).await), before.connected_at);
}

#[tokio::test]
async fn a_second_process_serves_what_the_status_names_and_writes_nothing() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    // Before the status names an incarnation, the reader connects and serves nothing.
    let reader = hub.run_as(StatusWriter::Never);
    hub.declare("east", &east).await;
    holds("connected, and not served", || {
        let snapshot = reader.provider.fleet().snapshot(key("east"));
        let error = snapshot.and_then(|snapshot| snapshot.error);
        error.is_some_and(|error| error.kind() == ConnectErrorKind::UnknownIncarnation)
    })
    .await;
    reader.provider.connection(&key("east")).await.err().expect("nothing is served");
    assert!(hub.status_writes("east").is_empty());

    let writer = hub.run(|settings| settings);
    let cluster = hub.until_ready("east").await;
    assert_eq!(Some(served(&reader).await), cluster.status.unwrap().connected_at);
    assert_eq!(served(&reader).await, served(&writer).await);
    assert_eq!(hub.status_writes("east").len(), 1);
}

#[tokio::test]
async fn a_replaced_cluster_has_one_revision_in_all_processes() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let writer = hub.run(|settings| settings);
    let reader = hub.run_as(StatusWriter::Never);
    hub.declare("east", &east).await;
    let before = hub.until_ready("east").await.status.unwrap();
    assert_eq!(Some(served(&reader).await), before.connected_at);
    east.replace(Replacement::SameCa).unwrap();
    let after = hub.until("east", |it| it.status.as_ref().unwrap().connected_at > before.connected_at).await;
    let named = after.status.unwrap().connected_at.unwrap();
    for running in [&writer, &reader] {
        holds("the new revision", || {
            let snapshot = running.provider.fleet().snapshot(key("east")).unwrap();
            snapshot.is_connected() && snapshot.connected_at == Some(named)
        })
        .await;
    }
    assert_eq!(hub.status_writes("east").len(), 2);
}

#[tokio::test]
async fn a_process_that_has_fenced_the_named_revision_says_so_and_what_to_do() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let writer = hub.run(|settings| settings);
    let reader = hub.run_as(StatusWriter::Never);
    hub.declare("east", &east).await;
    let named = hub.until_ready("east").await.connected_at().unwrap();
    assert_eq!(served(&reader).await, named);
    writer.kill().await;
    let why = async || match reader.provider.connection(&key("east")).await {
        Err(ProviderError::Unavailable { source, .. }) => source.downcast_ref::<NotConnected>().cloned(),
        other => panic!("{:?}", other.map(|it| it.revision)),
    };
    let refuses = |identity: &str| {
        let snapshot = reader.provider.fleet().snapshot(key("east")).unwrap();
        let error = snapshot.error.map(|error| error.kind());
        let found = snapshot.identity.map(|identity| identity.to_string());
        error == Some(ConnectErrorKind::UnknownIncarnation) && found.as_deref() == Some(identity)
    };
    // Another cluster answers, which no status names: that is no such case.
    east.replace(Replacement::SameCa).unwrap();
    let identity = east.kube_system_uid();
    holds("the old revision is fenced", || refuses(&identity)).await;
    assert_eq!(why().await, None);
    // The status names this cluster under the revision that was fenced.
    let set = async |status: serde_json::Value| {
        let patch = Patch::Merge(serde_json::json!({ "status": status }));
        hub.clusters().patch_status("east", &PatchParams::default(), &patch).await.unwrap();
    };
    set(serde_json::json!({ "identity": identity })).await;
    let fenced = NotConnected::Fenced { revision: named };
    within(async {
        while why().await.as_ref() != Some(&fenced) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(fenced.to_string().contains("raise spec.epoch"), "{fenced}");
    // A later revision, as a raised epoch gives it.
    let later = named.as_unix_micros() + 1;
    let later = ConnectedAt::from_unix_micros(later).unwrap();
    set(serde_json::json!({ "connectedAt": later })).await;
    holds("the later revision is served", || {
        reader.provider.fleet().snapshot(key("east")).unwrap().connected_at == Some(later)
    })
    .await;
    assert_eq!(served(&reader).await, later);
}

#[tokio::test]
async fn when_the_leader_is_killed_the_other_replica_writes_and_nothing_is_reset() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let (first_leads, first_election) = candidate(&hub, "first");
    holds("the first leads", || first_leads.is_leader()).await;
    let (second_leads, _second_election) = candidate(&hub, "second");
    let first = hub.run_as(StatusWriter::Elected(first_leads.clone()));
    let second = hub.run_as(StatusWriter::Elected(second_leads.clone()));
    hub.declare("east", &east).await;
    let before = hub.until_ready("east").await;
    let object = ConfigMap::default();
    let revision = served(&second).await;
    assert_eq!((served(&first).await, second_leads.is_leader()), (revision, false));
    second.clients.client(&object, &before).await.unwrap();

    // A crash: the lease is not released.
    first_election.abort();
    first.kill().await;
    holds("the second leads", || second_leads.is_leader()).await;
    assert!(!first_leads.is_leader());
    assert_eq!(served(&second).await, revision);
    assert!(!second.clients.refresh(&object, &before).is_reset());
    assert_eq!(hub.status_writes("east").len(), 1);

    // The new leader writes: another cluster is named by it.
    east.replace(Replacement::SameCa).unwrap();
    let named = before.status.unwrap().connected_at;
    let after = hub.until("east", |it| it.status.as_ref().unwrap().connected_at > named).await;
    assert!(second.clients.refresh(&object, &after).is_reset());
    second.clients.client(&object, &after).await.unwrap();
    hub.logged(Requests::patch("clusters/status").name("east")).await;
}

/// A client whose writes of a status are held.
struct Held {
    client: Client,
    /// A write is held.
    arrived: Arc<Notify>,
    /// Lets them through.
    gate: watch::Sender<bool>,
}

fn held(client: Client) -> Held {
    let (arrived, (gate, opened)) = (Arc::new(Notify::new()), watch::channel(false));
    let (namespace, arrives) = (client.default_namespace().to_owned(), Arc::clone(&arrived));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, mut opened, arrives) = (client.clone(), opened.clone(), Arc::clone(&arrives));
        async move {
            if request.method() == Method::PATCH && request.uri().path().ends_with("/status") {
                arrives.notify_one();
                // A sender that is gone holds nothing.
                let _ = opened.wait_for(|is_open| *is_open).await;
            }
            client.send(request).await
        }
    });
    Held { client: Client::new(service, namespace), arrived, gate }
}

#[tokio::test]
async fn a_write_that_arrives_after_the_next_leader_has_written_is_refused() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let (first_leads, first_election) = candidate(&hub, "first");
    holds("the first leads", || first_leads.is_leader()).await;
    let user = hub.server.issue_token("first");
    let Held { client, arrived, gate } = held(hub.server.client_for(&user).await.unwrap());
    let first = Running::start_as(client, StatusWriter::Elected(first_leads), |settings| settings);
    hub.declare("east", &east).await;
    let unwritten = served(&first).await;

    // Its first write is under way when it loses the lease.
    within(arrived.notified()).await;
    first_election.abort();
    let (second_leads, _second_election) = candidate(&hub, "second");
    let second = hub.run_as(StatusWriter::Elected(second_leads));
    let named = hub.until_ready("east").await.status.unwrap().connected_at;
    assert_ne!(named, Some(unwritten));
    gate.send(true).unwrap();
    hub.logged(Requests::patch("clusters/status").user("first").status(409)).await;
    for running in [&first, &second] {
        holds("the revision that the status names", || {
            let snapshot = running.provider.fleet().snapshot(key("east"));
            snapshot.is_some_and(|snapshot| snapshot.is_connected() && snapshot.connected_at == named)
        })
        .await;
    }
    assert_eq!(hub.clusters().get("east").await.unwrap().status.unwrap().connected_at, named);
}

#[tokio::test]
async fn a_leader_that_is_replaced_before_it_wrote_follows_the_next_one() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let (first_leads, first_election) = candidate(&hub, "first");
    holds("the first leads", || first_leads.is_leader()).await;
    // Its writes are refused: what it named reaches no status.
    let user = hub.server.issue_token("first");
    hub.server.forbid("first", "patch", "clusters/status");
    let client = hub.server.client_for(&user).await.unwrap();
    let first = Running::start_as(client, StatusWriter::Elected(first_leads), |settings| settings);
    hub.declare("east", &east).await;
    let unwritten = served(&first).await;

    first_election.abort();
    let (second_leads, _second_election) = candidate(&hub, "second");
    let second = hub.run_as(StatusWriter::Elected(second_leads));
    let named = hub.until_ready("east").await.status.unwrap().connected_at.unwrap();
    assert_ne!(named, unwritten);
    for running in [&first, &second] {
        holds("the revision that the status names", || {
            let snapshot = running.provider.fleet().snapshot(key("east"));
            snapshot.is_some_and(|snapshot| snapshot.is_connected() && snapshot.connected_at == Some(named))
        })
        .await;
    }
}

#[tokio::test]
async fn a_revision_that_was_just_named_is_in_the_status_when_the_controller_has_ended_and_before_the_lease_is_released()
 {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let (mut leadership, election) = candidate(&hub, "a");
    assert!(within(leadership.changed()).await && leadership.is_leader());
    let controller = ClusterController::builder(hub.client.clone(), StatusWriter::Elected(leadership.clone())).build();
    let fleet = controller.provider().fleet().clone();
    hub.declare("east", &east).await;
    let is_connected = || fleet.snapshot(key("east")).is_some_and(|cluster| cluster.is_connected());
    within(controller.run(holds("connected", is_connected))).await;
    let status = hub.clusters().get("east").await.unwrap().status.unwrap();
    assert!(status.connected_at.is_some() && leadership.is_leader());
    election.abort();
}
