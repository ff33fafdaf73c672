//! Fleets without a runtime, and runtimes that end.

use clientmgr_kube::{ConnectErrorKind, Fleet};
use futures::FutureExt;
use futures::executor::block_on;
use tokio::runtime::Runtime;

use crate::support::{builder, config, fleet_with, key, kubeconfig, served, server, unavailable};

#[test]
fn everything_outside_of_a_runtime_is_a_typed_error() {
    let (fleet, east) = fleet_with(&kubeconfig(|_, _| ()));
    let errors = [
        block_on(fleet.client("east")).map(drop).unwrap_err(),
        block_on(fleet.wait_connected(&east)).unwrap_err(),
        block_on(fleet.probe(&east)).unwrap_err(),
        block_on(fleet.reconnect(&east)).unwrap_err(),
        block_on(fleet.reset(&east)).unwrap_err(),
        block_on(unavailable(&fleet, &east)),
        fleet.snapshot(&east).unwrap().error.unwrap(),
        Fleet::from_kubeconfig().unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ConnectErrorKind::Environment, "{error:?}");
        assert!(error.to_string().contains("a fleet needs a Tokio runtime"), "{error}");
    }
    fleet.upsert("east", clientmgr_kube::ClusterConfig::from_kubeconfig(&kubeconfig(|_, _| ()), "east"));
    block_on(fleet.shutdown());
}

#[test]
fn a_runtime_without_time_is_an_error_and_no_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let error = runtime.block_on(async {
        let (fleet, east) = fleet_with(&kubeconfig(|_, _| ()));
        fleet.wait_connected(&east).await.unwrap_err()
    });
    assert_eq!(error.kind(), ConnectErrorKind::Environment, "{error:?}");
}

#[test]
fn a_cluster_that_is_added_again_within_a_runtime_is_connected() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(server("east"));
    let fleet = builder().build();
    let east = config(&server, &server.admin());
    fleet.upsert("east", east.clone());
    block_on(fleet.client("east")).map(drop).unwrap_err();
    runtime.block_on(async {
        fleet.upsert("east", east);
        fleet.client("east").await.unwrap().apiserver_version().await.unwrap();
    });
}

#[test]
fn a_fleet_runs_on_the_runtime_that_it_is_given() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(server("east"));
    let fleet = builder().runtime(runtime.handle().clone()).build();
    fleet.upsert("east", config(&server, &server.admin()));
    runtime.block_on(fleet.wait_connected(&key("east"))).unwrap();
    // Readers need none.
    assert!(served(&fleet, &key("east")).now_or_never().is_some());
}

#[test]
fn a_cluster_whose_runtime_is_gone_is_unavailable_until_it_is_added_within_another() {
    let of_server = Runtime::new().unwrap();
    let server = of_server.block_on(server("east"));
    let fleet = builder().build();
    let east = config(&server, &server.admin());
    Runtime::new().unwrap().block_on(async {
        fleet.upsert("east", east.clone());
        fleet.wait_connected(&key("east")).await.unwrap();
    });

    of_server.block_on(async {
        assert_eq!(unavailable(&fleet, &key("east")).await.kind(), ConnectErrorKind::Environment);
        assert_eq!(fleet.probe(&key("east")).await.unwrap_err().kind(), ConnectErrorKind::Environment);
        fleet.upsert("east", east);
        fleet.wait_connected(&key("east")).await.unwrap();
        served(&fleet, &key("east")).await.client.apiserver_version().await.unwrap();
    });
}
