//! Servers that hang, and attempts that are overtaken while they do.

use std::time::Duration;

use clientmgr_fake::apiserver::{ConnectionFault, Fault, InjectionHandle, Requests, TestServer};
use clientmgr_kube::kube::config::AuthInfo;
use clientmgr_kube::{ConnectErrorKind, Fleet};
use futures::future::{join, join_all};

use crate::support::{
    SOON, add, attempts, builder, config, fleet_of, fleet_with, key, kubeconfig_of, logged, served, server,
    unavailable, until, within,
};

#[tokio::test]
async fn servers_that_never_answer_delay_no_other_and_end_within_their_deadline() {
    let (hanging, mute, good) = (server("hanging").await, server("mute").await, server("good").await);
    let _fault = hanging.inject(Fault::NeverAnswer);
    let _silent = mute.inject_on_connect(ConnectionFault::Silent).unwrap();

    // The others have all the time they need; only those that hang have none.
    let hour = Duration::from_secs(3600);
    let patient = add(builder().request_deadline(hour).connect_deadline(hour).build(), &[&hanging, &mute, &good]);
    within(patient.wait_connected(&key("good"))).await.unwrap();
    served(&patient, &key("good")).await.client.apiserver_version().await.unwrap();

    let hurried = add(builder().request_deadline(SOON).build(), &[&hanging, &mute]);
    for server in [&hanging, &mute] {
        let error = hurried.wait_connected(&key(server.name())).await.unwrap_err();
        assert_eq!(error.kind(), ConnectErrorKind::Timeout, "{error:?}");
    }
}

#[tokio::test]
async fn the_whole_of_a_connect_has_a_deadline_too() {
    let server = server("east").await;
    let _fault = server.inject(Fault::NeverAnswer);
    let fleet = add(builder().connect_deadline(SOON).build(), &[&server]);
    let error = fleet.wait_connected(&key("east")).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Timeout);
    assert_eq!(error.to_string(), "cluster east: no answer within 300ms");
}

/// A fleet whose first attempt is under way at the server and will not end by itself.
async fn under_way(server: &TestServer) -> (Fleet, InjectionHandle) {
    let fault = server.inject(Fault::NeverAnswer);
    let fleet = fleet_of(&[server]);
    logged(server, Requests::any()).await;
    (fleet, fault)
}

#[tokio::test]
async fn readers_do_not_wait_for_an_attempt() {
    let server = server("east").await;
    let (fleet, _fault) = under_way(&server).await;
    assert_eq!(unavailable(&fleet, &key("east")).await.kind(), ConnectErrorKind::Connecting);
}

#[tokio::test]
async fn removing_a_cluster_ends_the_attempt_under_way() {
    let server = server("east").await;
    let (fleet, _fault) = under_way(&server).await;
    let east = key("east");
    let waiting = fleet.wait_connected(&east);
    let (outcome, removed) = join(waiting, async { fleet.remove(&east) }).await;
    assert!(removed);
    assert_eq!(outcome.unwrap_err().to_string(), "cluster east: the cluster was removed from the fleet");
    logged(&server, Requests::any().ended()).await;
}

#[tokio::test]
async fn another_configuration_ends_the_attempt_under_way_and_callers_that_wait_get_its_connection() {
    let (old, new) = (server("old").await, server("new").await);
    let _fault = old.inject(Fault::NeverAnswer);
    let fleet = builder().build();
    fleet.upsert("shop", config(&old, &old.admin()));
    logged(&old, Requests::any()).await;
    let shop = key("shop");
    let replacing = async { fleet.upsert("shop", config(&new, &new.admin())) };
    let (connected, ()) = join(fleet.wait_connected(&shop), replacing).await;
    assert_eq!(served(&fleet, &shop).await.revision, connected.unwrap());
    logged(&old, Requests::any().ended()).await;
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_end_the_attempt() {
    let server = server("east").await;
    let (fleet, fault) = under_way(&server).await;
    let east = key("east");
    {
        let mut waiting = std::pin::pin!(fleet.wait_connected(&east));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
    }
    fault.lift();
    server.cut_connections();
    until(&fleet, &east, clientmgr_kube::ClusterSnapshot::is_connected).await;
}

#[tokio::test]
async fn a_reconnect_serves_the_old_connection_until_the_new_one_is_proven() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let first = fleet.wait_connected(&key("east")).await.unwrap();
    let marker = server.marker();
    let fault = server.inject(Fault::NeverAnswer.on(Requests::under("/version")));
    let east = key("east");
    {
        let mut reconnecting = std::pin::pin!(fleet.reconnect(&east));
        assert!(futures::poll!(reconnecting.as_mut()).is_pending());
        logged(&server, Requests::under("/version").since(marker)).await;
        assert_eq!(served(&fleet, &east).await.revision, first);
        served(&fleet, &east).await.client.list_core_api_versions().await.unwrap();
    }
    fault.lift();
    assert_eq!(fleet.reconnect(&east).await.unwrap(), first);
}

