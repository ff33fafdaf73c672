//! The program on the front page of the documentation, run on in-process servers.

#![expect(clippy::print_stderr, reason = "as the front page prints its errors")]
#![expect(clippy::needless_pass_by_value, reason = "kube hands the object over")]

use std::sync::Arc;
use std::time::Duration;

use clientmgr_kube::{ClientError, ClientManager, ErrorAction as _};
use clientmgr_runtime::cluster::Cluster;
use clientmgr_runtime::controller::{ClusterController, StatusWriter};
use futures::{StreamExt as _, future};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};

use clientmgr_fake::apiserver::Replacement;
use tokio::sync::oneshot;

use crate::controller::fixture::{Hub, NAMESPACE, remote, within};

// The program begins.
const LABEL: &str = "example.com/cluster";

struct Context {
    clients: Arc<ClientManager>,
    clusters: Store<Cluster>,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("a request failed")]
    Request(#[from] kube::Error),
}

/// The Cluster that a ConfigMap names.
fn cluster_of(map: &ConfigMap) -> Option<ObjectRef<Cluster>> {
    let name = map.labels().get(LABEL)?;
    Some(ObjectRef::new(name).within(&map.namespace()?))
}

async fn reconcile(map: Arc<ConfigMap>, context: Arc<Context>) -> Result<Action, Error> {
    // A Cluster that is applied later, or recovers, brings the ConfigMap back.
    let cluster = cluster_of(&map).and_then(|cluster| context.clusters.get(&cluster));
    let Some(cluster) = cluster.filter(|cluster| cluster.is_connected()) else { return Ok(Action::await_change()) };
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

fn causes(error: &Error) -> String {
    let chain = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn retry(map: Arc<ConfigMap>, error: &Error, _: Arc<Context>) -> Action {
    let cluster = cluster_of(&map).map(|cluster| cluster.name).unwrap_or_default();
    eprintln!("{} on {cluster}: {}", map.name_any(), causes(error));
    match error {
        Error::Client(error) => error.action(Duration::from_secs(5)),
        Error::Request(_) => Action::requeue(Duration::from_secs(5)),
    }
}

async fn run(hub: Client, stop: impl Future<Output = ()> + Send + Sync + 'static) {
    let clusters = ClusterController::builder(hub.clone(), StatusWriter::Always).build();
    let context = Context { clients: clusters.client_manager(), clusters: clusters.clusters() };
    let labelled = watcher::Config::default().labels(LABEL);
    let copier = clusters
        .controller(Api::<ConfigMap>::all(hub), labelled, cluster_of)
        .graceful_shutdown_on(stop)
        .run(reconcile, retry, Arc::new(context))
        .for_each(|_| future::ready(()));
    clusters.run(copier).await;
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

#[test]
fn an_error_shows_all_of_its_causes() {
    let refused = kube::Error::Service("connection refused".into());
    let shown = causes(&Error::Request(refused));
    assert!(shown.starts_with("a request failed: ") && shown.ends_with(": connection refused"), "{shown}");
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
