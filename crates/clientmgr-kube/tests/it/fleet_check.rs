//! What a check makes of a server's answers.

use std::time::Duration;

use clientmgr_fake::apiserver::{Fault, Requests};
use tokio::runtime::Runtime;

use crate::support::{fleet_of, key, served, server, unavailable};

const ASKED: Duration = Duration::from_secs(17);

fn busy() -> Fault {
    Fault::TooManyRequests { retry_after: ASKED }
}

#[tokio::test]
async fn a_server_that_is_too_busy_for_a_check_stays_in_service() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let first = fleet.connect(&key("east")).await.unwrap();
    let standing = server.inject(busy().on(Requests::any()));

    let error = fleet.check(&key("east")).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(ASKED));
    assert_eq!(served(&fleet, &key("east")).await.revision, first);
    // Nor is it lost over a reconnect that is not let through.
    fleet.reconnect(&key("east")).await.unwrap_err();
    assert_eq!(served(&fleet, &key("east")).await.revision, first);
    standing.lift();
    assert_eq!(fleet.check(&key("east")).await.unwrap(), first);
}

#[tokio::test]
async fn a_cluster_that_is_out_of_service_does_not_come_back_by_being_too_busy() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let first = fleet.connect(&key("east")).await.unwrap();
    let outage = server.inject(Fault::Unavailable.on(Requests::any()));
    fleet.check(&key("east")).await.unwrap_err();
    unavailable(&fleet, &key("east")).await;
    outage.lift();

    let standing = server.inject(busy().on(Requests::any()));
    fleet.check(&key("east")).await.unwrap_err();
    assert_eq!(unavailable(&fleet, &key("east")).await.retry_after(), Some(ASKED));
    standing.lift();
    assert_eq!(fleet.check(&key("east")).await.unwrap(), first);
}

#[test]
fn a_connection_whose_runtime_is_gone_fails_its_check_and_is_replaced_by_a_connect() {
    let of_server = Runtime::new().unwrap();
    let server = of_server.block_on(server("east"));
    let fleet = fleet_of(&[&server]);
    let first = Runtime::new().unwrap().block_on(fleet.connect(&key("east"))).unwrap();

    of_server.block_on(async {
        fleet.check(&key("east")).await.unwrap_err();
        unavailable(&fleet, &key("east")).await;
        let second = fleet.connect(&key("east")).await.unwrap();
        assert!(second > first);
        assert_eq!(fleet.check(&key("east")).await.unwrap(), second);
    });
}
