//! A kube-runtime controller over a fleet of real connections: which objects are reconciled when.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use clientmgr_fake::apiserver::{Replacement, TestServer};
use clientmgr_kube::{ClusterConfig, ConnectedAt, Fleet, NamespacedName};
use clientmgr_runtime::requeue::{Changes, Dependants, connection_changes};
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::{WatchStreamExt as _, reflector, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::sync::mpsc;

use super::support::{config, connected, member, within};

const CLUSTER: &str = "example.com/cluster";

fn dependants() -> Dependants<ConfigMap> {
    Dependants::new(|object: &ConfigMap| object.labels().get(CLUSTER).map(|name| NamespacedName::from(name.as_str())))
}

async fn create(maps: &Api<ConfigMap>, name: &str, cluster: &str) {
    let map = json!({ "metadata": { "name": name, "labels": { CLUSTER: cluster } } });
    maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();
}

/// A reconcile: of which object, and the state of its cluster at that time (whether it is connected, and the revision).
type Reconciled = (String, Option<(bool, Option<ConnectedAt>)>);

/// Runs a controller of config maps that only reports.
fn run(hub: Client, fleet: &Fleet) -> mpsc::UnboundedReceiver<Reconciled> {
    let (report, reconciled) = mpsc::unbounded_channel();
    let dependants = dependants();
    let (store, writer) = reflector::store();
    let config = watcher::Config::default().labels(CLUSTER);
    let events = watcher(Api::default_namespaced(hub), config).default_backoff();
    let objects = dependants.observe(events).reflect(writer).applied_objects();
    let controller =
        Controller::for_stream(objects, store).reconcile_on(dependants.requeue(connection_changes(fleet))).run(
            async |object: Arc<ConfigMap>, context: Arc<(Fleet, mpsc::UnboundedSender<Reconciled>)>| {
                let snapshot = context.0.snapshot(object.labels()[CLUSTER].as_str());
                let state = snapshot.map(|now| (now.is_connected(), now.connected_at));
                _ = context.1.send((object.name_any(), state));
                Ok::<_, Infallible>(Action::await_change())
            },
            |_, never, _| match *never {},
            Arc::new((fleet.clone(), report)),
        );
    // An `Err` would be an object that is not in the store.
    tokio::spawn(controller.for_each(|result| async { _ = result.unwrap() }));
    reconciled
}

#[tokio::test]
async fn the_dependants_of_a_cluster_are_reconciled_when_it_appears_is_replaced_lost_or_recovers() {
    let (hub, east, west) = (TestServer::from_env().await.unwrap(), member("east").await, member("west").await);
    let client = hub.client().await.unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    for (name, cluster) in [("a", "east"), ("b", "east"), ("c", "west")] {
        create(&maps, name, cluster).await;
    }
    let fleet = connected(&[&west]).await;
    let (mut reconciles, mut of_c) = (run(client, &fleet), 0);
    // Waits until each of these was reconciled while its cluster was so.
    let mut reconciled = async |names: &[&str], expected: &dyn Fn(bool, Option<ConnectedAt>) -> bool| {
        let mut missing: BTreeSet<_> = names.iter().copied().collect();
        while !missing.is_empty() {
            let (name, state) = within(reconciles.recv()).await.expect("the controller runs");
            of_c += usize::from(name == "c");
            if state.is_some_and(|(is_connected, revision)| expected(is_connected, revision)) {
                missing.remove(name.as_str());
            }
        }
        of_c
    };
    let is_at = |revision| move |is_connected, now| is_connected && now == Some(revision);
    reconciled(&["c"], &|is_connected, _| is_connected).await;

    fleet.upsert("east", config(&east));
    let first = within(fleet.wait_connected("east")).await.unwrap();
    reconciled(&["a", "b"], &is_at(first)).await;
    let reset = fleet.reset("east").await.unwrap();
    reconciled(&["a", "b"], &is_at(reset)).await;
    east.replace(Replacement::SameCa).unwrap();
    reconciled(&["a", "b"], &|is_connected, now| is_connected && now > Some(reset)).await;
    east.stop().await;
    reconciled(&["a", "b"], &|is_connected, _| !is_connected).await;
    east.start().await.unwrap();
    reconciled(&["a", "b"], &|is_connected, _| is_connected).await;
    create(&maps, "d", "east").await;
    reconciled(&["d"], &|is_connected, _| is_connected).await;
    east.stop().await;
    let of_c = reconciled(&["a", "b", "d"], &|is_connected, _| !is_connected).await;
    // By its own event, and by the first look at all clusters.
    assert!(of_c <= 2, "{of_c}");
}

/// The next changes.
async fn next(changes: &mut (impl Stream<Item = Changes> + Unpin)) -> Changes {
    within(changes.next()).await.expect("the fleet lives")
}

#[tokio::test]
async fn rotated_credentials_are_no_change_of_the_connection() {
    let (east, west) = (member("east").await, member("west").await);
    let fleet = connected(&[&east, &west]).await;
    let mut changes = connection_changes(&fleet);
    assert_eq!(next(&mut changes).await, Changes::Of(vec!["east".into(), "west".into()]));

    let (mut events, other) = (fleet.events(), east.issue_token("other"));
    fleet.upsert("east", ClusterConfig::from_kubeconfig(&east.kubeconfig_for(&other), "east"));
    let is_other = || fleet.snapshot("east").unwrap().user.as_deref() == Some("other");
    while !is_other() {
        within(events.next()).await.unwrap();
    }
    fleet.reset("west").await.unwrap();
    assert_eq!(next(&mut changes).await, Changes::Of(vec!["west".into()]));
    fleet.remove("east");
    assert_eq!(next(&mut changes).await, Changes::Of(vec!["east".into()]));
}

#[tokio::test]
async fn the_changes_end_with_the_fleet() {
    let (east, north, west) = (member("east").await, member("north").await, member("west").await);
    let fleet = connected(&[&east, &north, &west]).await;
    let (mut changes, requeue) = (connection_changes(&fleet), dependants().requeue(connection_changes(&fleet)));
    let raw = dependants().requeue(fleet.events());
    // The first item names every cluster.
    within(changes.next()).await;
    within(fleet.shutdown()).await;
    let mut lost = BTreeSet::new();
    for change in within(changes.collect::<Vec<_>>()).await {
        let Changes::Of(clusters) = change else { panic!("{change:?}") };
        lost.extend(clusters);
    }
    assert_eq!(lost, BTreeSet::from(["east", "north", "west"].map(NamespacedName::from)));
    within(requeue.collect::<Vec<_>>()).await;
    drop(fleet);
    within(raw.collect::<Vec<_>>()).await;
}
