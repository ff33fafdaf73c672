//! New credentials: taken up without a failed request, or refused without harm.

use clientmgr_core::ClientManager;
use clientmgr_kube::ConnectErrorKind;
use clientmgr_kube::kube;
use futures::StreamExt;

use crate::cluster::{Cluster, PATIENCE, east, fleet};
use crate::users::{User, assert_goes_on, assert_is_added, list, served, snapshot, until, watch, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_under_load_fails_no_request_and_open_watches_go_on() {
    let (cluster, fleet) = (Cluster::start().await, fleet());
    let mut token = cluster.issue().await;
    fleet.upsert(east(), cluster.config(&token));
    let revision = within(fleet.wait_connected(&east())).await.unwrap();
    let client = served(&fleet).await;
    let manager = ClientManager::<_, u8>::new(fleet.clone());
    manager.client(&0, &snapshot(&fleet)).await.unwrap();
    let mut open = watch(&client).await;
    let user = User::start(client.clone());

    let mut revoked = Vec::new();
    for _ in 0..5 {
        let next = cluster.issue().await;
        fleet.upsert(east(), cluster.config(&next));
        cluster.revoke(&token).await;
        assert_eq!(within(fleet.reconnect(&east())).await.unwrap(), revision);
        user.has_asked_again().await;
        revoked.push(std::mem::replace(&mut token, next));
    }
    // A real server believes a revoked token for a while. When it refuses the last of them, the user has not noticed.
    let last = fleet_of_one(&cluster.config(revoked.last().unwrap()));
    within(async { while last.reconnect(&east()).await.is_ok() {} }).await;
    user.has_asked_again().await;
    user.stop().await;

    assert!(!manager.refresh(&0, &snapshot(&fleet)).is_reset());
    assert_eq!(fleet.wait_connected(&east()).await.unwrap(), revision);
    assert_goes_on(&cluster, &mut open, "at-last").await;
    last.shutdown().await;
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_are_refused_or_broken_leave_the_old_ones_in_use() {
    let (cluster, fleet) = (Cluster::start().await, fleet());
    let token = cluster.issue().await;
    fleet.upsert(east(), cluster.config(&token));
    let revision = within(fleet.wait_connected(&east())).await.unwrap();
    let user = User::start(served(&fleet).await);

    let wrong = [
        (cluster.config_with("no-server-issued-this"), ConnectErrorKind::Unauthorized),
        (cluster.config_with_broken_authority(&token), ConnectErrorKind::InvalidConfig),
    ];
    for (config, kind) in wrong {
        fleet.upsert(east(), config);
        let now = until(&fleet, |now| now.error.as_ref().is_some_and(|error| error.kind() == kind)).await;
        assert!(now.is_connected() && now.connected_at == Some(revision), "{now:?}");
        user.has_asked_again().await;
    }
    fleet.upsert(east(), cluster.config(&cluster.issue().await));
    let now = until(&fleet, |now| now.error.is_none()).await;
    assert_eq!(now.connected_at, Some(revision));
    user.stop().await;
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_watches_of_a_cluster_share_one_connection() {
    let (cluster, fleet) = (Cluster::start().await, clientmgr_kube::Fleet::builder().probe_interval(PATIENCE).build());
    fleet.upsert(east(), cluster.config(&cluster.issue().await));
    within(fleet.wait_connected(&east())).await.unwrap();
    let client = served(&fleet).await;
    let mut open = Vec::new();
    for _ in 0..10 {
        open.push(watch(&client).await);
    }
    cluster.create("seen-by-all").await;
    for open in &mut open {
        assert_is_added(within(open.next()).await, "seen-by-all");
    }
    assert_eq!(cluster.forwarder.connections(), 1);
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_revoked_with_no_other_at_hand_is_an_error_of_its_kind() {
    let (cluster, fleet) = (Cluster::start().await, fleet());
    let token = cluster.issue().await;
    fleet.upsert(east(), cluster.config(&token));
    let revision = within(fleet.wait_connected(&east())).await.unwrap();
    let client = served(&fleet).await;
    cluster.revoke(&token).await;
    let down = until(&fleet, |now| !now.is_connected()).await;
    assert_eq!(down.error.unwrap().kind(), ConnectErrorKind::Unauthorized);
    assert_eq!(down.connected_at, Some(revision));
    assert!(matches!(list(&client).await, Err(kube::Error::Api(status)) if status.code == 401));

    fleet.upsert(east(), cluster.config(&cluster.issue().await));
    until(&fleet, clientmgr_kube::ClusterSnapshot::is_connected).await;
    list(&client).await.unwrap();
    fleet.shutdown().await;
}

fn fleet_of_one(config: &clientmgr_kube::ClusterConfig) -> clientmgr_kube::Fleet {
    let fleet = fleet();
    fleet.upsert(east(), config.clone());
    fleet
}
