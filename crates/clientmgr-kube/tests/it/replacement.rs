//! Another cluster behind the same address, and the same cluster under a known revision.

use std::time::Duration;

use clientmgr_core::ClientManager;
use clientmgr_fake::apiserver::{Replacement, Requests};
use clientmgr_kube::{ClientError, ConnectErrorKind, ConnectedAt, Incarnation, Revoked, RevokedReason};
use futures::StreamExt;
use http::Request;
use http::header::{CONNECTION, UPGRADE};

use crate::support::{builder, config, fleet_of, key, proofs, served, server, snapshot, until, within};
use crate::traffic::{assert_goes_on, list, lists, watch};

#[tokio::test]
async fn a_replaced_cluster_is_noticed_when_its_connections_break_and_no_old_client_reaches_it() {
    let server = server("east").await;
    // Not by a probe that happens to come.
    let hour = Duration::from_secs(3600);
    let fleet = crate::support::add(builder().probe_interval(hour).build(), &[&server]);
    let east = key("east");
    let first = fleet.wait_connected(&east).await.unwrap();
    let old = served(&fleet, &east).await.client;
    let mut open = watch(&server, &old).await;
    let manager = ClientManager::<_, u8>::new(fleet.clone());
    for object in 0..3 {
        manager.client(&object, &snapshot(&fleet, &east)).await.unwrap();
    }
    let before = server.kube_system_uid();

    server.replace(Replacement::SameCa).unwrap();
    let after = until(&fleet, &east, |now| now.is_connected() && now.connected_at > Some(first)).await;
    assert_eq!(after.identity.as_ref().unwrap().to_string(), server.kube_system_uid());
    assert_ne!(server.kube_system_uid(), before);

    // After the proof no request of the old client reaches the new cluster.
    let marker = server.marker();
    let error = list(&old).await.unwrap_err();
    let revoked = Revoked::find(&error).expect("a Revoked");
    assert_eq!((revoked.revision, revoked.reason), (first, RevokedReason::Replaced));
    assert!(server.requests_matching(lists().since(marker)).is_empty());
    // The fence is before the connection that broke: a reader that goes on gets the reason.
    let end = within(open.next()).await.expect("an error ends it").unwrap_err();
    assert_eq!(Revoked::find(&end).map(|revoked| revoked.reason), Some(RevokedReason::Replaced), "{end:?}");

    // One Reset for each object.
    for object in 0..3 {
        assert!(manager.refresh(&object, &after).is_reset());
        let client = manager.client(&object, &after).await.unwrap();
        list(&client).await.unwrap();
        assert!(!manager.refresh(&object, &after).is_reset());
    }
}

#[tokio::test]
async fn a_replaced_cluster_that_does_not_say_which_it_is_serves_no_old_client() {
    let server = server("east").await;
    let fleet = crate::support::add(builder().probe_interval(Duration::from_millis(50)).build(), &[&server]);
    let east = key("east");
    let first = fleet.wait_connected(&east).await.unwrap();
    let old = served(&fleet, &east).await.client;
    // Its credentials survive, and its roles do not.
    let forbidden = server.forbid_requests(proofs());
    server.replace(Replacement::SameCa).unwrap();
    let after = until(&fleet, &east, |now| now.is_connected() && now.connected_at > Some(first)).await;
    assert!(after.identity.as_ref().unwrap().is_by_address(), "{after:?}");
    let marker = server.marker();
    assert!(Revoked::find(&list(&old).await.unwrap_err()).is_some());
    assert!(server.requests_matching(lists().since(marker)).is_empty());
    // Once it says so, that is no other cluster.
    forbidden.lift();
    fleet.probe(&east).await.unwrap();
    let proven = snapshot(&fleet, &east);
    assert_eq!(proven.identity.unwrap().to_string(), server.kube_system_uid());
    assert_eq!(proven.connected_at, after.connected_at);
}

