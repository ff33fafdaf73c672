//! Ten thousand clusters on a simulated network: their memory, what probes cost, and how long a get takes while clusters
//! rotate, reset, come and go. Run it by `cargo xtask bench`.

#[path = "../../../benches/live_heap.rs"]
mod live_heap;
#[path = "../../../benches/process.rs"]
mod process;
#[path = "../../../benches/processor_time.rs"]
mod processor_time;
#[path = "../../../benches/quantile.rs"]
mod quantile;
#[path = "../../../benches/table.rs"]
mod table;
#[path = "../../../benches/wait.rs"]
mod wait;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clientmgr_kube::{ClientProvider as _, Fleet, NamespacedName, simulated};
use futures::FutureExt as _;
use futures::future::try_join_all;
use kube::Config;

use live_heap::live_heap;
use process::{sockets, tasks};
use processor_time::processor_time;
use quantile::quantile;
use table::{Row, report};
use wait::comes_true;

const CLUSTERS: usize = 10_000;
/// The first probes are over after two seconds.
const SETTLED: Duration = Duration::from_secs(3);
/// Two intervals of probes.
const PROBED: Duration = Duration::from_secs(30);
const GETS: usize = 200_000;
/// Between two changes of the churn.
const CHURN: Duration = Duration::from_millis(2);

fn key(number: usize) -> NamespacedName {
    NamespacedName::new("fleet", &number.to_string())
}

fn config(number: usize, token: &str) -> Config {
    let mut config = Config::new(format!("https://cluster-{number}").parse().expect("a URL"));
    config.auth_info.token = Some(token.to_owned().into());
    config
}

async fn connected() -> Fleet {
    let fleet = simulated::fleet(Fleet::builder());
    for number in 0..CLUSTERS {
        fleet.upsert(key(number), config(number, "first"));
    }
    let keys = fleet.clusters();
    try_join_all(keys.iter().map(|cluster| fleet.wait_connected(cluster))).await.expect("all connect");
    fleet
}

/// The part of a core that the probes take.
async fn probes() -> Row {
    tokio::time::sleep(SETTLED).await;
    let (began, before) = (Instant::now(), processor_time(std::process::id()));
    tokio::time::sleep(PROBED).await;
    let cores = before
        .zip(processor_time(std::process::id()))
        .map(|(before, after)| after.saturating_sub(before).as_secs_f64() / began.elapsed().as_secs_f64());
    let what = "probes of 10,000 clusters every 15 s";
    let mut row = Row::new(what, "cores", cores.unwrap_or_default(), None, ..=0.2);
    if cores.is_none() {
        row.verdict = "not measured: the system does not say";
    }
    row
}

/// Gets, each timed, while clusters rotate, reset, are removed and added.
async fn gets(fleet: &Fleet) -> Row {
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, churned) = (Arc::clone(&stop), fleet.clone());
    let churn = tokio::spawn(async move {
        let mut random = fastrand::Rng::with_seed(0);
        let mut turn: usize = 0;
        while !stopped.load(Ordering::Relaxed) {
            let number = random.usize(..CLUSTERS);
            match turn % 4 {
                0 => churned.upsert(key(number), config(number, &turn.to_string())),
                1 => drop(churned.reset(&key(number)).await),
                2 => drop(churned.remove(key(number))),
                _ => churned.upsert(key(number), config(number, "again")),
            }
            turn += 1;
            tokio::time::sleep(CHURN).await;
        }
    });
    let getting = fleet.clone();
    let times = tokio::task::spawn_blocking(move || {
        let keys: Vec<_> = (0..CLUSTERS).map(key).collect();
        // The first get of a connected cluster makes its client. Those of clusters that the churn connects anew are timed.
        for cluster in &keys {
            drop(getting.connection(cluster).now_or_never());
        }
        let mut random = fastrand::Rng::with_seed(1);
        let mut get = |_| {
            let cluster = &keys[random.usize(..CLUSTERS)];
            let begun = Instant::now();
            // One that is being replaced is not there: a get as well.
            let found = getting.connection(cluster).now_or_never();
            assert!(found.is_some(), "a get never waits");
            begun.elapsed().as_secs_f64() * 1e9
        };
        (0..GETS).map(&mut get).collect::<Vec<f64>>()
    });
    let times = times.await.expect("no get panics");
    stop.store(true, Ordering::Relaxed);
    churn.await.expect("the churn does not panic");
    let (median, p99) = (quantile(times.clone(), 50), quantile(times, 99));
    Row::new("p99 of a get under churn / its median", "ns", p99, median, ..=3.0)
}

#[tokio::main]
async fn measure() -> Vec<Row> {
    let (heap, open, running) = (live_heap(), sockets(), tasks());
    let fleet = connected().await;
    let gib = (live_heap() - heap) / f64::from(1 << 30);
    let mut rows =
        vec![Row::new("live heap of 10,000 clusters", "GiB", gib, None, ..=1.0), probes().await, gets(&fleet).await];
    fleet.shutdown().await;
    let left = || (tasks() + sockets()).saturating_sub(open + running) + fleet.clusters().len();
    comes_true(Duration::from_secs(10), || left() == 0).await;
    let left = f64::from(u32::try_from(left()).expect("a small number"));
    rows.push(Row::new("shutdown: tasks, sockets and entries left", "", left, None, ..=0.0));
    rows
}

fn main() {
    if std::env::args().any(|argument| argument == "--bench") {
        report("scale", &measure());
    }
}