#[tokio::test]
async fn all_callers_that_wait_for_a_cluster_share_one_attempt() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let east = key("east");
    let outcomes = join_all((0..8).map(|_| fleet.wait_connected(&east))).await;
    let revisions: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    assert!(revisions.iter().all(|revision| *revision == revisions[0]));
    assert_eq!(attempts(&fleet, &server).await, 1);

    let outcomes = join_all((0..8).map(|_| fleet.reconnect(&east))).await;
    assert!(outcomes.into_iter().all(|outcome| outcome.unwrap() == revisions[0]));
    // The first began at once, which was before the others asked; these share the second.
    let attempts = attempts(&fleet, &server).await;
    assert!(attempts <= 3, "reconnects made {} attempts", attempts - 1);
}

#[tokio::test]
async fn an_attempt_uses_the_credentials_of_its_own_time() {
    let server = server("east").await;
    let (old, new) = (server.issue_token("alice"), server.issue_token("alice"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, old.token().unwrap()).unwrap();
    let user = AuthInfo { token_file: Some(path.to_str().unwrap().into()), ..AuthInfo::default() };
    let hanging = server.inject(Fault::NeverAnswer);
    let (fleet, east) = fleet_with(&kubeconfig_of(&server, user));
    logged(&server, Requests::any().with(old.fingerprint())).await;

    std::fs::write(&path, new.token().unwrap()).unwrap();
    let mut reconnecting = std::pin::pin!(fleet.reconnect(&east));
    assert!(futures::poll!(reconnecting.as_mut()).is_pending());
    hanging.lift();
    server.revoke(old.fingerprint());
    // Ends the attempt that read the old token.
    server.cut_connections();
    within(reconnecting).await.unwrap();
    logged(&server, Requests::any().with(new.fingerprint())).await;
}

#[tokio::test]
async fn another_configuration_is_pending_until_its_attempt_has_ended() {
    let (old, new) = (server("old").await, server("new").await);
    let fault = new.inject(Fault::NeverAnswer);
    let (fleet, shop) = (builder().build(), key("shop"));
    fleet.upsert("shop", config(&old, &old.admin()));
    fleet.wait_connected(&shop).await.unwrap();
    let before = fleet.snapshot(&shop).unwrap();
    assert!(!before.config_pending);
    fleet.upsert("shop", config(&new, &new.admin()));
    assert!(fleet.snapshot(&shop).unwrap().config_pending, "at once, before the task has seen it");
    logged(&new, Requests::any()).await;
    let pending = fleet.snapshot(&shop).unwrap();
    assert!(pending.config_pending && pending.is_connected());
    fault.lift();
    new.cut_connections();
    let after = until(&fleet, &shop, |now| !now.config_pending && now.connected_at > before.connected_at).await;
    assert_eq!(after.interruption, before.interruption, "readers had a client at every moment");

    // One that fails is no longer pending either.
    fleet.upsert("shop", config(&new, &old.issue_token("nobody")));
    let failed = until(&fleet, &shop, |now| now.error.is_some()).await;
    assert!(!failed.config_pending && failed.is_connected());
    new.stop().await;
    until(&fleet, &shop, |now| !now.is_connected()).await;
    new.start().await.unwrap();
    let recovered = until(&fleet, &shop, clientmgr_kube::ClusterSnapshot::is_connected).await;
    assert_ne!(recovered.interruption, after.interruption);
}
