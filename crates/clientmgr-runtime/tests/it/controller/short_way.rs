//! A controller by `ClusterController::controller`: what is wired without the program's doing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clientmgr_kube::kube::api::{Api, DeleteParams, PostParams};
use clientmgr_kube::kube::runtime::controller::Action;
use clientmgr_kube::kube::runtime::reflector::{ObjectRef, Store};
use clientmgr_kube::kube::runtime::watcher;
use clientmgr_kube::{
    ClientError, ClientManager, ConnectErrorKind, ConnectedAt, ErrorAction as _, NamespacedName, ObjectKey,
};
use clientmgr_runtime::cluster::Cluster;
use clientmgr_runtime::controller::{ClusterController, StatusWriter};
use clientmgr_runtime::forget::Forget;
use clientmgr_runtime::watch::RemoteWatches;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;
use tokio::sync::oneshot;

use super::fixture::{Hub, NAMESPACE, fleet, holds, key, remote, within};

struct Context {
    clusters: Store<Cluster>,
    clients: Arc<ClientManager>,
    maps: RemoteWatches<ConfigMap, ConfigMap>,
}

fn cluster_of(_: &ConfigMap) -> [ObjectRef<Cluster>; 1] {
    [ObjectRef::new("east").within(NAMESPACE)]
}

async fn reconcile(object: Arc<ConfigMap>, context: Arc<Context>) -> Result<Action, ClientError> {
    let [cluster] = cluster_of(&object);
    let Some(cluster) = context.clusters.get(&cluster) else { return Ok(Action::await_change()) };
    let _ = context.clients.refresh(&*object, &*cluster);
    context.clients.client(&*object, &*cluster).await?;
    context.maps.get(&object, &*cluster).await?;
    Ok(Action::await_change())
}

fn retry(_: Arc<ConfigMap>, error: &ClientError, _: Arc<Context>) -> Action {
    // A timer would hide what is not woken.
    error.action(std::time::Duration::from_secs(3_600))
}

#[tokio::test]
async fn deleted_objects_and_clusters_are_forgotten_and_the_fleet_ends_with_the_controllers() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let controller = ClusterController::builder(hub.client.clone(), StatusWriter::Always).build();
    let fleet = controller.provider().fleet().clone();
    let api = |client| Api::<ConfigMap>::namespaced(client, "default");
    let (maps, triggers) = controller.remote_watches(api, watcher::Config::default(), |_, _| None);
    let (clients, store) = (controller.client_manager(), controller.clusters());
    let context = Context { clusters: store.clone(), clients: Arc::clone(&clients), maps: maps.clone() };
    let objects: Api<ConfigMap> = Api::namespaced(hub.client.clone(), NAMESPACE);
    let (stop, stopped) = oneshot::channel::<()>();
    let users = controller
        .controller(objects.clone(), watcher::Config::default().labels("app=example"), cluster_of)
        .reconcile_on(triggers)
        .graceful_shutdown_on(async { _ = stopped.await })
        .run(reconcile, retry, Arc::new(context))
        .for_each(|_| async {});
    let running = tokio::spawn(controller.run(users));
    let map = json!({ "metadata": { "name": "map", "labels": { "app": "example" } } });
    let map: ConfigMap = serde_json::from_value(map).unwrap();
    let map = objects.create(&PostParams::default(), &map).await.unwrap();
    // The Cluster comes after its object, and twice.
    for _ in 0..2 {
        hub.declare("east", &east).await;
        holds("the object is remembered", || clients.objects() == 1 && maps.watches() == 1).await;
        hub.delete("east").await;
        holds("the Cluster is forgotten", || clients.objects() == 0 && maps.watches() == 0).await;
    }
    hub.declare("east", &east).await;
    holds("the object is remembered", || clients.objects() == 1 && maps.objects() == 1).await;
    objects.delete("map", &DeleteParams::default()).await.unwrap();
    holds("the object is forgotten", || clients.objects() == 0 && maps.objects() == 0).await;
    // A reconcile that began before the deletion.
    let cluster = store.get(&cluster_of(&map)[0]).unwrap();
    let errors = [clients.client(&map, &*cluster).await.err(), maps.get(&map, &*cluster).await.err()];
    assert!(errors.iter().all(|error| matches!(error, Some(ClientError::Forgotten { .. }))), "{errors:?}");
    assert_eq!((clients.objects(), maps.objects()), (0, 0));
    stop.send(()).unwrap();
    within(running).await.unwrap();
    let ended = within(fleet.wait_connected(&key("east"))).await.unwrap_err();
    assert_eq!(ended.kind(), ConnectErrorKind::ShutDown, "the fleet is shut down: {ended}");
}

