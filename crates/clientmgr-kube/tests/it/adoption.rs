//! A process that only adopts incarnations, beside the one that names them in the status.

use std::time::Duration;

use clientmgr_fake::apiserver::{Replacement, Requests};
use clientmgr_kube::{
    ClusterConfig, ClusterSnapshot, ConnectErrorKind, ConnectedAt, ConnectionState, Fleet, Incarnation, Naming,
    Revoked, RevokedReason,
};

use crate::support::{add, builder, config, fleet_of, key, served, server, snapshot, unavailable, until, within};
use crate::traffic::{list, lists, watch};

/// What a status keeps of a cluster.
fn incarnation(status: &ClusterSnapshot) -> Incarnation {
    Incarnation { identity: status.identity.clone().unwrap(), revision: status.connected_at.unwrap() }
}

/// A fleet whose probes come only when a connection breaks.
fn quiet() -> Fleet {
    builder().probe_interval(Duration::from_secs(3_600)).build()
}

fn is_unknown(snapshot: &ClusterSnapshot) -> bool {
    snapshot.error.as_ref().is_some_and(|error| error.kind() == ConnectErrorKind::UnknownIncarnation)
}

#[tokio::test]
async fn a_cluster_is_served_once_the_status_names_it_and_over_the_connection_that_was_ready() {
    let server = server("east").await;
    let east = key("east");
    let adopting = config(&server, &server.admin()).with_naming(Naming::AdoptOnly);
    let fleet = quiet();
    fleet.upsert("east", adopting.clone());
    let ready = until(&fleet, &east, is_unknown).await;
    assert_eq!((ready.state, ready.connected_at), (ConnectionState::Unavailable, None));
    let identity = ready.identity.expect("the identity that answers");
    assert_eq!(identity.to_string(), server.kube_system_uid());
    let error = unavailable(&fleet, &east).await;
    assert_eq!(
        error.to_string(),
        format!("cluster east: the status does not name this incarnation of the cluster yet: {identity} answers")
    );
    for asked in [fleet.wait_connected(&east).await, fleet.probe(&east).await, fleet.reset(&east).await] {
        assert_eq!(asked.unwrap_err().kind(), ConnectErrorKind::UnknownIncarnation);
    }

    let marker = server.marker();
    let revision = ConnectedAt::from_unix_micros(1_700_000_000_000_000).unwrap();
    fleet.upsert("east", adopting.with_incarnation(Incarnation { identity, revision }));
    until(&fleet, &east, ClusterSnapshot::is_connected).await;
    assert_eq!(fleet.wait_connected(&east).await.unwrap(), revision);
    let sent = server.requests_matching(Requests::any().since(marker));
    assert!(sent.is_empty(), "nothing is proven again: {sent:?}");
    list(&served(&fleet, &east).await.client).await.unwrap();
}

#[tokio::test]
async fn a_replaced_cluster_is_served_by_no_process_before_the_status_names_it() {
    let server = server("east").await;
    let east = key("east");
    let writer = add(quiet(), &[&server]);
    writer.wait_connected(&east).await.unwrap();
    let first = incarnation(&snapshot(&writer, &east));

    let replica = quiet();
    let adopting = config(&server, &server.admin()).with_naming(Naming::AdoptOnly);
    replica.upsert("east", adopting.clone().with_incarnation(first.clone()));
    assert_eq!(replica.wait_connected(&east).await.unwrap(), first.revision);
    let old = served(&replica, &east).await.client;
    let _open = watch(&server, &old).await;

    server.replace(Replacement::SameCa).unwrap();
    let found = until(&replica, &east, is_unknown).await;
    assert_eq!(found.identity.as_ref().map(ToString::to_string), Some(server.kube_system_uid()));
    assert_eq!(unavailable(&replica, &east).await.kind(), ConnectErrorKind::UnknownIncarnation);
    let marker = server.marker();
    let error = list(&old).await.unwrap_err();
    assert_eq!(Revoked::find(&error).map(|revoked| revoked.reason), Some(RevokedReason::Replaced));
    assert!(server.requests_matching(lists().since(marker)).is_empty());

    writer.probe(&east).await.ok();
    let named = until(&writer, &east, |now| now.is_connected() && now.connected_at > Some(first.revision)).await;
    // A cache that lags changes nothing.
    replica.upsert("east", adopting.clone());
    replica.upsert("east", adopting.clone().with_incarnation(first));
    assert_eq!(unavailable(&replica, &east).await.kind(), ConnectErrorKind::UnknownIncarnation);
    replica.upsert("east", adopting.with_incarnation(incarnation(&named)));
    let adopted = within(until(&replica, &east, ClusterSnapshot::is_connected)).await;
    assert_eq!(adopted.connected_at, named.connected_at, "both processes serve one revision");
    list(&served(&replica, &east).await.client).await.unwrap();
}

#[tokio::test]
async fn a_process_that_becomes_the_writer_or_ceases_to_be_keeps_what_it_serves() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let east = key("east");
    let revision = fleet.wait_connected(&east).await.unwrap();
    let client = served(&fleet, &east).await.client;
    let minting = config(&server, &server.admin());
    let adopting: ClusterConfig = minting.clone().with_naming(Naming::AdoptOnly);
    assert_ne!(minting, adopting);
    for config in [adopting.clone(), minting.clone(), adopting] {
        let marker = server.marker();
        fleet.upsert("east", config);
        // Answered after the configuration was taken up.
        assert_eq!(fleet.probe(&east).await.unwrap(), revision);
        assert!(server.requests_matching(Requests::to("selfsubjectreviews").since(marker)).len() <= 1);
        list(&client).await.unwrap();
    }
    assert_eq!(fleet.reset(&east).await.unwrap_err().kind(), ConnectErrorKind::UnknownIncarnation);
    fleet.upsert("east", minting);
    assert!(fleet.reset(&east).await.unwrap() > revision);
}