/// A kube-apiserver answers before it has loaded its roles: 403 to all but administrators, for `/readyz` too.
#[tokio::test]
async fn a_server_that_starts_again_without_its_roles_resets_nothing() {
    let server = server("east").await;
    let interval = Duration::from_millis(50);
    let fleet = crate::support::add(builder().probe_interval(interval).failure_threshold(2).build(), &[&server]);
    let east = key("east");
    let first = fleet.wait_connected(&east).await.unwrap();
    for _ in 0..3 {
        let without_roles = [proofs(), Requests::under("/readyz")].map(|requests| server.forbid_requests(requests));
        server.stop().await;
        server.start().await.unwrap();
        let down = until(&fleet, &east, |now| !now.is_connected()).await;
        assert_eq!(down.connected_at, Some(first));
        let (marker, began) = (server.marker(), std::time::Instant::now());
        // For many intervals, with attempts among the probes.
        while began.elapsed() < interval * 10 {
            fleet.probe(&east).await.unwrap_err();
            fleet.reconnect(&east).await.unwrap_err();
        }
        assert!(!server.requests_matching(proofs().since(marker).status(403)).is_empty());
        without_roles.iter().for_each(clientmgr_fake::apiserver::InjectionHandle::lift);
        let up = until(&fleet, &east, clientmgr_kube::ClusterSnapshot::is_connected).await;
        assert_eq!(up.connected_at, Some(first));
    }
    // So does a process that starts meanwhile with the known incarnation.
    let identity = snapshot(&fleet, &east).identity.unwrap();
    let without_roles = [proofs(), Requests::under("/readyz")].map(|requests| server.forbid_requests(requests));
    let other = builder().probe_interval(interval).build();
    let known = Incarnation { identity, revision: first };
    other.upsert("east", config(&server, &server.admin()).with_incarnation(known));
    let error = other.wait_connected(&east).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Unhealthy, "{error}");
    without_roles.iter().for_each(clientmgr_fake::apiserver::InjectionHandle::lift);
    assert_eq!(until(&other, &east, clientmgr_kube::ClusterSnapshot::is_connected).await.connected_at, Some(first));
}

#[tokio::test]
async fn a_known_incarnation_that_a_ready_server_does_not_show_is_another_one_after_a_while() {
    let server = server("east").await;
    let _forbidden = server.forbid_requests(proofs());
    let fleet = builder().probe_interval(Duration::from_millis(50)).build();
    let revision = ConnectedAt::now();
    let known = Incarnation { identity: server.kube_system_uid().parse().unwrap(), revision };
    fleet.upsert("east", config(&server, &server.admin()).with_incarnation(known));
    let error = fleet.wait_connected("east").await.unwrap_err();
    assert!(error.to_string().contains("does not say whether it is still"), "{error}");
    let up = until(&fleet, &key("east"), clientmgr_kube::ClusterSnapshot::is_connected).await;
    assert!(up.connected_at > Some(revision) && up.identity.unwrap().is_by_address());
}

#[tokio::test]
async fn a_right_that_is_taken_away_shows_in_the_snapshot_and_resets_nothing() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let east = key("east");
    let first = fleet.wait_connected(&east).await.unwrap();
    let uid = snapshot(&fleet, &east).identity.unwrap();
    let forbidden = server.forbid_requests(proofs());
    for shown in [false, true] {
        assert_eq!(fleet.probe(&east).await.unwrap(), first);
        let now = snapshot(&fleet, &east);
        assert_eq!((now.identity.as_ref(), now.identity_shown), (Some(&uid), shown), "it stays, as a status needs it");
        forbidden.lift();
    }
}

