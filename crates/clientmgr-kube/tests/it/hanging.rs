//! Servers that hang, and attempts that are overtaken while they do.

use std::time::Duration;

use clientmgr_fake::apiserver::{ConnectionFault, Fault, Requests, TestServer};
use clientmgr_kube::kube::config::AuthInfo;
use clientmgr_kube::{ConnectFailure, Fleet};
use futures::future::join;

use crate::support::{SOON, builder, endpoint, fleet_of, fleet_with, key, kubeconfig_of, served, server, unavailable};

#[tokio::test]
async fn a_server_that_never_answers_ends_within_its_deadline_and_delays_no_other() {
    let (hanging, mute, good) = (server("hanging").await, server("mute").await, server("good").await);
    let _fault = hanging.inject(Fault::NeverAnswer.on(Requests::any()));
    let _silent = mute.inject_on_connect(ConnectionFault::Silent).unwrap();

    // The others have all the time they need; only those that hang have none.
    let fleet =
        builder().request_deadline(Duration::from_secs(3600)).connect_deadline(Duration::from_secs(3600)).build();
    for server in [&hanging, &mute, &good] {
        fleet.upsert(key(server.name()), endpoint(server, &server.admin()));
    }
    let all = fleet.connect_all();
    let watcher = async {
        good.wait_for(Requests::any().answered()).await;
        hanging.wait_for(Requests::any()).await;
        while fleet.status(&key("good")).and_then(|status| status.connected_at()).is_none() {
            tokio::task::yield_now().await;
        }
    };
    futures::future::select(std::pin::pin!(all), std::pin::pin!(watcher)).await;
    served(&fleet, &key("good")).await;

    let hurried = builder().request_deadline(SOON).build();
    for server in [&hanging, &mute] {
        hurried.upsert(key(server.name()), endpoint(server, &server.admin()));
    }
    for (_, outcome) in hurried.connect_all().await {
        let error = outcome.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
    }
}

#[tokio::test]
async fn the_whole_of_a_connect_has_a_deadline_too() {
    let server = server("east").await;
    let _fault = server.inject(Fault::NeverAnswer.on(Requests::any()));
    let fleet = builder().connect_deadline(SOON).build();
    fleet.upsert(key("east"), endpoint(&server, &server.admin()));
    let error = fleet.connect(&key("east")).await.unwrap_err();
    assert!(matches!(error.failure(), ConnectFailure::DeadlinePassed { deadline } if *deadline == SOON), "{error:?}");
}

/// A fleet whose connect to the server is under way and will not end by itself.
fn under_way(server: &TestServer) -> (Fleet, clientmgr_fake::apiserver::InjectionHandle) {
    let fault = server.inject(Fault::NeverAnswer.on(Requests::any()));
    (fleet_of(&[server]), fault)
}

#[tokio::test]
async fn readers_do_not_wait_for_a_connect() {
    let server = server("east").await;
    let (fleet, _fault) = under_way(&server);
    let reader = async {
        server.wait_for(Requests::any()).await;
        let error = unavailable(&fleet, &key("east")).await;
        assert!(matches!(error.failure(), ConnectFailure::Connecting), "{error:?}");
        fleet.remove(&key("east"));
    };
    join(fleet.connect(&key("east")), reader).await.0.unwrap_err();
}

#[tokio::test]
async fn removing_a_cluster_ends_the_connect_under_way() {
    let server = server("east").await;
    let (fleet, _fault) = under_way(&server);
    let remover = async {
        server.wait_for(Requests::any()).await;
        fleet.remove(&key("east"));
    };
    let (outcome, ()) = join(fleet.connect(&key("east")), remover).await;
    assert!(matches!(outcome.unwrap_err().failure(), ConnectFailure::Removed));
}

#[tokio::test]
async fn replacing_an_endpoint_ends_the_connect_under_way_and_the_next_goes_to_the_new_one() {
    let (old, new) = (server("old").await, server("new").await);
    let _fault = old.inject(Fault::NeverAnswer.on(Requests::any()));
    let fleet = builder().build();
    fleet.upsert(key("shop"), endpoint(&old, &old.admin()));
    let replacer = async {
        old.wait_for(Requests::any()).await;
        fleet.upsert(key("shop"), endpoint(&new, &new.admin()));
        fleet.connect(&key("shop")).await
    };
    let (outdated, connected) = join(fleet.connect(&key("shop")), replacer).await;
    assert!(matches!(outdated.unwrap_err().failure(), ConnectFailure::Superseded));
    assert_eq!(served(&fleet, &key("shop")).await.revision, connected.unwrap());
    assert_eq!(new.requests().len(), 1);
}

