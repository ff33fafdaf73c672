//! Which cluster it is: proven, adopted, replaced, removed.

use std::time::Duration;

use clientmgr_core::ClientManager;
use clientmgr_kube::{ConnectErrorKind, Fleet, Incarnation, Revoked, RevokedReason};
use futures::StreamExt;

use crate::cluster::{Cluster, east, fleet};
use crate::users::{list, served, snapshot, until, watch, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cluster_behind_the_address_fences_the_old_client_and_resets_each_object_once() {
    let (blue, green) = tokio::join!(Cluster::start(), Cluster::start());
    // The replacement is noticed because connections break, not by a probe that happens to come.
    let fleet = Fleet::builder().probe_interval(Duration::from_secs(3600)).build();
    fleet.upsert(east(), blue.config_of_any_server());
    let first = within(fleet.wait_connected(&east())).await.unwrap();
    assert_eq!(snapshot(&fleet).identity.unwrap().to_string(), blue.identity().await);
    let old = served(&fleet).await;
    let mut open = watch(&old).await;
    let manager = ClientManager::<_, u8>::new(fleet.clone());
    manager.client(&0, &snapshot(&fleet)).await.unwrap();

    blue.forwarder.lead_to(green.address());
    let after = until(&fleet, |now| now.is_connected() && now.connected_at > Some(first)).await;
    assert_eq!(after.identity.as_ref().unwrap().to_string(), green.identity().await);
    let revoked = Revoked::find(&list(&old).await.unwrap_err()).cloned().expect("a Revoked");
    assert_eq!((revoked.revision, revoked.reason), (first, RevokedReason::Replaced));
    within(async { while open.next().await.is_some_and(|event| event.is_ok()) {} }).await;

    assert!(manager.refresh(&0, &after).is_reset());
    list(&manager.client(&0, &after).await.unwrap()).await.unwrap();
    assert!(!manager.refresh(&0, &after).is_reset());
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_identity_keeps_the_old_cluster_and_shows_the_error() {
    let (blue, green) = tokio::join!(Cluster::start(), Cluster::start());
    let (fleet, identity) = (fleet(), blue.identity().await.parse().unwrap());
    let pinned = |cluster: &Cluster| cluster.config_of_any_server().with_identity(Clone::clone(&identity));
    fleet.upsert(east(), pinned(&blue));
    let first = within(fleet.wait_connected(&east())).await.unwrap();
    let client = served(&fleet).await;

    fleet.upsert(east(), pinned(&green));
    let is_other = |error: &clientmgr_kube::ConnectError| error.kind() == ConnectErrorKind::OtherCluster;
    let now = until(&fleet, |now| now.error.as_ref().is_some_and(is_other)).await;
    assert!(now.is_connected() && now.connected_at == Some(first), "{now:?}");
    list(&client).await.unwrap();
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_that_adopts_the_known_incarnation_resets_nothing() {
    let (cluster, before) = (Cluster::start().await, fleet());
    let config = cluster.config(&cluster.issue().await);
    before.upsert(east(), config.clone());
    let revision = within(before.wait_connected(&east())).await.unwrap();
    let identity = snapshot(&before).identity.unwrap().to_string();
    before.shutdown().await;

    let after = fleet();
    let known = Incarnation { identity: identity.parse().unwrap(), revision };
    after.upsert(east(), config.with_incarnation(known));
    assert_eq!(within(after.wait_connected(&east())).await.unwrap(), revision);
    after.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_cluster_is_fenced_and_gets_its_handle_back_when_it_returns() {
    let (cluster, fleet) = (Cluster::start().await, fleet());
    let config = cluster.config(&cluster.issue().await);
    fleet.upsert(east(), config.clone());
    let revision = within(fleet.wait_connected(&east())).await.unwrap();
    let known = Incarnation { identity: snapshot(&fleet).identity.unwrap(), revision };
    let client = served(&fleet).await;
    let mut open = watch(&client).await;

    fleet.remove(east());
    let error = within(async {
        loop {
            if let Some(Err(error)) = open.next().await {
                return error;
            }
        }
    });
    assert!(Revoked::find(&error.await).is_some());
    let error = list(&client).await.unwrap_err();
    assert_eq!(Revoked::find(&error).map(|revoked| revoked.reason), Some(RevokedReason::Removed));

    fleet.upsert(east(), config.with_incarnation(known));
    assert_eq!(within(fleet.wait_connected(&east())).await.unwrap(), revision);
    list(&client).await.unwrap();
    fleet.shutdown().await;
}
