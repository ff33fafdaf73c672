//! A fleet against bare `kube::Client`s of the same server, in one run: live heap and sockets, the time of a thousand
//! connects, one healthy cluster beside hanging ones, how soon a rotated credential is in use, and what is left of removed
//! clusters. The server is a process of its own. Run it by `cargo xtask bench`.

#[path = "fleet/heap.rs"]
mod heap;
#[path = "support/process.rs"]
mod process;
#[path = "support/quantile.rs"]
mod quantile;
#[path = "support/server.rs"]
mod server;
#[path = "support/table.rs"]
mod table;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clientmgr_kube::{ClusterConfig, Fleet, NamespacedName};
use futures::StreamExt as _;
use futures::future::{join_all, try_join_all};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use process::{comes_true, sockets, tasks};
use quantile::quantile;
use server::{Server, USERS};
use table::{Row, report};

const CLUSTERS: usize = 1_000;
const HANGING: [usize; 3] = [64, 200, 1_000];
const ROTATIONS: usize = 300;
/// How often two ways of connecting are compared. The median counts.
const COMPARISONS: usize = 5;
/// How many healthy clusters are added beside the hanging ones.
const HEALTHY: usize = 31;

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

fn key(prefix: &str, number: usize) -> NamespacedName {
    NamespacedName::new(prefix, &number.to_string())
}

/// Connects bare clients, as a program without a fleet does. Each makes one request.
async fn bare_clients(kubeconfig: &Kubeconfig, count: usize) -> Vec<Client> {
    let connects = (0..count).map(|_| async {
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig.clone(), &options).await.expect("a kubeconfig");
        let client = Client::try_from(config).expect("a client");
        client.apiserver_version().await.expect("the server answers");
        client
    });
    join_all(connects).await
}

/// Adds as many clusters to a fleet, and waits until all are connected.
async fn connect(fleet: &Fleet, server: &Server, count: usize) {
    for number in 0..count {
        fleet.upsert(key("healthy", number), server.config(0));
    }
    let keys = fleet.clusters();
    let connecting = keys.iter().map(|cluster| fleet.wait_connected(cluster));
    try_join_all(connecting).await.expect("the server answers");
}

/// A thousand clusters against a thousand bare clients, in turns.
async fn connects(server: &Server) -> Row {
    let (mut fleets, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..COMPARISONS {
        let begun = Instant::now();
        let clients = bare_clients(server.kubeconfig(0), CLUSTERS).await;
        bare.push(milliseconds(begun.elapsed()));
        drop(clients);
        let (begun, fleet) = (Instant::now(), Fleet::new());
        connect(&fleet, server, CLUSTERS).await;
        fleets.push(milliseconds(begun.elapsed()));
        fleet.shutdown().await;
    }
    let (fleet, bare) = (quantile(fleets, 50), quantile(bare, 50));
    Row::new("1,000 clusters connect / 1,000 bare clients", "ms", fleet, bare, ..=1.0)
}

/// A configuration whose server never answers.
fn hanging_config(server: &Server, silent: &TcpListener) -> ClusterConfig {
    let mut kubeconfig = server.kubeconfig(0).clone();
    let address = format!("https://{}", silent.local_addr().expect("it is bound"));
    for named in &mut kubeconfig.clusters {
        if let Some(cluster) = &mut named.cluster {
            cluster.server = Some(address.clone());
        }
    }
    ClusterConfig::from_kubeconfig(&kubeconfig, kubeconfig.current_context.as_deref().unwrap_or_default())
}

/// How long one healthy cluster takes to connect beside `hanging` ones, against a fleet of its own, in turns.
async fn one_healthy(server: &Server, hanging: usize) -> Row {
    // Its backlog takes some connections, and never answers; the others are never taken.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let (fleet, quiet) = (Fleet::new(), Fleet::new());
    for number in 0..hanging {
        fleet.upsert(key("hanging", number), hanging_config(server, &silent));
    }
    // They hang once they were polled.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (mut beside, mut alone) = (Vec::new(), Vec::new());
    for number in 0..HEALTHY {
        for (fleet, times) in [(&quiet, &mut alone), (&fleet, &mut beside)] {
            let (begun, cluster) = (Instant::now(), key("healthy", number));
            fleet.upsert(cluster.clone(), server.config(0));
            fleet.wait_connected(&cluster).await.expect("the server answers");
            times.push(milliseconds(begun.elapsed()));
        }
    }
    fleet.shutdown().await;
    quiet.shutdown().await;
    let (beside, alone) = (quantile(beside, 50), quantile(alone, 50));
    Row::new(format!("one cluster connects beside {hanging} hanging / alone"), "ms", beside, alone, ..=1.2)
}

/// How long it takes from the `upsert` of another credential until it is in use, while a user sends requests.
async fn rotation(server: &Server) -> [Row; 2] {
    let (fleet, cluster) = (Fleet::new(), key("rotated", 0));
    fleet.upsert(cluster.clone(), server.config(0));
    fleet.wait_connected(&cluster).await.expect("the server answers");
    let client = fleet.client(cluster.clone()).await.expect("connected");
    let (stop, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (stopped, failures) = (Arc::clone(&stop), Arc::clone(&failed));
    let user = tokio::spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            failures.fetch_add(usize::from(client.apiserver_version().await.is_err()), Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let mut times = Vec::new();
    for number in 1..=ROTATIONS {
        let user = USERS[number % USERS.len()];
        let mut events = fleet.events();
        let begun = Instant::now();
        fleet.upsert(cluster.clone(), server.config(number % USERS.len()));
        let is_in_use = || fleet.snapshot(&cluster).is_some_and(|now| now.user.as_deref() == Some(user));
        while !is_in_use() {
            events.next().await.expect("the fleet lives");
        }
        times.push(milliseconds(begun.elapsed()));
    }
    stop.store(true, Ordering::Relaxed);
    user.await.expect("the user does not panic");
    fleet.shutdown().await;
    let failed = u32::try_from(failed.load(Ordering::Relaxed)).expect("a small number");
    [
        Row::new("rotation: new credential in use, p99", "ms", quantile(times, 99), None, ..=100.0),
        Row::new(format!("rotation: failed requests, {ROTATIONS} rotations"), "", f64::from(failed), None, ..=0.0),
    ]
}

/// What is left of removed clusters: tasks, sockets and entries together.
async fn removal(server: &Server) -> Row {
    let fleet = Fleet::new();
    connect(&fleet, server, 1).await;
    let census = |fleet: &Fleet| tasks() + sockets() + fleet.clusters().len();
    let before = census(&fleet);
    connect(&fleet, server, 200).await;
    for number in 1..200 {
        fleet.remove(key("healthy", number));
    }
    comes_true(Duration::from_secs(10), || census(&fleet) <= before).await;
    let left = u32::try_from(census(&fleet).saturating_sub(before)).expect("a small number");
    fleet.shutdown().await;
    Row::new("removal: tasks, sockets and entries left of 199", "", f64::from(left), None, ..=0.0)
}

#[tokio::main]
async fn measure() -> Vec<Row> {
    let mut server = Server::start();
    let mut rows = vec![connects(&server).await];
    for hanging in HANGING {
        rows.push(one_healthy(&server, hanging).await);
    }
    rows.extend(rotation(&server).await);
    rows.push(removal(&server).await);
    rows.extend(heap::measure(&mut server).await);
    rows
}

fn main() {
    if !server::serve_if_child() && std::env::args().any(|argument| argument == "--bench") {
        report("fleet", &measure());
    }
}