/// State that counts how often a cluster was announced.
#[derive(Default)]
struct Announced(AtomicUsize);

impl Forget for Announced {
    fn forget_cluster(&self, _: &NamespacedName) {}

    fn forget_object(&self, _: &ObjectKey) {}

    fn cluster_changed(&self, cluster: &NamespacedName) {
        assert_eq!(*cluster, key("east"));
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn what_is_registered_hears_that_a_cluster_is_served_again() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let controller = ClusterController::builder(hub.client.clone(), StatusWriter::Always).fleet(fleet()).build();
    let fleet = controller.provider().fleet().clone();
    let announced = Arc::new(Announced::default());
    controller.register(&announced);
    let running = tokio::spawn(controller.run(std::future::pending()));
    hub.declare("east", &east).await;
    hub.until_ready("east").await;
    let is_connected = || fleet.snapshot(key("east")).is_some_and(|cluster| cluster.is_connected());
    east.stop().await;
    holds("the fleet sees the outage", || !is_connected()).await;
    let before = announced.0.load(Ordering::Relaxed);
    east.start().await.unwrap();
    holds("it is announced", || announced.0.load(Ordering::Relaxed) > before).await;
    assert!(is_connected());
    running.abort();
}

#[tokio::test]
async fn a_panic_of_what_it_runs_with_passes_on_after_the_fleet_is_shut_down() {
    let hub = Hub::start().await;
    let controller = ClusterController::builder(hub.client.clone(), StatusWriter::Always).build();
    let fleet = controller.provider().fleet().clone();
    let running = tokio::spawn(controller.run(async { panic!("on purpose") }));
    assert!(within(running).await.unwrap_err().is_panic());
    let ended = within(fleet.wait_connected(&key("east"))).await.unwrap_err();
    assert_eq!(ended.kind(), ConnectErrorKind::ShutDown, "the fleet is shut down: {ended}");
}

#[tokio::test]
async fn each_controller_sees_a_reset_by_itself() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let controller = ClusterController::builder(hub.client.clone(), StatusWriter::Always).build();
    let (a, b) = (controller.client_manager(), controller.client_manager());
    let task = tokio::spawn(controller.run(std::future::pending()));
    hub.declare("east", &east).await;
    let before = hub.until_ready("east").await;
    let object = ConfigMap::default();
    for clients in [&a, &b] {
        within(clients.client(&object, &before)).await.unwrap();
    }
    let mut after = before.clone();
    let status = after.status.as_mut().unwrap();
    status.connected_at = status.connected_at.and_then(ConnectedAt::successor_of);
    assert!(a.refresh(&object, &after).is_reset());
    assert!(b.refresh(&object, &after).is_reset(), "not consumed by the other one");
    task.abort();
}

#[tokio::test]
async fn a_fleet_that_the_program_gave_goes_on_after_the_controller() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let fleet = fleet();
    let controller = ClusterController::builder(hub.client.clone(), StatusWriter::Always).fleet(fleet.clone()).build();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(controller.run(async { _ = stopped.await }));
    hub.declare("east", &east).await;
    hub.until_ready("east").await;
    stop.send(()).unwrap();
    within(running).await.unwrap();
    within(fleet.wait_connected(&key("east"))).await.unwrap();
    fleet.shutdown().await;
}
