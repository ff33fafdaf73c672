//! Many transitions in a short time.

use clientmgr_fake::apiserver::{Replacement, TestServer};
use clientmgr_kube::{ClusterObject as _, ConnectedAt};
use serde_json::json;

use super::fixture::{Hub, Running, holds, key, remote};
use super::reader::Reader;

/// So many changes, much faster than statuses are written.
const CHANGES: usize = 100;

/// A cluster that is connected, and a reader that has its client.
struct Started {
    hub: Hub,
    east: TestServer,
    running: Running,
    revision: Option<ConnectedAt>,
    reader: Reader,
}

async fn start() -> Started {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let running = hub.run(|settings| settings);
    hub.declare("east", &east).await;
    let revision = hub.until_ready("east").await.connected_at();
    let reader = Reader::start(&hub.client, &running, "east");
    reader.has_a_client_of(revision).await;
    Started { hub, east, running, revision, reader }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_new_revisions_gives_few_writes_and_no_reader_sees_one_that_is_not_served() {
    let Started { hub, east: _east, running, revision, reader } = start().await;

    let (fleet, started) = (running.provider.fleet(), std::time::Instant::now());
    let mut last = revision;
    for _ in 0..CHANGES {
        let revision = fleet.reset(&key("east")).await.unwrap();
        assert!(Some(revision) > last);
        last = Some(revision);
    }
    let took = started.elapsed();
    hub.until("east", |cluster| cluster.connected_at() == last).await;
    reader.has_a_client_of(last).await;

    // One write is under way at a time, and changes are collected for 50 ms before it: not more than that, and the last.
    let writes = hub.status_writes("east").len() - 1;
    let at_most = usize::try_from(took.as_millis() / 50).unwrap() + 2;
    assert!(writes <= at_most.min(CHANGES / 2), "{writes} writes for {CHANGES} changes in {took:?}");
    let seen = reader.stop().await;
    assert!(seen.resets <= writes && seen.versions <= writes + 1, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_that_take_turns_and_specs_that_change_meanwhile_are_named_only_while_they_are_served() {
    let Started { hub, east, running, revision: _, reader } = start().await;

    for round in 1..=10 {
        east.replace(Replacement::SameCa).unwrap();
        hub.change("east", json!({ "defaultNamespace": format!("n{round}"), "epoch": round })).await;
        let identity = east.kube_system_uid();
        // Within a round all of it may be seen by any number of steps.
        holds("the new cluster is served", || {
            let snapshot = running.provider.fleet().snapshot(key("east")).unwrap();
            snapshot.is_connected() && snapshot.identity.is_some_and(|it| it.to_string() == identity)
        })
        .await;
    }
    let identity = east.kube_system_uid();
    let after = hub
        .until("east", |cluster| {
            let status = cluster.status.as_ref().unwrap();
            status.observed_epoch == Some(10) && status.identity.as_ref() == Some(&identity)
        })
        .await;
    let named = after.connected_at();
    holds("what is named is served", || running.provider.fleet().snapshot(key("east")).unwrap().connected_at == named)
        .await;
    reader.has_a_client_of(named).await;
    let seen = reader.stop().await;
    assert!(seen.resets >= 1 && seen.resets < seen.versions, "{seen:?}");
}
