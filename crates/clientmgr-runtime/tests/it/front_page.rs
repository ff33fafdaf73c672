//! The program on the front page of the documentation, run on in-process servers.

#![expect(clippy::print_stderr, reason = "as the front page prints its errors")]
#![expect(clippy::needless_pass_by_value, reason = "kube hands the object over")]

use std::sync::Arc;
use std::time::Duration;

use clientmgr_kube::{ClientError, ClientManager, ErrorAction as _, NamespacedName};
use clientmgr_runtime::cluster::Cluster;
use clientmgr_runtime::controller::{ClusterController, ClusterProvider, StatusWriter};
use clientmgr_runtime::requeue::Dependants;
use futures::{StreamExt as _, future};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};

use clientmgr_fake::apiserver::Replacement;
use tokio::sync::oneshot;

use crate::controller::fixture::{Hub, NAMESPACE, remote, within};

// The program begins.
const LABEL: &str = "example.com/cluster";

struct Context {
    clients: Arc<ClientManager<ClusterProvider>>,
    clusters: Store<Cluster>,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("there is no client: {0}")]
    Client(#[from] ClientError),
    #[error("a request failed: {0}")]
    Request(#[from] kube::Error),
}

async fn reconcile(map: Arc<ConfigMap>, context: Arc<Context>) -> Result<Action, Error> {
    let Some(name) = map.labels().get(LABEL) else { return Ok(Action::await_change()) };
    let cluster = ObjectRef::new(name).within(&map.namespace().unwrap_or_default());
    // A Cluster that is applied later brings the ConfigMap back.
    let Some(cluster) = context.clusters.get(&cluster) else { return Ok(Action::await_change()) };
    if context.clients.refresh(&*map, &*cluster).is_reset() {
        // Another cluster answers under the name: drop what was built on the old client.
    }
    let client = context.clients.client(&*map, &*cluster).await?;
    // Without the owner references: on another cluster the garbage collector would not find the owner.
    let metadata = ObjectMeta { name: map.metadata.name.clone(), ..ObjectMeta::default() };
    let copy = ConfigMap { metadata, data: map.data.clone(), ..ConfigMap::default() };
    let maps = Api::<ConfigMap>::default_namespaced(client);
    maps.patch(&map.name_any(), &PatchParams::apply("copier").force(), &Patch::Apply(copy)).await?;
    Ok(Action::await_change())
}

fn retry(map: Arc<ConfigMap>, error: &Error, _: Arc<Context>) -> Action {
    eprintln!("{}: {error}", map.name_any());
    match error {
        Error::Client(error) => error.action(Duration::from_secs(5)),
        Error::Request(_) => Action::requeue(Duration::from_secs(5)),
    }
}

async fn run(hub: Client, stop: impl Future<Output = ()>) {
    let connecting = ClusterController::builder(hub.clone(), StatusWriter::Always).build();
    let fleet = connecting.provider().fleet().clone();
    let clients = Arc::new(ClientManager::new(connecting.provider()));
    connecting.register(&clients); // a deleted Cluster is forgotten
    let clusters = connecting.clusters();

    // The ConfigMaps, with an index from Clusters to those that depend on them.
    let dependants = Dependants::new(|map: &ConfigMap| {
        map.labels().get(LABEL).map(|name| NamespacedName::new(&map.namespace().unwrap_or_default(), name))
    });
    let (store, writer) = reflector::store();
    let events = watcher(Api::<ConfigMap>::all(hub), watcher::Config::default().labels(LABEL)).default_backoff();
    let maps = clients.forget_deleted(dependants.observe(events)).reflect(writer).applied_objects();
    let copier = Controller::for_stream(maps, store)
        .reconcile_on(dependants.requeue(connecting.changes()))
        .run(reconcile, retry, Arc::new(Context { clients, clusters }))
        .for_each(|_| future::ready(()));

    tokio::select! {
        () = connecting.run(stop) => {}
        () = copier => {}
    }
    fleet.shutdown().await;
}
// The program ends.

#[test]
fn the_front_page_shows_this_program() {
    let file = include_str!("front_page.rs");
    let (_, program) = file.split_once("// The program begins.\n").unwrap();
    let (program, _) = program.split_once("// The program ends.\n").unwrap();
    assert!(include_str!("../../README.md").contains(program), "copy the program into README.md");
}

/// Waits until the ConfigMap `map` on a remote cluster has this text.
async fn copied(maps: &Api<ConfigMap>, text: &str) {
    let is_copied = |map: Option<&ConfigMap>| {
        let found = map.and_then(|map| map.data.as_ref()?.get("text").cloned());
        found.as_deref() == Some(text)
    };
    within(kube::runtime::wait::await_condition(maps.clone(), "map", is_copied)).await.unwrap();
}

#[tokio::test]
async fn a_config_map_is_copied_to_its_cluster_again_after_each_change_of_either() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let maps: Api<ConfigMap> = Api::namespaced(hub.client.clone(), NAMESPACE);
    let set = async |text: &str| {
        let map = serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "map", "labels": { LABEL: "east" } },
            "data": { "text": text },
        });
        maps.patch("map", &PatchParams::apply("test").force(), &Patch::Apply(map)).await.unwrap();
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(run(hub.client.clone(), async { _ = stopped.await }));
    // The ConfigMap first, then the Cluster that it names.
    set("first").await;
    hub.declare("east", &east).await;
    copied(&Api::default_namespaced(east.client().await.unwrap()), "first").await;
    set("second").await;
    copied(&Api::default_namespaced(east.client().await.unwrap()), "second").await;
    east.replace(Replacement::SameCa).unwrap();
    copied(&Api::default_namespaced(east.client().await.unwrap()), "second").await;
    stop.send(()).unwrap();
    within(running).await.unwrap();
}