/// With OpenSSL there is no HTTP/2, and a probe may meet the new server by itself.
#[cfg(feature = "rustls-tls")]
#[tokio::test]
async fn connections_that_lead_elsewhere_while_the_old_ones_live_on_are_noticed_by_the_next_probe() {
    let (blue, green) = (server("shop").await, server("shop").await);
    let token = "the-same-everywhere";
    let user = blue.accept_token("alice", token);
    green.accept_token("alice", token);
    let turn = crate::support::Turn::start(blue.address()).await;
    let mut kubeconfig = blue.kubeconfig_for(&user);
    let cluster = kubeconfig.clusters[0].cluster.as_mut().unwrap();
    // Two servers with one authority are beyond the test server, and no part of this.
    cluster.server = Some(format!("https://{}", turn.address));
    (cluster.certificate_authority_data, cluster.insecure_skip_tls_verify) = (None, Some(true));
    let fleet = builder().probe_interval(Duration::from_millis(50)).build();
    fleet.upsert("shop", clientmgr_kube::ClusterConfig::from_kubeconfig(&kubeconfig, "shop"));
    let first = fleet.wait_connected("shop").await.unwrap();
    let shop = key("shop");
    let client = served(&fleet, &shop).await.client;
    let mut open = watch(&blue, &client).await;
    turn.to(green.address());
    // Requests and probes stay on the connection of HTTP/2 to the old one.
    assert_goes_on(&blue, &mut open, "still-there").await;
    assert_eq!(fleet.probe("shop").await.unwrap(), first);
    // A request that upgrades has one of its own.
    let request = Request::get("/version").header(CONNECTION, "upgrade").header(UPGRADE, "SPDY/3.1");
    client.send(request.body(kube::client::Body::empty()).unwrap()).await.unwrap();
    let after = until(&fleet, &shop, |now| now.is_connected() && now.connected_at > Some(first)).await;
    assert_eq!(after.identity.unwrap().to_string(), green.kube_system_uid());
    let end = within(open.next()).await.expect("an error ends it").unwrap_err();
    assert!(Revoked::find(&end).is_some(), "{end:?}");
}

#[tokio::test]
async fn open_watches_end_revoked_when_the_configuration_leads_to_another_cluster() {
    let (blue, green) = (server("shop").await, server("shop").await);
    let fleet = fleet_of(&[&blue]);
    let shop = key("shop");
    let first = fleet.wait_connected(&shop).await.unwrap();
    let old = served(&fleet, &shop).await.client;
    let mut open = watch(&blue, &old).await;

    fleet.upsert("shop", config(&green, &green.admin()));
    let error = within(open.next()).await.expect("an error and not an end").unwrap_err();
    let revoked = Revoked::find(&error).unwrap_or_else(|| panic!("{error:?}"));
    assert_eq!((&revoked.cluster, revoked.revision, revoked.reason), (&shop, first, RevokedReason::Replaced));
    assert!(Revoked::find(&list(&old).await.unwrap_err()).is_some());
    assert!(green.requests_matching(lists()).is_empty());
    // The old cluster sees the watch go.
    let gone = Requests::to("configmaps").verb("watch").ended();
    crate::support::logged(&blue, gone).await;
}

#[tokio::test]
async fn a_cluster_with_another_authority_behind_the_address_serves_no_old_client() {
    let server = server("east").await;
    let fast = Duration::from_millis(50);
    let fleet = crate::support::add(builder().probe_interval(fast).failure_threshold(2).build(), &[&server]);
    let east = key("east");
    let first = fleet.wait_connected(&east).await.unwrap();
    let old = served(&fleet, &east).await.client;
    server.replace(Replacement::NewCa).unwrap();
    until(&fleet, &east, |now| !now.is_connected()).await;
    list(&old).await.unwrap_err();
    assert!(server.requests_matching(lists()).is_empty());

    fleet.upsert("east", config(&server, &server.admin()));
    until(&fleet, &east, |now| now.is_connected() && now.connected_at > Some(first)).await;
    assert!(Revoked::find(&list(&old).await.unwrap_err()).is_some());
}

#[tokio::test]
async fn a_restart_that_adopts_a_known_incarnation_resets_nothing() {
    let server = server("east").await;
    let (east, admin) = (key("east"), config(&server, &server.admin()));
    let before = fleet_of(&[&server]);
    before.wait_connected(&east).await.unwrap();
    let status = snapshot(&before, &east);
    let (identity, revision) = (status.identity.clone().unwrap(), status.connected_at.unwrap());
    let manager = ClientManager::<_, u8>::new(before.clone());
    manager.client(&0, &status).await.unwrap();
    before.shutdown().await;

    // The identity goes through text, as in a status.
    let identity = identity.to_string().parse().unwrap();
    let after = builder().build();
    after.upsert("east", admin.with_incarnation(Incarnation { identity, revision }));
    assert_eq!(after.wait_connected(&east).await.unwrap(), revision);
    assert!(!manager.refresh(&0, &snapshot(&after, &east)).is_reset());
}

