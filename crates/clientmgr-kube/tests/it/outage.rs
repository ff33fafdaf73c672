//! Outages: handle and revision stay, readers get an error at once, and all resumes by itself.

use std::time::Duration;

use clientmgr_core::ClientManager;
use clientmgr_fake::apiserver::{Fault, Requests};
use clientmgr_kube::k8s_openapi::api::core::v1::ConfigMap;
use clientmgr_kube::kube::Api;
use clientmgr_kube::kube::api::PostParams;
use clientmgr_kube::kube::runtime::{WatchStreamExt, watcher};
use clientmgr_kube::{ConnectErrorKind, FleetBuilder};
use futures::future::try_join_all;
use futures::{FutureExt, StreamExt, TryStreamExt};

use crate::support::{SOON, add, builder, key, logged, losses, served, server, snapshot, unavailable, until, within};
use crate::traffic::{list, lists};

/// A fleet that notices an outage soon.
fn watchful() -> FleetBuilder {
    builder().probe_interval(Duration::from_millis(50)).request_deadline(SOON * 4).failure_threshold(3)
}

#[tokio::test]
async fn an_outage_resets_nothing_and_readers_get_its_error_at_once() {
    let server = server("east").await;
    let fleet = add(watchful().build(), &[&server]);
    let east = key("east");
    let revision = fleet.wait_connected(&east).await.unwrap();
    let client = served(&fleet, &east).await.client;
    let manager = ClientManager::<_, u8>::new(fleet.clone());
    manager.client(&0, &snapshot(&fleet, &east)).await.unwrap();
    let maps = Api::<ConfigMap>::default_namespaced(client.clone());
    let mut events = watcher(maps, watcher::Config::default()).default_backoff().applied_objects().boxed();

    for _ in 0..2 {
        server.stop().await;
        let down = until(&fleet, &east, |now| !now.is_connected()).await;
        assert_eq!((down.connected_at, down.error.unwrap().kind()), (Some(revision), ConnectErrorKind::Unreachable));
        // Without waiting for anything.
        let error = unavailable(&fleet, &east).now_or_never().expect("at once");
        assert_eq!(error.kind(), ConnectErrorKind::Unreachable);
        assert!(!manager.refresh(&0, &snapshot(&fleet, &east)).is_reset());

        server.start().await.unwrap();
        let up = until(&fleet, &east, clientmgr_kube::ClusterSnapshot::is_connected).await;
        assert_eq!(up.connected_at, Some(revision));
        assert!(!manager.refresh(&0, &up).is_reset());
        list(&client).await.unwrap();
    }

    // A watcher on the client that was there all the time resumes.
    let metadata = kube::api::ObjectMeta { name: Some("after".into()), ..Default::default() };
    let map = ConfigMap { metadata, ..ConfigMap::default() };
    let admin = Api::<ConfigMap>::default_namespaced(server.client().await.unwrap());
    admin.create(&PostParams::default(), &map).await.unwrap();
    let resumed = async {
        loop {
            match events.try_next().await {
                Ok(Some(map)) if map.metadata.name.as_deref() == Some("after") => return,
                Ok(None) => panic!("the watcher ended"),
                // What was cut, or an older object.
                Ok(Some(_)) | Err(_) => {}
            }
        }
    };
    within(resumed).await;
}

#[tokio::test]
async fn fewer_failures_than_the_threshold_take_nothing_out_of_service() {
    let server = server("east").await;
    let hour = Duration::from_secs(3600);
    let fleet = add(builder().probe_interval(hour).failure_threshold(3).build(), &[&server]);
    let east = key("east");
    fleet.wait_connected(&east).await.unwrap();
    let fault = server.inject(Fault::InternalError.times(1));
    fleet.probe(&east).await.unwrap_err();
    assert_eq!(fault.hits(), 1);
    assert!(snapshot(&fleet, &east).is_connected());
    fleet.probe(&east).await.unwrap();
}

/// A NAT that drops idle flows. Requests that use several connections leave the dead ones as well.
async fn a_nat_drops_flows(http2: bool) {
    let server = server("east").await;
    // A single failure that counted would show.
    let fleet = add(watchful().failure_threshold(1).http2(http2).build(), &[&server]);
    let east = key("east");
    fleet.wait_connected(&east).await.unwrap();
    let client = served(&fleet, &east).await.client;
    let (stop, lost) = losses(&fleet, "east");
    for _ in 0..3 {
        // Over HTTP/1.1 each opens a connection.
        within(try_join_all((0..5).map(|_| list(&client)))).await.unwrap();
        let marker = server.marker();
        server.silence_connections();
        // It takes a dead one, and the next request another one.
        let hung = tokio::spawn({
            let client = client.clone();
            async move { list(&client).await }
        });
        // The probe that meets silence is repeated on a fresh connection, which is the one in use from then on.
        logged(&server, Requests::under("/readyz").since(marker).status(200)).await;
        fleet.probe(&east).await.unwrap();
        within(list(&client)).await.unwrap();
        logged(&server, lists().since(marker).status(200)).await;
        hung.abort();
    }
    drop(stop);
    let lost = within(lost).await.unwrap();
    assert!(lost.is_empty(), "{lost:?}");
    within(fleet.shutdown()).await;
}

#[tokio::test]
async fn flows_that_a_nat_drops_in_silence_make_no_cluster_unhealthy_and_requests_leave_them() {
    a_nat_drops_flows(true).await;
}

#[tokio::test]
async fn flows_of_http1_that_a_nat_drops_in_silence_make_no_cluster_unhealthy_and_requests_leave_them() {
    a_nat_drops_flows(false).await;
}

#[tokio::test]
async fn a_flapping_cluster_keeps_its_revision() {
    let server = server("east").await;
    let fleet = add(watchful().failure_threshold(1).build(), &[&server]);
    let east = key("east");
    let revision = fleet.wait_connected(&east).await.unwrap();
    for _ in 0..10 {
        server.set_ready(false);
        until(&fleet, &east, |now| !now.is_connected()).await;
        server.set_ready(true);
        until(&fleet, &east, clientmgr_kube::ClusterSnapshot::is_connected).await;
    }
    assert_eq!(served(&fleet, &east).await.revision, revision);
}
