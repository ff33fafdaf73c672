//! What a probe makes of a server's answers.

use std::time::Duration;

use clientmgr_fake::apiserver::{Fault, Requests, TestServer};
use clientmgr_kube::{ConnectErrorKind, Fleet};

use crate::support::{add, builder, key, served, server, unavailable, until};

const ASKED: Duration = Duration::from_secs(17);

fn busy() -> Fault {
    Fault::TooManyRequests { retry_after: ASKED }
}

/// A fleet that takes a cluster out of service after one failed probe, and probes for itself hardly ever.
fn impatient(server: &TestServer) -> Fleet {
    let hour = Duration::from_secs(3600);
    add(builder().failure_threshold(1).probe_interval(hour).build(), &[server])
}

#[tokio::test]
async fn a_server_that_is_too_busy_for_a_probe_stays_in_service() {
    let server = server("east").await;
    let fleet = impatient(&server);
    let first = fleet.wait_connected(&key("east")).await.unwrap();
    let standing = server.inject(busy());

    let error = fleet.probe(&key("east")).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(ASKED));
    assert_eq!(served(&fleet, &key("east")).await.revision, first);
    // Nor is it lost over a reconnect that is not let through.
    fleet.reconnect(&key("east")).await.unwrap_err();
    assert_eq!(served(&fleet, &key("east")).await.revision, first);
    standing.lift();
    assert_eq!(fleet.probe(&key("east")).await.unwrap(), first);
}

#[tokio::test]
async fn a_cluster_that_is_out_of_service_does_not_come_back_by_being_too_busy() {
    let server = server("east").await;
    let fleet = impatient(&server);
    let first = fleet.wait_connected(&key("east")).await.unwrap();
    let outage = server.inject(Fault::Unavailable);
    fleet.probe(&key("east")).await.unwrap_err();
    unavailable(&fleet, &key("east")).await;
    let standing = server.inject(busy());
    outage.lift();

    let error = fleet.probe(&key("east")).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(ASKED));
    unavailable(&fleet, &key("east")).await;
    standing.lift();
    assert_eq!(fleet.probe(&key("east")).await.unwrap(), first);
    assert_eq!(served(&fleet, &key("east")).await.revision, first);
}

#[tokio::test]
async fn a_server_that_is_not_ready_is_out_of_service_at_the_threshold_and_back_with_one_success() {
    let server = server("east").await;
    let hour = Duration::from_secs(3600);
    let fleet = add(builder().failure_threshold(2).probe_interval(hour).build(), &[&server]);
    let first = fleet.wait_connected(&key("east")).await.unwrap();
    let handle = served(&fleet, &key("east")).await.client;

    server.set_ready(false);
    assert_eq!(fleet.probe(&key("east")).await.unwrap_err().kind(), ConnectErrorKind::Unhealthy);
    // The repeat that follows a failure by itself may come first; one of both is the second failure.
    let _ = fleet.probe(&key("east")).await.unwrap_err();
    until(&fleet, &key("east"), |snapshot| !snapshot.is_connected()).await;
    let error = unavailable(&fleet, &key("east")).await;
    assert_eq!(error.to_string(), "cluster east: the server answered with status 500");

    server.set_ready(true);
    assert_eq!(fleet.probe(&key("east")).await.unwrap(), first);
    handle.apiserver_version().await.unwrap();
}

#[tokio::test]
async fn a_probe_that_may_not_ask_is_no_failure() {
    let server = server("east").await;
    let _all = server.forbid("admin", "*", "*");
    let _paths = server.forbid_requests(Requests::under("/readyz").user("admin"));
    let fleet = impatient(&server);
    let first = fleet.wait_connected(&key("east")).await.unwrap();
    assert_eq!(fleet.probe(&key("east")).await.unwrap(), first);
    let snapshot = crate::support::snapshot(&fleet, &key("east"));
    assert!(snapshot.is_connected() && snapshot.user.is_none(), "{snapshot:?}");
}
