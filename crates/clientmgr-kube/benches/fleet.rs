//! A fleet against bare `kube::Client`s of the same server, in one run: live heap and sockets, the time of a thousand
//! connects, healthy clusters beside those that hang and flap, how soon a rotated credential is in use, and what is left of removed
//! clusters. The server is a process of its own. Run it by `cargo xtask bench`.

#[path = "fleet/crowd.rs"]
mod crowd;
#[path = "fleet/heap.rs"]
mod heap;
#[path = "../../../benches/live_heap.rs"]
mod live_heap;
#[path = "../../../benches/process.rs"]
mod process;
#[path = "../../../benches/processor_time.rs"]
mod processor_time;
#[path = "../../../benches/quantile.rs"]
mod quantile;
#[path = "support/server.rs"]
mod server;
#[path = "../../../benches/table.rs"]
mod table;
#[path = "../../../benches/wait.rs"]
mod wait;

use std::net::TcpListener;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clientmgr_kube::{ClusterConfig, Fleet, NamespacedName};
use futures::StreamExt as _;
use futures::future::{join_all, try_join_all};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use process::{sockets, tasks};
use processor_time::processor_time;
use quantile::quantile;
use server::{Server, USERS, config};
use table::{Row, report};
use wait::comes_true;

const CLUSTERS: usize = 1_000;
const HANGING: [usize; 3] = [64, 200, 1_000];
const ROTATIONS: usize = 300;
/// How often two ways of connecting are compared. The median counts.
const COMPARISONS: usize = 5;
/// How long connections that were closed may take to be gone.
const SETTLED: Duration = Duration::from_secs(10);
/// How many healthy clusters are added beside the hanging ones.
const HEALTHY: usize = 31;

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

fn key(prefix: &str, number: usize) -> NamespacedName {
    NamespacedName::new(prefix, &number.to_string())
}

/// Connects a bare client for each, as a program without a fleet does. Each makes one request.
async fn bare_clients(kubeconfigs: &[Kubeconfig]) -> Vec<Client> {
    let connects = kubeconfigs.iter().map(async |kubeconfig| {
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig.clone(), &options).await.expect("a kubeconfig");
        let client = Client::try_from(config).expect("a client");
        client.apiserver_version().await.expect("the server answers");
        client
    });
    join_all(connects).await
}

/// Adds a cluster for each to a fleet, and waits until all are connected.
async fn connect(fleet: &Fleet, kubeconfigs: &[Kubeconfig]) {
    for (number, kubeconfig) in kubeconfigs.iter().enumerate() {
        fleet.upsert(key("healthy", number), config(kubeconfig));
    }
    let keys = fleet.clusters();
    let connecting = keys.iter().map(|cluster| fleet.wait_connected(cluster));
    try_join_all(connecting).await.expect("the server answers");
}

/// The time and the processor time of this process and the server's, each in milliseconds.
struct Cost<'a> {
    server: &'a Server,
    begun: Instant,
    computed: Option<Duration>,
}

impl<'a> Cost<'a> {
    fn begin(server: &'a Server) -> Self {
        Self { server, begun: Instant::now(), computed: computed(server) }
    }

    fn end(self) -> [f64; 2] {
        let elapsed = self.begun.elapsed();
        let computed = computed(self.server).zip(self.computed).map(|(now, then)| now.saturating_sub(then));
        [elapsed, computed.unwrap_or_default()].map(milliseconds)
    }
}

fn computed(server: &Server) -> Option<Duration> {
    Some(processor_time(std::process::id())? + processor_time(server.id())?)
}

/// A protocol of a fleet, and the most that it may take to connect by it, against bare clients, which speak HTTP/1.1.
struct Protocol {
    name: &'static str,
    http2: bool,
    budget: f64,
}

const PROTOCOLS: [Protocol; 2] =
    [Protocol { name: "HTTP/1.1", http2: false, budget: 1.0 }, Protocol { name: "HTTP/2", http2: true, budget: 1.25 }];

/// A thousand clusters against a thousand bare clients, in turns.
async fn connects(server: &Server, protocol: &Protocol, what: &str, kubeconfigs: &[Kubeconfig]) -> [Row; 2] {
    let (mut fleets, mut bare) = (Vec::new(), Vec::new());
    let open = sockets();
    for _ in 0..COMPARISONS {
        let cost = Cost::begin(server);
        let clients = bare_clients(kubeconfigs).await;
        bare.push(cost.end());
        drop(clients);
        comes_true(SETTLED, || sockets() <= open).await;
        let (cost, fleet) = (Cost::begin(server), Fleet::builder().http2(protocol.http2).build());
        connect(&fleet, kubeconfigs).await;
        fleets.push(cost.end());
        fleet.shutdown().await;
        comes_true(SETTLED, || sockets() <= open).await;
    }
    let median = |costs: &[[f64; 2]], which: usize| quantile(costs.iter().map(|cost| cost[which]).collect(), 50);
    let row = |what: String, which, budget| Row::new(what, "ms", median(&fleets, which), median(&bare, which), budget);
    let what = format!("1,000 clusters connect by {} / bare clients, {what}", protocol.name);
    let mut computing = row(format!("{what}, CPU"), 1, (Bound::Unbounded, Bound::Unbounded));
    if computed(server).is_none() {
        computing.verdict = "not measured: the system does not say";
    }
    [row(what, 0, (Bound::Unbounded, Bound::Included(protocol.budget))), computing]
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

/// Waits until this process has nothing to do: each of the hanging clusters has sent what it can.
async fn all_hang() {
    let mut before = None;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = processor_time(std::process::id());
        if before.is_some() && now == before {
            return;
        }
        before = now;
    }
}

/// How long one healthy cluster takes to connect beside `hanging` ones, against a fleet of its own, in turns.
async fn one_healthy(server: &Server, hanging: usize) -> Row {
    // Its backlog takes some connections, and never answers; the others are never taken.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let (fleet, quiet) = (Fleet::new(), Fleet::new());
    for number in 0..hanging {
        fleet.upsert(key("hanging", number), hanging_config(server, &silent));
    }
    all_hang().await;
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
async fn removal(kubeconfigs: &[Kubeconfig]) -> Row {
    let fleet = Fleet::new();
    connect(&fleet, &kubeconfigs[..1]).await;
    let census = |fleet: &Fleet| tasks() + sockets() + fleet.clusters().len();
    let before = census(&fleet);
    connect(&fleet, &kubeconfigs[..200]).await;
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
    let kubeconfigs = server.clusters(CLUSTERS);
    let mut rows = Vec::new();
    let of_one_authority = vec![server.kubeconfig(0).clone(); CLUSTERS];
    for protocol in &PROTOCOLS {
        rows.extend(connects(&server, protocol, "own CAs", &kubeconfigs).await);
        rows.extend(connects(&server, protocol, "one CA", &of_one_authority).await);
    }
    for hanging in HANGING {
        rows.push(one_healthy(&server, hanging).await);
    }
    rows.extend(crowd::measure(&server).await);
    rows.extend(rotation(&server).await);
    rows.push(removal(&kubeconfigs).await);
    rows.extend(heap::measure(&mut server, &kubeconfigs).await);
    rows
}

fn main() {
    if !server::serve_if_child() && std::env::args().any(|argument| argument == "--bench") {
        report("fleet", &measure());
    }
}
