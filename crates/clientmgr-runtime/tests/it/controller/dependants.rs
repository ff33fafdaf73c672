//! Objects that use a Cluster are reconciled when they can go on, in every process and without a timer.

use std::sync::Arc;
use std::time::Duration;

use clientmgr_fake::apiserver::{Fault, Replacement, Requests};
use clientmgr_kube::kube::api::PostParams;
use clientmgr_kube::kube::runtime::controller::{Action, Controller};
use clientmgr_kube::kube::runtime::reflector::{self, ObjectRef, Store};
use clientmgr_kube::kube::runtime::{WatchStreamExt as _, watcher};
use clientmgr_kube::kube::{Api, Client, ResourceExt as _};
use clientmgr_kube::{
    ClientError, ClientManager, ClusterObject as _, ConnectedAt, ErrorAction as _, NamespacedName, ProviderError,
};
use clientmgr_runtime::cluster::Cluster;
use clientmgr_runtime::controller::{ClusterProvider, NotConnected, StatusWriter};
use clientmgr_runtime::requeue::Dependants;
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;
use tokio::sync::mpsc;

use super::fixture::{Hub, NAMESPACE, Running, key, remote, within};

const LABEL: &str = "example.com/cluster";

/// What a reconcile got: the revision of its client, or what to wait for.
type Got = Result<ConnectedAt, String>;

struct Context {
    clients: Arc<ClientManager<ClusterProvider>>,
    clusters: Store<Cluster>,
    report: mpsc::UnboundedSender<Got>,
}

async fn reconcile(map: Arc<ConfigMap>, context: Arc<Context>) -> Result<Action, ClientError> {
    let cluster = ObjectRef::new(&map.labels()[LABEL]).within(NAMESPACE);
    let Some(cluster) = context.clusters.get(&cluster) else { return Ok(Action::await_change()) };
    let _ = context.clients.refresh(&*map, &*cluster);
    let client = context.clients.client(&*map, &*cluster).await;
    // Fails at the end of the test, when the receiver is gone.
    let _ = context.report.send(
        client
            .as_ref()
            .map_err(ToString::to_string)
            .and_then(|_| cluster.connected_at().ok_or_else(|| "no revision".to_owned())),
    );
    client.map(|_| Action::await_change())
}

/// Runs a controller of one ConfigMap that uses the Cluster `east`, in the process of `running`. It reads `clusters`.
fn user(hub: Client, running: &mut Running, clusters: Store<Cluster>) -> mpsc::UnboundedReceiver<Got> {
    let dependants =
        Dependants::new(|map: &ConfigMap| map.labels().get(LABEL).map(|name| NamespacedName::new(NAMESPACE, name)));
    let (store, writer) = reflector::store();
    let events = watcher(Api::namespaced(hub, NAMESPACE), watcher::Config::default().labels(LABEL)).default_backoff();
    let maps = dependants.observe(events).reflect(writer).applied_objects();
    let changes = std::mem::replace(&mut running.changes, stream::pending().boxed());
    let (report, got) = mpsc::unbounded_channel();
    let context = Context { clients: Arc::clone(&running.clients), clusters, report };
    // A timer would hide what is not woken.
    let retry = |_: Arc<ConfigMap>, error: &ClientError, _: Arc<Context>| error.action(Duration::from_secs(3_600));
    let controller = Controller::for_stream(maps, store).reconcile_on(dependants.requeue(changes));
    tokio::spawn(controller.run(reconcile, retry, Arc::new(context)).for_each(|_| async {}));
    got
}

async fn create_map(hub: &Hub) {
    let map = json!({ "metadata": { "name": "map", "labels": { LABEL: "east" } } });
    let maps: Api<ConfigMap> = Api::namespaced(hub.client.clone(), NAMESPACE);
    maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();
}

/// Waits until a reconcile gets a client of a revision as `expected`.
async fn gets(got: &mut mpsc::UnboundedReceiver<Got>, expected: impl Fn(ConnectedAt) -> bool) -> ConnectedAt {
    let waiting = async {
        loop {
            match got.recv().await.expect("the controller runs") {
                Ok(revision) if expected(revision) => return revision,
                _ => {}
            }
        }
    };
    within(waiting).await
}

#[tokio::test]
async fn an_object_that_is_reconciled_before_the_clusters_are_listed_is_not_stranded() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let first = hub.run(|settings| settings);
    hub.declare("east", &east).await;
    let named = hub.until_ready("east").await.connected_at();
    first.kill().await;
    create_map(&hub).await;

    // The store of the user is filled first. The controller's own list comes later, and its status writes nothing.
    let hangs = hub.server.inject(Fault::NeverAnswer.on(Requests::list("clusters").user("controller")));
    let client = hub.server.client_for(&hub.server.issue_token("controller")).await.unwrap();
    let mut running = Running::start(client, |settings| settings);
    let (clusters, writer) = reflector::store();
    let watch = watcher(hub.clusters(), watcher::Config::default()).default_backoff().reflect(writer);
    tokio::spawn(watch.for_each(|_| async {}));
    within(clusters.wait_until_ready()).await.unwrap();
    let mut got = user(hub.client.clone(), &mut running, clusters);
    within(got.recv()).await.unwrap().unwrap_err();
    match clientmgr_kube::ClientProvider::connection(&running.provider, &key("east")).await {
        Err(ProviderError::Unavailable { source, .. }) => {
            assert_eq!(source.downcast_ref::<NotConnected>(), Some(&NotConnected::Unlisted));
        }
        other => panic!("{:?}", other.map(|it| it.revision)),
    }
    hangs.lift();
    hub.server.cut_connections();
    assert_eq!(Some(gets(&mut got, |_| true).await), named);
    assert_eq!(hub.status_writes("east").len(), 1);
}

#[tokio::test]
async fn on_a_process_that_follows_objects_come_back_when_it_serves_what_the_status_names() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let writer = hub.run(|settings| settings);
    let mut follower = hub.run_as(StatusWriter::Never);
    create_map(&hub).await;
    let clusters = follower.clusters.clone();
    let mut got = user(hub.client.clone(), &mut follower, clusters);
    hub.declare("east", &east).await;
    let first = gets(&mut got, |_| true).await;
    east.replace(Replacement::SameCa).unwrap();
    let second = gets(&mut got, |revision| revision > first).await;
    hub.change("east", json!({ "epoch": 1 })).await;
    let third = gets(&mut got, |revision| revision > second).await;

    // Down and up again.
    east.stop().await;
    let lost = async { while got.recv().await.unwrap().is_ok() {} };
    within(lost).await;
    east.start().await.unwrap();
    assert_eq!(gets(&mut got, |_| true).await, third);
    writer.kill().await;
    follower.kill().await;
}
