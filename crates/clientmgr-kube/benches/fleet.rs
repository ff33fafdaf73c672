//! A fleet against bare `kube::Client`s, in one run: live heap of a connected cluster, the time of a thousand connects, one
//! healthy cluster beside hanging ones, and how soon a rotated credential is in use. Prints one table and saves it as
//! `target/bench/fleet.json`. Run it by `cargo xtask bench`. The server is a process of its own.

#[path = "support/server.rs"]
mod server;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clientmgr_kube::{ClusterConfig, Fleet, NamespacedName};
use futures::StreamExt as _;
use futures::future::join_all;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::Serialize;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use server::{Server, USERS};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const CLUSTERS: usize = 1_000;
const HANGING: [usize; 3] = [64, 200, 1_000];
const ROTATIONS: usize = 300;
/// Of what is timed, the median of so many.
const TIMES: usize = 9;

/// One row of the table.
#[derive(Serialize)]
struct Row {
    what: String,
    unit: &'static str,
    fleet: f64,
    /// The same with bare clients, or without what disturbs.
    baseline: Option<f64>,
    /// What the ratio, or the value where there is no baseline, is at most.
    budget: f64,
}

impl Row {
    fn compared(&self) -> f64 {
        self.baseline.map_or(self.fleet, |baseline| self.fleet / baseline)
    }

    fn holds(&self) -> bool {
        self.compared() <= self.budget
    }
}

fn live_heap() -> isize {
    let stats = ALLOCATOR.stats();
    let bytes = |bytes: usize| isize::try_from(bytes).expect("memory is smaller");
    bytes(stats.bytes_allocated) - bytes(stats.bytes_deallocated) + stats.bytes_reallocated
}

#[expect(clippy::cast_precision_loss, reason = "memory has fewer bytes than a float has places")]
fn kib_each(before: isize) -> f64 {
    (live_heap() - before) as f64 / 1024.0 / CLUSTERS as f64
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

fn quantile(mut values: Vec<f64>, per_cent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * per_cent / 100).min(values.len() - 1)]
}

fn key(prefix: &str, number: usize) -> NamespacedName {
    NamespacedName::new(prefix, &number.to_string())
}

/// Connects bare clients, as a program without a fleet does. Each makes one request.
async fn bare_clients(kubeconfig: &Kubeconfig) -> Vec<Client> {
    let connects = (0..CLUSTERS).map(|_| async {
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig.clone(), &options).await.expect("a kubeconfig");
        let client = Client::try_from(config).expect("a client");
        client.apiserver_version().await.expect("the server answers");
        client
    });
    join_all(connects).await
}

/// Connects a fleet of as many clusters.
async fn fleet(server: &Server) -> Fleet {
    let fleet = Fleet::new();
    for number in 0..CLUSTERS {
        fleet.upsert(key("healthy", number), server.config(0));
    }
    let keys = fleet.clusters();
    for connected in join_all(keys.iter().map(|cluster| fleet.wait_connected(cluster))).await {
        connected.expect("the server answers");
    }
    fleet
}

async fn connects(server: &Server) -> [Row; 2] {
    let (before, begun) = (live_heap(), Instant::now());
    let clients = bare_clients(server.kubeconfig(0)).await;
    let (bare_ms, bare_kib) = (milliseconds(begun.elapsed()), kib_each(before));
    drop(clients);
    let (before, begun) = (live_heap(), Instant::now());
    let fleet = fleet(server).await;
    let (ms, kib) = (milliseconds(begun.elapsed()), kib_each(before));
    fleet.shutdown().await;
    let row = |what: &str, unit, fleet, bare, budget| Row {
        what: what.to_owned(),
        unit,
        fleet,
        baseline: Some(bare),
        budget,
    };
    [
        row("live heap of a connected cluster / of a bare client", "KiB", kib, bare_kib, 0.8),
        row("1,000 clusters connect / 1,000 bare clients", "ms", ms, bare_ms, 1.0),
    ]
}

