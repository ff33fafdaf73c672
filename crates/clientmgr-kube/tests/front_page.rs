//! The controller of this crate's front page, on two servers.
#![expect(clippy::needless_pass_by_value, clippy::print_stderr, reason = "the program is as a user writes it")]

use std::collections::BTreeMap;

use clientmgr_fake::apiserver::{Replacement, TestServer};
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::config::Kubeconfig;
use tokio::sync::oneshot;

// From here on the program of the front page, without its `main`.
use std::{sync::Arc, time::Duration};

use clientmgr_kube::k8s_openapi::api::core::v1::ConfigMap;
use clientmgr_kube::{ClientError, ClientManager, ClusterSnapshot, ErrorAction, Fleet, NamespacedName, Revoked};
use futures::{StreamExt, future::join_all, future::ready};
use kube::runtime::{Controller, WatchStreamExt, controller::Action, watcher};
use kube::{Api, ResourceExt, api::Patch, api::PatchParams};

const RETRY: Duration = Duration::from_secs(5);

type Context = (Fleet, Arc<ClientManager>, NamespacedName); // the last is the hub, which has the originals

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Request(#[from] kube::Error),
    #[error("the cluster does not answer")]
    Timeout(#[from] tokio::time::error::Elapsed),
}

async fn copy(map: &ConfigMap, cluster: ClusterSnapshot, clients: &ClientManager) -> Result<(), Error> {
    if clients.refresh(map, &cluster).is_reset() {
        // Another cluster answers under the name: drop what was built on the old client.
    }
    let maps = Api::<ConfigMap>::default_namespaced(clients.client(map, &cluster).await?);
    let mut copy = ConfigMap { data: map.data.clone(), ..ConfigMap::default() };
    copy.metadata.name = Some(map.name_any());
    Ok(maps.patch(&map.name_any(), &PatchParams::apply("copier").force(), &Patch::Apply(copy)).await.map(drop)?)
}

async fn reconcile(map: Arc<ConfigMap>, context: Arc<Context>) -> Result<Action, Error> {
    let (fleet, clients, hub) = &*context;
    // A cluster that is unavailable now brings the ConfigMap back when it recovers.
    let clusters = fleet.snapshots().into_iter().filter(|it| it.is_connected() && it.cluster != *hub);
    let copies = clusters.map(|cluster| tokio::time::timeout(RETRY, copy(&map, cluster, clients)));
    join_all(copies).await.into_iter().try_for_each(|copied| copied?)?;
    Ok(Action::await_change())
}

fn on_error(map: Arc<ConfigMap>, error: &Error, _: Arc<Context>) -> Action {
    eprintln!("{}: {error}", map.name_any());
    let Error::Client(error) = error else { return Action::requeue(RETRY) };
    error.action(RETRY)
}
// To here.

async fn data(server: &TestServer, name: &str) -> Option<BTreeMap<String, String>> {
    let maps = Api::<ConfigMap>::default_namespaced(server.client().await.unwrap());
    maps.get_opt(name).await.unwrap().and_then(|map| map.data)
}

/// Waits until the copy has this text. The reconcile that writes first may have read the map before its change.
async fn arrives(server: &TestServer, text: &str) {
    let arrived = async { while data(server, "a").await.is_none_or(|data| data["text"] != text) {} };
    tokio::time::timeout(Duration::from_secs(20), arrived).await.expect("no copy in time");
}

#[test]
fn the_front_page_has_this_program() {
    let (file, page) = (include_str!("front_page.rs"), include_str!("../README.md"));
    let (_, rest) = file.split_once("without its `main`.\n").unwrap();
    let (program, _) = rest.split_once("// To here.\n").unwrap();
    assert!(page.contains(program.trim()));
    let lines = page.split("```").find(|block| block.starts_with("rust,no_run\nuse std")).unwrap();
    let count = lines.lines().skip(1).filter(|line| !line.is_empty()).count();
    assert!(count < 60, "{count} lines");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_is_copied_to_every_cluster_and_again_after_a_change_an_outage_and_a_replacement() {
    let [east, west] = ["east", "west"].map(|name| TestServer::builder().name(name).start());
    let (east, west) = (east.await.unwrap(), west.await.unwrap());
    let fleet = Fleet::new();
    for server in [&east, &west] {
        let kubeconfig: Kubeconfig = server.kubeconfig();
        fleet.add_contexts(&kubeconfig);
    }
    let hub = fleet.client("east").await.unwrap();
    fleet.client("west").await.unwrap();
    let maps = Api::<ConfigMap>::default_namespaced(hub.clone());
    let labels = BTreeMap::from([("copy".to_owned(), "true".to_owned())]);
    let metadata = ObjectMeta { name: Some("a".into()), labels: Some(labels), ..ObjectMeta::default() };
    let map = ConfigMap { metadata, data: Some([("text".into(), "one".into())].into()), ..ConfigMap::default() };

    maps.create(&PostParams::default(), &map).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let clients = Arc::new(ClientManager::new(fleet.clone().into()));
    let config = watcher::Config::default().labels("copy=true");
    let forgetting = clients.forget_deleted(watcher(maps.clone(), config.clone()).default_backoff());
    let own = NamespacedName::from("east");
    let context = Arc::new((fleet.clone(), Arc::clone(&clients), own.clone()));
    let running = tokio::spawn(
        Controller::new(maps.clone(), config)
            .reconcile_all_on(fleet.events().map(drop))
            .reconcile_all_on(forgetting.filter_map(|_| ready(None)))
            .graceful_shutdown_on(async { drop(stopped.await) })
            .run(reconcile, on_error, context)
            .take_while(move |done| {
                ready(done.as_ref().err().and_then(|it| Revoked::find(it)).is_none_or(|it| it.cluster != own))
            })
            .for_each(|_| ready(())),
    );
    arrives(&west, "one").await;

    west.stop().await;
    let patch = Patch::Merge(serde_json::json!({ "data": { "text": "two" } }));
    maps.patch("a", &PatchParams::default(), &patch).await.unwrap();
    west.start().await.unwrap();
    arrives(&west, "two").await;

    west.replace(Replacement::SameCa).unwrap();
    arrives(&west, "two").await;
    assert!(fleet.snapshot("west").unwrap().is_connected());

    assert_eq!(clients.objects(), 1);
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let forgotten = async {
        while clients.objects() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), forgotten).await.expect("the map is forgotten");

    east.replace(Replacement::SameCa).unwrap();
    tokio::time::timeout(Duration::from_secs(20), running).await.expect("it ends with its hub").unwrap();
    drop(stop);
}
