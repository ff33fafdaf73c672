//! Two replicas: a restart, a failover, and a replaced cluster after it.

use std::time::Duration;

use clientmgr_kube::ClientProvider as _;
use clientmgr_kube::kube::{Api, Client};
use clientmgr_runtime::controller::StatusWriter;
use clientmgr_runtime::lease::{LeaderElection, Leadership, LeaseTimings};
use k8s_openapi::api::core::v1::ConfigMap;
use tokio::task::JoinHandle;

use super::fixture::{Remote, hub, server};
use crate::controller::fixture::{NAMESPACE, Running, holds, key};

/// Long enough for a real server on a machine under load.
fn candidate(client: &Client, name: &str) -> (Leadership, JoinHandle<()>) {
    let seconds = Duration::from_secs;
    let timings = LeaseTimings::new(seconds(6), seconds(5), Duration::from_millis(200)).unwrap();
    let election =
        LeaderElection::new(Api::namespaced(client.clone(), NAMESPACE), "clusters").identity(name).timings(timings);
    (election.leadership(), tokio::spawn(election.run(std::future::pending())))
}

async fn serves(running: &Running, what: &str) -> clientmgr_kube::ConnectedAt {
    holds(what, || running.provider.fleet().snapshot(key("east")).is_some_and(|it| it.is_connected())).await;
    running.provider.connection(&key("east")).await.unwrap().revision
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_and_failover_adopt_and_only_another_cluster_resets() {
    let (hub, green) = tokio::join!(hub(), server());
    let (remote, other) = (Remote::to(&hub.server).await, Remote::to(&green).await);
    let (first_leads, first_election) = candidate(&hub.client, "first");
    holds("the first leads", || first_leads.is_leader()).await;
    let (second_leads, _second_election) = candidate(&hub.client, "second");
    let elected = |leadership: &Leadership| StatusWriter::Elected(leadership.clone());
    let first = hub.run_as(elected(&first_leads));
    let second = hub.run_as(elected(&second_leads));
    hub.declare_remote("east", &remote).await;
    let cluster = hub.until_ready("east").await;
    let named = cluster.status.clone().unwrap().connected_at.unwrap();
    assert_eq!(serves(&first, "the first serves").await, named);
    assert_eq!(serves(&second, "the second serves").await, named);
    let object = ConfigMap::default();
    second.clients.client(&object, &cluster).await.unwrap();

    // The replica that does not write restarts.
    second.kill().await;
    let second = hub.run_as(elected(&second_leads));
    assert_eq!(serves(&second, "the second serves again").await, named);
    second.clients.client(&object, &cluster).await.unwrap();

    // The other one crashes: its lease is not released.
    first_election.abort();
    first.kill().await;
    holds("the second leads", || second_leads.is_leader()).await;
    assert_eq!(serves(&second, "the second still serves").await, named);
    let now = hub.until_ready("east").await;
    assert_eq!(now.status.as_ref().unwrap().connected_at, Some(named));
    assert!(!second.clients.refresh(&object, &now).is_reset());

    // The new writer names another cluster, and a new replica adopts what it names.
    let third = hub.run_as(StatusWriter::Never);
    assert_eq!(serves(&third, "the third serves").await, named);
    hub.secret("east", "kubeconfig", &other.kubeconfig(super::fixture::ALICE)).await;
    let after =
        hub.until("east", |it| it.status.as_ref().is_some_and(|status| status.connected_at > Some(named))).await;
    let renamed = after.status.as_ref().unwrap().connected_at.unwrap();
    for running in [&second, &third] {
        holds("the new revision is served", || {
            let snapshot = running.provider.fleet().snapshot(key("east"));
            snapshot.is_some_and(|it| it.is_connected() && it.connected_at == Some(renamed))
        })
        .await;
    }
    assert!(second.clients.refresh(&object, &after).is_reset());
    second.clients.client(&object, &after).await.unwrap();
    second.kill().await;
    third.kill().await;
    green.shutdown().await;
}