#[tokio::test]
async fn an_adopted_revision_of_another_cluster_is_surpassed_whatever_the_clock_says() {
    let server = server("east").await;
    let future = ConnectedAt::from_timestamp("2100-01-01T00:00:00Z".parse().unwrap()).unwrap();
    let identity = "0b1cb3f0-9d36-4b07-b8f2-2c40a5b8f6a1".parse().unwrap();
    let fleet = builder().build();
    let known = Incarnation { identity, revision: future };
    fleet.upsert("east", config(&server, &server.admin()).with_incarnation(known));
    assert!(fleet.wait_connected(&key("east")).await.unwrap() > future);
}

#[tokio::test]
async fn a_cluster_that_was_removed_and_added_again_under_its_revision_gets_its_handle_back() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let east = key("east");
    let revision = fleet.wait_connected(&east).await.unwrap();
    let identity = snapshot(&fleet, &east).identity.unwrap();
    let held = served(&fleet, &east).await.client;
    let mut open = watch(&server, &held).await;

    assert!(fleet.remove(&east));
    let error = within(open.next()).await.expect("an error and not an end").unwrap_err();
    let reason = Revoked::find(&error).map(|revoked| revoked.reason);
    assert_eq!(reason, Some(RevokedReason::Removed), "{error:?}");
    assert!(Revoked::find(&list(&held).await.unwrap_err()).is_some());

    let token = server.issue_token("alice");
    let known = Incarnation { identity, revision };
    fleet.upsert("east", config(&server, &token).with_incarnation(known));
    assert_eq!(fleet.wait_connected(&east).await.unwrap(), revision);
    // What is held works again, over the new connection.
    list(&held).await.unwrap();
    let mut again = watch(&server, &held).await;
    assert_goes_on(&server, &mut again, "again").await;
    assert_eq!(server.requests_matching(lists()).last().unwrap().fingerprint, Some(token.fingerprint()));
}

#[tokio::test]
async fn a_handle_that_was_given_back_renews_its_credentials_again() {
    let server = server("east").await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let first = server.issue_token("alice");
    std::fs::write(&path, first.token().unwrap()).unwrap();
    let user =
        kube::config::AuthInfo { token_file: path.to_str().map(str::to_owned), ..kube::config::AuthInfo::default() };
    let kubeconfig = crate::support::kubeconfig_of(&server, user);
    let (fleet, east) = crate::support::fleet_with(&kubeconfig);
    let revision = fleet.wait_connected(&east).await.unwrap();
    let identity = snapshot(&fleet, &east).identity.unwrap();
    let held = served(&fleet, &east).await.client;
    fleet.remove(&east);
    let again = clientmgr_kube::ClusterConfig::from_kubeconfig(&kubeconfig, "east");
    fleet.upsert("east", again.with_incarnation(Incarnation { identity, revision }));
    fleet.wait_connected(&east).await.unwrap();

    let second = server.issue_token("alice");
    let new = path.with_extension("new");
    std::fs::write(&new, second.token().unwrap()).unwrap();
    std::fs::rename(new, &path).unwrap();
    server.revoke(first.fingerprint());
    // Refused, it asks the member of now and not the one that was removed.
    list(&held).await.unwrap();
}

#[tokio::test]
async fn recovery_is_announced_to_an_object_that_never_had_a_client() {
    let server = server("east").await;
    server.stop().await;
    let fleet = fleet_of(&[&server]);
    let east = key("east");
    let error = fleet.wait_connected(&east).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Unreachable);
    let manager = ClientManager::<_, u8>::new(fleet.clone());
    let error = manager.client(&0, &snapshot(&fleet, &east)).await.map(drop).unwrap_err();
    assert!(matches!(error, ClientError::Unavailable { .. }), "{error:?}");

    server.start().await.unwrap();
    let recovered = until(&fleet, &east, clientmgr_kube::ClusterSnapshot::is_connected).await;
    assert!(manager.refresh(&0, &recovered).is_reset());
    list(&manager.client(&0, &recovered).await.unwrap()).await.unwrap();
    assert!(!manager.refresh(&0, &recovered).is_reset());
}