/// How long one healthy cluster takes to connect in a fleet of `hanging` others, whose server never answers.
async fn one_healthy(server: &Server, hanging: usize) -> f64 {
    // Its backlog takes some connections, and never answers; the others are never taken.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let mut kubeconfig = server.kubeconfig(0).clone();
    let address = format!("https://{}", silent.local_addr().expect("it is bound"));
    for named in &mut kubeconfig.clusters {
        if let Some(cluster) = &mut named.cluster {
            cluster.server = Some(address.clone());
        }
    }
    let hangs = ClusterConfig::from_kubeconfig(&kubeconfig, kubeconfig.current_context.as_deref().unwrap_or_default());
    let fleet = Fleet::new();
    for number in 0..hanging {
        fleet.upsert(key("hanging", number), hangs.clone());
    }
    // They hang once they were polled.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut times = Vec::new();
    for number in 0..TIMES {
        let begun = Instant::now();
        fleet.upsert(key("healthy", number), server.config(0));
        fleet.wait_connected(&key("healthy", number)).await.expect("the server answers");
        times.push(milliseconds(begun.elapsed()));
    }
    fleet.shutdown().await;
    quantile(times, 50)
}

/// How long it takes from the `upsert` of another credential until it is in use.
async fn rotation(server: &Server) -> Row {
    let (fleet, cluster) = (Fleet::new(), key("rotated", 0));
    fleet.upsert(cluster.clone(), server.config(0));
    fleet.wait_connected(&cluster).await.expect("the server answers");
    let mut times = Vec::new();
    for number in 1..=ROTATIONS {
        let user = number % USERS.len();
        let mut events = fleet.events();
        let begun = Instant::now();
        fleet.upsert(cluster.clone(), server.config(user));
        let is_in_use = || fleet.snapshot(&cluster).is_some_and(|now| now.user.as_deref() == Some(USERS[user]));
        while !is_in_use() {
            events.next().await.expect("the fleet lives");
        }
        times.push(milliseconds(begun.elapsed()));
    }
    fleet.shutdown().await;
    let p99 = quantile(times, 99);
    Row {
        what: "rotation: new credential in use, p99".to_owned(),
        unit: "ms",
        fleet: p99,
        baseline: None,
        budget: 100.0,
    }
}

#[expect(clippy::print_stdout, reason = "a bench reports to its user")]
fn report(rows: &[Row]) {
    println!("{:<60} {:>10} {:>10} {:>5} {:>7} {:>7}", "", "fleet", "baseline", "", "", "budget");
    for row in rows {
        let baseline = row.baseline.map_or_else(|| "-".to_owned(), |baseline| format!("{baseline:.1}"));
        let verdict = if row.holds() { "" } else { "  does NOT hold" };
        println!(
            "{:<60} {:>10.1} {baseline:>10} {:>5} {:>7.2} {:>7.2}{verdict}",
            row.what,
            row.fleet,
            row.unit,
            row.compared(),
            row.budget
        );
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is in the workspace");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    std::fs::create_dir_all(target.join("bench")).expect("the target directory can be written");
    let path = target.join("bench/fleet.json");
    std::fs::write(&path, serde_json::json!({ "rows": rows }).to_string())
        .expect("the target directory can be written");
    println!("saved as {}", path.display());
}

#[tokio::main]
async fn measure() {
    let server = Server::start();
    let mut rows = Vec::from(connects(&server).await);
    let alone = one_healthy(&server, 0).await;
    for hanging in HANGING {
        rows.push(Row {
            what: format!("one healthy cluster connects beside {hanging} hanging / alone"),
            unit: "ms",
            fleet: one_healthy(&server, hanging).await,
            baseline: Some(alone),
            budget: 1.2,
        });
    }
    rows.push(rotation(&server).await);
    report(&rows);
}

fn main() {
    if !server::serve_if_child() && std::env::args().any(|argument| argument == "--bench") {
        measure();
    }
}