#[tokio::test]
async fn a_connect_that_is_dropped_leaves_the_cluster_as_it_was() {
    let server = server("east").await;
    let (fleet, fault) = under_way(&server);
    let dropped = async { server.wait_for(Requests::any()).await };
    let east = key("east");
    {
        let connecting = std::pin::pin!(fleet.connect(&east));
        futures::future::select(connecting, std::pin::pin!(dropped)).await;
    }
    let error = unavailable(&fleet, &key("east")).await;
    assert!(matches!(error.failure(), ConnectFailure::NotConnected), "{error:?}");
    fault.lift();
    fleet.connect(&key("east")).await.unwrap();
}

#[tokio::test]
async fn a_reconnect_serves_the_old_connection_until_the_new_one_is_proven() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let first = fleet.connect(&key("east")).await.unwrap();
    let marker = server.marker();
    let fault = server.inject(Fault::NeverAnswer.on(Requests::any()));
    let east = key("east");
    {
        let reconnecting = std::pin::pin!(fleet.reconnect(&east));
        let arrived = std::pin::pin!(server.wait_for(Requests::any().since(marker)));
        futures::future::select(reconnecting, arrived).await;
        assert_eq!(served(&fleet, &key("east")).await.revision, first);
    }
    assert_eq!(served(&fleet, &key("east")).await.revision, first, "and when the reconnect is given up");
    fault.lift();
    assert!(fleet.reconnect(&key("east")).await.unwrap() > first);
}

#[tokio::test]
async fn connects_of_one_cluster_at_the_same_time_share_one_attempt() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let east = key("east");
    let outcomes = futures::future::join_all((0..8).map(|_| fleet.connect(&east))).await;
    let revisions: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    assert!(revisions.iter().all(|revision| *revision == revisions[0]));
    assert_eq!(server.requests().len(), 1);

    let outcomes = futures::future::join_all((0..8).map(|_| fleet.reconnect(&east))).await;
    assert!(outcomes.into_iter().all(|outcome| outcome.unwrap() > revisions[0]));
    // The first began at once, which was before the others asked; these share the second.
    assert_eq!(server.requests().len(), 3, "reconnects made two more");
}

#[tokio::test]
async fn no_more_clusters_than_allowed_are_connected_at_a_time() {
    let (first, second) = (server("a").await, server("b").await);
    let _fault = first.inject(Fault::NeverAnswer.on(Requests::any()));
    let fleet = builder().concurrent_connects(1).build();
    for server in [&first, &second] {
        fleet.upsert(key(server.name()), endpoint(server, &server.admin()));
    }
    let waiting = async {
        first.wait_for(Requests::any()).await;
        assert!(second.requests().is_empty());
        // What waits for its place gets it as soon as there is one.
        fleet.remove(&key("a"));
        second.wait_for(Requests::any()).await;
    };
    let (outcomes, ()) = join(fleet.connect_all(), waiting).await;
    assert_eq!(outcomes.iter().map(|(_, outcome)| outcome.is_ok()).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn a_reconnect_uses_the_credentials_of_its_own_time() {
    let server = server("east").await;
    let (old, new) = (server.issue_token("alice"), server.issue_token("alice"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, old.token().unwrap()).unwrap();
    let user = AuthInfo { token_file: Some(path.to_str().unwrap().into()), ..AuthInfo::default() };
    let (fleet, east) = fleet_with(&kubeconfig_of(&server, user));
    let hanging = server.inject(Fault::NeverAnswer.on(Requests::any()));
    let attempt = fleet.connect(&east);
    let rotation = async {
        server.wait_for(Requests::any().with(old.fingerprint())).await;
        std::fs::write(&path, new.token().unwrap()).unwrap();
        let mut reconnecting = std::pin::pin!(fleet.reconnect(&east));
        assert!(futures::poll!(reconnecting.as_mut()).is_pending());
        hanging.lift();
        server.revoke(old.fingerprint());
        // Ends the attempt that read the old token.
        server.cut_connections();
        reconnecting.await
    };
    let (outdated, reconnected) = join(attempt, rotation).await;
    outdated.unwrap_err();
    reconnected.unwrap();
    server.wait_for(Requests::any().with(new.fingerprint())).await;
}
