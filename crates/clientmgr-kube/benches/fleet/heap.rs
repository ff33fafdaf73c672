//! Live heap and sockets of a cluster, against a bare client: connected, with ten open watches, and idle with no connection
//! open.

use std::pin::Pin;
use std::time::Duration;

use clientmgr_kube::{Fleet, FleetBuilder};
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Client};

use crate::live_heap::live_heap;
use crate::process::sockets;
use crate::server::Server;
use crate::table::Row;
use crate::wait::comes_true;
use crate::{CLUSTERS, bare_clients, connect};

/// With ten watches each, over HTTP/1.1 as many sockets.
const WATCHED: usize = 50;
const WATCHES: usize = 10;

/// A pool closes a connection after 90 s without a request.
const IDLE: Duration = Duration::from_secs(150);

/// A fleet that probes hardly ever, so that its connections fall idle.
fn quiet() -> FleetBuilder {
    Fleet::builder().probe_interval(Duration::from_secs(3_600))
}

fn each(bytes: f64, count: usize) -> f64 {
    bytes / 1024.0 / f64::from(u32::try_from(count).expect("a small number"))
}

pub(crate) async fn measure(server: &mut Server) -> Vec<Row> {
    // What is made once, for all clients and fleets, is made before anything is counted.
    drop(bare_clients(server.kubeconfig(0), 1).await);
    let first = Fleet::new();
    connect(&first, server, 1).await;
    first.shutdown().await;

    let mut rows = connected_and_idle(server).await;
    rows.extend(with_watches(server).await);
    rows
}

async fn connected_and_idle(server: &mut Server) -> Vec<Row> {
    let (heap, open) = (live_heap(), sockets());
    let clients = bare_clients(server.kubeconfig(0), CLUSTERS).await;
    let bare_connected = each(live_heap() - heap, CLUSTERS);
    server.close_connections();
    // Where the system does not show sockets there is nothing to wait for.
    comes_true(Duration::from_secs(10), || sockets() <= open).await;
    let bare_idle = each(live_heap() - heap, CLUSTERS);
    drop(clients);

    let (heap, fleet) = (live_heap(), quiet().build());
    connect(&fleet, server, CLUSTERS).await;
    let connected = each(live_heap() - heap, CLUSTERS);
    // The first probe of each is answered by then.
    let is_idle = comes_true(IDLE, || sockets() <= open).await;
    let idle = each(live_heap() - heap, CLUSTERS);
    fleet.shutdown().await;
    let row = |what: &str, figure, baseline, budget| Row::new(what, "KiB", figure, baseline, ..=budget);
    let mut idle = row("live heap, idle with no connection / of a bare client", idle, bare_idle, 0.4);
    if !is_idle {
        idle.verdict = "not measured: the connections stayed open";
    }
    vec![row("live heap, connected / of a bare client", connected, bare_connected, 0.8), idle]
}

type Watch = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<ConfigMap>>> + Send>>;

async fn watches(client: &Client) -> Vec<Watch> {
    let maps = Api::<ConfigMap>::default_namespaced(client.clone());
    let since = maps.list(&ListParams::default()).await.expect("a list").metadata.resource_version.unwrap_or_default();
    let mut watches = Vec::new();
    for _ in 0..WATCHES {
        watches.push(maps.watch(&WatchParams::default(), &since).await.expect("a watch").boxed());
    }
    watches
}

async fn all_watches(clients: &[Client]) -> Vec<Vec<Watch>> {
    futures::future::join_all(clients.iter().map(watches)).await
}

async fn with_watches(server: &Server) -> [Row; 2] {
    let (heap, open) = (live_heap(), sockets());
    let clients = bare_clients(server.kubeconfig(0), WATCHED).await;
    let watches = all_watches(&clients).await;
    let (bare, bare_sockets) = (each(live_heap() - heap, WATCHED), sockets() - open);
    drop((clients, watches));
    comes_true(Duration::from_secs(10), || sockets() <= open).await;

    let (heap, fleet) = (live_heap(), quiet().build());
    connect(&fleet, server, WATCHED).await;
    let clusters = fleet.clusters();
    let clients = futures::future::join_all(clusters.iter().map(|cluster| fleet.client(cluster.clone()))).await;
    let clients: Vec<Client> = clients.into_iter().map(|client| client.expect("connected")).collect();
    let watches = all_watches(&clients).await;
    let (ours, our_sockets) = (each(live_heap() - heap, WATCHED), sockets() - open);
    drop((clients, watches));
    fleet.shutdown().await;
    let per_cluster =
        |sockets: usize| each(1024.0 * f64::from(u32::try_from(sockets).expect("a small number")), WATCHED);
    [
        Row::new("live heap, ten open watches / of a bare client", "KiB", ours, bare, ..=0.4),
        Row::new(
            format!("sockets of a cluster with ten open watches (bare: {})", per_cluster(bare_sockets)),
            "",
            per_cluster(our_sockets),
            None,
            ..=1.0,
        ),
    ]
}
