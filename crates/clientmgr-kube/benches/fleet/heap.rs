//! Live heap and sockets of a cluster, against a bare client: connected, idle with no connection open, each before its client
//! is asked for and with it; and with ten open watches.

use std::pin::Pin;
use std::time::Duration;

use clientmgr_kube::{Fleet, FleetBuilder};
use futures::future::try_join_all;
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::config::Kubeconfig;
use kube::{Api, Client};

use crate::live_heap::live_heap;
use crate::process::{sockets, tasks};
use crate::server::Server;
use crate::table::Row;
use crate::wait::comes_true;
use crate::{CLUSTERS, SETTLED, bare_clients, connect};

/// With ten watches each, over HTTP/1.1 as many sockets.
const WATCHED: usize = 50;
const WATCHES: usize = 10;

/// A connection without a request is closed after this time, and at the latest after twice of it.
const IDLE: Duration = Duration::from_secs(5);

/// By then the first probe of each cluster is over.
const PROBED: Duration = Duration::from_secs(3);

/// Budgets before a client is asked for, and with it: decision 19 has the reasons.
const HTTP2: [f64; 2] = [1.15, 1.3];
const HTTP1: [f64; 2] = [0.8, 1.0];
const NO_CONNECTION: [f64; 2] = [0.4, 0.7];

/// What was there before anything was measured: what is dropped is gone only once it is so again.
struct Nothing {
    sockets: usize,
    tasks: usize,
}

impl Nothing {
    fn now() -> Self {
        Self { sockets: sockets(), tasks: tasks() }
    }

    /// Waits until nothing else is left, and returns the live heap.
    async fn is_left(&self) -> f64 {
        assert!(comes_true(SETTLED, || sockets() <= self.sockets && tasks() <= self.tasks).await, "something is left");
        live_heap()
    }
}

/// A fleet that probes hardly ever after the first time.
fn quiet() -> FleetBuilder {
    Fleet::builder().probe_interval(Duration::from_secs(3_600))
}

fn each(bytes: f64, count: usize) -> f64 {
    bytes / 1024.0 / f64::from(u32::try_from(count).expect("a small number"))
}

pub(crate) async fn measure(server: &mut Server, kubeconfigs: &[Kubeconfig]) -> Vec<Row> {
    // What is made once, for all clients and fleets, is made before anything is counted.
    drop(bare_clients(&kubeconfigs[..1]).await);
    let first = Fleet::new();
    connect(&first, &kubeconfigs[..1]).await;
    first.shutdown().await;
    // Without the fleet's and the clients' connections, which end soon.
    comes_true(SETTLED, || sockets() == 0).await;
    let nothing = Nothing::now();

    let mut rows = connected_and_idle(server, kubeconfigs, &nothing).await;
    rows.extend(with_watches(kubeconfigs, &nothing).await);
    rows
}

async fn connected_and_idle(server: &mut Server, kubeconfigs: &[Kubeconfig], nothing: &Nothing) -> Vec<Row> {
    let heap = nothing.is_left().await;
    let clients = bare_clients(kubeconfigs).await;
    let bare_connected = each(live_heap() - heap, CLUSTERS);
    server.close_connections();
    // Where the system does not show sockets there is nothing to wait for.
    comes_true(SETTLED, || sockets() <= nothing.sockets).await;
    let bare_idle = each(live_heap() - heap, CLUSTERS);
    drop(clients);

    let row = |what: &str, figure, baseline, budget| Row::new(what, "KiB", figure, baseline, ..=budget);
    let mut rows = Vec::new();
    for (http2, version, [budget, budget_with_client]) in [(true, "HTTP/2", HTTP2), (false, "HTTP/1.1", HTTP1)] {
        let (heap, fleet) = (nothing.is_left().await, quiet().http2(http2).build());
        connect(&fleet, kubeconfigs).await;
        tokio::time::sleep(PROBED).await;
        let connected = each(live_heap() - heap, CLUSTERS);
        let clients = clients_of(&fleet).await;
        let with_client = each(live_heap() - heap, CLUSTERS);
        drop(clients);
        fleet.shutdown().await;
        drop(fleet);
        let what = format!("live heap, connected by {version} / of a bare client");
        rows.push(row(&what, connected, bare_connected, budget));
        let what = "the same, with the client in use";
        rows.push(row(what, with_client, bare_connected, budget_with_client));
    }

    let (heap, fleet) = (nothing.is_left().await, quiet().idle_timeout(IDLE).build());
    connect(&fleet, kubeconfigs).await;
    let is_idle = comes_true(PROBED + IDLE * 3, || sockets() <= nothing.sockets).await;
    let idle = each(live_heap() - heap, CLUSTERS);
    let clients = clients_of(&fleet).await;
    let with_client = each(live_heap() - heap, CLUSTERS);
    drop(clients);
    fleet.shutdown().await;
    let [budget, budget_with_client] = NO_CONNECTION;
    let mut idle = row("live heap, idle with no connection / of a bare client", idle, bare_idle, budget);
    let mut with_client = row("the same, with a client that was in use", with_client, bare_idle, budget_with_client);
    if !is_idle {
        for row in [&mut idle, &mut with_client] {
            row.verdict = "does NOT hold: the connections stayed open";
        }
    }
    rows.extend([idle, with_client]);
    rows
}

/// The client of each cluster, which is made now.
async fn clients_of(fleet: &Fleet) -> Vec<Client> {
    let keys = fleet.clusters();
    let clients = keys.iter().map(|cluster| fleet.client(cluster));
    try_join_all(clients).await.expect("connected")
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

async fn with_watches(kubeconfigs: &[Kubeconfig], nothing: &Nothing) -> [Row; 2] {
    let (heap, kubeconfigs) = (nothing.is_left().await, &kubeconfigs[..WATCHED]);
    let clients = bare_clients(kubeconfigs).await;
    let watches = all_watches(&clients).await;
    let (bare, bare_sockets) = (each(live_heap() - heap, WATCHED), sockets() - nothing.sockets);
    drop((clients, watches));

    let (heap, fleet) = (nothing.is_left().await, quiet().build());
    connect(&fleet, kubeconfigs).await;
    let clusters = fleet.clusters();
    let clients = futures::future::join_all(clusters.iter().map(|cluster| fleet.client(cluster.clone()))).await;
    let clients: Vec<Client> = clients.into_iter().map(|client| client.expect("connected")).collect();
    let watches = all_watches(&clients).await;
    tokio::time::sleep(PROBED).await;
    let (ours, our_sockets) = (each(live_heap() - heap, WATCHED), sockets() - nothing.sockets);
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
