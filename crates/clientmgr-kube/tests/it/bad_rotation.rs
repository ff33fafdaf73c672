//! A configuration that cannot be used never takes the place of one that works.

use std::collections::HashSet;
use std::time::Duration;

use clientmgr_fake::apiserver::{Requests, TestServer};
use clientmgr_kube::kube::config::Kubeconfig;
use clientmgr_kube::{ClusterConfig, ClusterIdentity, ConnectError, ConnectErrorKind, Fleet};

use crate::support::{SOON, builder, config, key, served, server, snapshot, until};
use crate::traffic::{assert_goes_on, list, lists, watch};

/// A kubeconfig of the server, changed.
fn changed(server: &TestServer, edit: impl FnOnce(&mut Kubeconfig)) -> ClusterConfig {
    let mut kubeconfig = server.kubeconfig();
    edit(&mut kubeconfig);
    ClusterConfig::from_kubeconfig(&kubeconfig, server.name())
}

fn with_server(server: &TestServer, url: &str) -> ClusterConfig {
    changed(server, |it| it.clusters[0].cluster.as_mut().unwrap().server = Some(url.into()))
}

fn with_authority(server: &TestServer, pem: &str) -> ClusterConfig {
    use base64::Engine;
    let data = base64::engine::general_purpose::STANDARD.encode(pem);
    changed(server, |it| it.clusters[0].cluster.as_mut().unwrap().certificate_authority_data = Some(data))
}

async fn fleet_of(server: &TestServer, good: &ClusterConfig) -> Fleet {
    let fleet = builder().request_deadline(Duration::from_secs(2)).build();
    fleet.upsert(server.name(), good.clone());
    fleet.wait_connected(&key(server.name())).await.unwrap();
    fleet
}

/// A real server ends the connection on which it refuses credentials.
#[tokio::test]
async fn refused_credentials_are_never_sent_on_the_connection_in_use() {
    let server = server("east").await;
    let refused = server.issue_token("alice");
    server.revoke(refused.fingerprint());
    let fleet = fleet_of(&server, &config(&server, &server.admin())).await;
    let client = served(&fleet, &key("east")).await.client;
    list(&client).await.unwrap();

    fleet.upsert("east", config(&server, &refused));
    let unauthorized = |error: &ConnectError| error.kind() == ConnectErrorKind::Unauthorized;
    until(&fleet, &key("east"), |now| now.error.as_ref().is_some_and(unauthorized)).await;
    list(&client).await.unwrap();
    let connections = |status: u16| -> HashSet<u64> {
        let answered = Requests::any().status(status);
        server.requests_matching(answered).iter().map(|request| request.connection).collect()
    };
    assert!(!connections(401).is_empty());
    assert!(connections(401).is_disjoint(&connections(200)));
}

#[tokio::test]
async fn all_requests_succeed_on_the_old_credentials_and_the_corrected_ones_are_taken_up_at_once() {
    let (server, other) = (server("east").await, server("east").await);
    // What it accepts and then does nothing with.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("https://{}", silent.local_addr().unwrap());
    let refused = server.issue_token("alice");
    server.revoke(refused.fingerprint());
    let identity: ClusterIdentity = server.kube_system_uid().parse().unwrap();
    let bad = [
        (config(&server, &refused), ConnectErrorKind::Unauthorized),
        (with_authority(&server, "no certificate"), ConnectErrorKind::InvalidConfig),
        (with_authority(&server, &other.ca_pem().unwrap()), ConnectErrorKind::Tls),
        (with_server(&server, "https://127.0.0.1:1"), ConnectErrorKind::Unreachable),
        (with_server(&server, &silent_url), ConnectErrorKind::Timeout),
        (with_server(&server, "nothing"), ConnectErrorKind::InvalidConfig),
        (config(&other, &other.admin()).with_identity(identity.clone()), ConnectErrorKind::OtherCluster),
    ];
    let east = key("east");
    let first = server.issue_token("alice");
    let fleet = fleet_of(&server, &config(&server, &first)).await;
    let revision = served(&fleet, &east).await.revision;
    let client = served(&fleet, &east).await.client;
    let mut open = watch(&server, &client).await;

    for (number, (bad, kind)) in bad.into_iter().enumerate() {
        fleet.upsert("east", bad);
        let seen = until(&fleet, &east, |now| now.error.as_ref().is_some_and(|error| error.kind() == kind)).await;
        assert!(seen.is_connected(), "{seen:?}");
        assert_eq!((seen.connected_at, seen.identity), (Some(revision), Some(identity.clone())));
        for _ in 0..3 {
            list(&client).await.unwrap();
        }
        served(&fleet, &east).await;

        let corrected = server.issue_token("alice");
        let marker = server.marker();
        fleet.upsert("east", config(&server, &corrected));
        until(&fleet, &east, |now| now.error.is_none()).await;
        list(&client).await.unwrap();
        let log = server.requests_matching(lists().since(marker));
        assert_eq!(log.last().unwrap().fingerprint, Some(corrected.fingerprint()));
        assert_goes_on(&server, &mut open, &format!("after-{number}")).await;
    }
    assert_eq!(served(&fleet, &east).await.revision, revision);
}

#[tokio::test]
async fn a_pinned_cluster_is_connected_and_another_one_never_is() {
    let (server, other) = (server("east").await, server("east").await);
    let pin: ClusterIdentity = server.kube_system_uid().parse().unwrap();
    let fleet = builder().build();
    fleet.upsert("east", config(&other, &other.admin()).with_identity(pin.clone()));
    let error = fleet.wait_connected(&key("east")).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::OtherCluster);
    let (expected, found) = (server.kube_system_uid(), other.kube_system_uid());
    assert_eq!(error.to_string(), format!("cluster east: another cluster answers: expected {expected}, found {found}"));
    assert_eq!(snapshot(&fleet, &key("east")).connected_at, None);

    fleet.upsert("east", config(&server, &server.admin()).with_identity(pin));
    fleet.wait_connected(&key("east")).await.unwrap();
    let nothing = tokio::time::timeout(SOON, until(&fleet, &key("east"), |now| !now.is_connected())).await;
    assert!(nothing.is_err(), "it was given up: {nothing:?}");
}

#[tokio::test]
async fn a_pin_that_is_wrong_leaves_the_connection_in_use_and_shows() {
    let server = server("east").await;
    let (fleet, east) = (builder().build(), key("east"));
    fleet.upsert("east", config(&server, &server.admin()));
    let revision = fleet.wait_connected(&east).await.unwrap();
    let client = served(&fleet, &east).await.client;
    let mut open = watch(&server, &client).await;
    let typo: ClusterIdentity = "00000000-0000-4000-8000-000000000000".parse().unwrap();
    fleet.upsert("east", config(&server, &server.admin()).with_identity(typo));
    let wrong = |now: &clientmgr_kube::ClusterSnapshot| {
        now.error.as_ref().is_some_and(|error| error.kind() == ConnectErrorKind::OtherCluster)
    };
    let now = until(&fleet, &east, wrong).await;
    assert!(now.is_connected() && now.connected_at == Some(revision), "{now:?}");
    assert_goes_on(&server, &mut open, "meanwhile").await;

    let pin: ClusterIdentity = server.kube_system_uid().parse().unwrap();
    fleet.upsert("east", config(&server, &server.admin()).with_identity(pin));
    until(&fleet, &east, |now| now.error.is_none()).await;
    assert_goes_on(&server, &mut open, "afterwards").await;
    assert_eq!(served(&fleet, &east).await.revision, revision);
}
