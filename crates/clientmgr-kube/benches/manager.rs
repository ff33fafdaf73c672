//! `refresh` and `client` on standing entries: against the floor, against the shape of the Go original, on one thread
//! and on two. Prints the ratios and saves them as `target/bench/manager.json`. Run it by `cargo xtask bench`.

#[path = "support/mod.rs"]
mod support;

use std::convert::Infallible;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};

use support::{Client, Floor, Managed, Objects, OneLock, Subject, clusters};

/// Object counts that are measured.
const SIZES: [usize; 3] = [100, 10_000, 1_000_000];

/// The budgets of a standing entry.
const OVER_FLOOR_AT_MOST: f64 = 1.3;
const TWO_THREADS_AT_LEAST: f64 = 1.7;

/// The clients that are measured. The budget is that of the first, which is the one this crate is for; the second takes
/// next to no time to clone and so shows what the manager adds as large as it can be.
const CLIENTS: [&str; 2] = ["kube-client", "bare-handle"];

/// Time for `iterations` calls on each of `threads` threads, every thread on its own objects.
fn time(subject: &dyn Subject, objects: usize, threads: usize, iterations: u64) -> Duration {
    let share = objects / threads;
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let start = &start;
                scope.spawn(move || {
                    let mut mine = (thread * share..(thread + 1) * share).cycle();
                    start.wait();
                    let begun = Instant::now();
                    for _ in 0..iterations {
                        subject.call(mine.next().expect("a cycle does not end"));
                    }
                    begun.elapsed()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("no call panics")).max().expect("there is a thread")
    })
}

fn measure(criterion: &mut Criterion, name: &str, subject: &dyn Subject, objects: usize) {
    let mut group = criterion.benchmark_group(name);
    for threads in [1, 2] {
        let id = BenchmarkId::new(format!("{objects}-objects"), threads);
        group.bench_function(id, |bencher| {
            bencher.iter_custom(|iterations| time(subject, objects, threads, iterations));
        });
    }
    group.finish();
}

fn measure_all<C: Client>(criterion: &mut Criterion, client_name: &str, client: &impl Fn() -> C) {
    let clusters = clusters();
    for size in SIZES {
        let objects = Objects::new(size);
        let name = |subject| format!("{subject}-{client_name}");
        // One after the other, each dropped before the next is made: none of them shares its memory.
        measure(criterion, &name("floor"), &Floor::standing(&clusters, &objects, client), size);
        measure(criterion, &name("manager"), &Managed::standing(&clusters, &objects, client), size);
        measure(criterion, &name("one-lock"), &OneLock::standing(&clusters, &objects, client), size);
    }
}

/// What one benchmark of this run took, in nanoseconds a call: the tenth percentile of criterion's samples. Whatever else
/// runs on the machine only ever adds time, so the low end of the samples is the code's own.
fn nanoseconds(target: &Path, name: &str, objects: usize, threads: u8) -> f64 {
    #[derive(serde::Deserialize)]
    struct Samples {
        iters: Vec<f64>,
        times: Vec<f64>,
    }

    let path = target.join(format!("criterion/{name}/{objects}-objects/{threads}/new/sample.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let Samples { iters, times } = serde_json::from_str(&text).expect("criterion writes its samples so");
    let mut calls: Vec<f64> = times.iter().zip(&iters).map(|(time, calls)| time / calls).collect();
    calls.sort_by(f64::total_cmp);
    calls[calls.len() / 10]
}

fn target() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is in the workspace");
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from)
}

#[expect(clippy::print_stdout, reason = "a bench reports to whoever runs it")]
fn report(target: &Path) {
    let mut table = format!(
        "{:<12} {:<8} {:<8} {:>15} {:>8} {:>9} {:>19} {:>17} {:>20}\n",
        "client",
        "objects",
        "threads",
        "refresh+client",
        "floor",
        "one lock",
        "over floor (≤ 1.3)",
        "against one lock",
        "two threads (≥ 1.7)"
    );
    let mut rows = Vec::new();
    for client in CLIENTS {
        for objects in SIZES {
            let of = |subject: &str, threads| nanoseconds(target, &format!("{subject}-{client}"), objects, threads);
            for threads in [1_u8, 2] {
                let [manager, floor, one_lock] = ["manager", "floor", "one-lock"].map(|subject| of(subject, threads));
                // As many calls on each thread: two threads do twice the work in the time of one call.
                let speedup = of("manager", 1) * f64::from(threads) / manager;
                let (over_floor, against) = (manager / floor, one_lock / manager);
                let two = if threads == 2 { format!("{speedup:.2}") } else { String::new() };
                writeln!(
                    table,
                    "{client:<12} {objects:<8} {threads:<8} {manager:>12.0} ns {floor:>5.0} ns {one_lock:>6.0} ns \
                     {over_floor:>19.2} {against:>17.1} {two:>20}"
                )
                .expect("a string takes all");
                rows.push(serde_json::json!({
                    "client": client, "objects": objects, "threads": threads,
                    "ns": { "manager": manager, "floor": floor, "one_lock": one_lock },
                    "over_floor": over_floor, "against_one_lock": against, "speedup": speedup,
                    "holds": over_floor <= OVER_FLOOR_AT_MOST && (threads == 1 || speedup >= TWO_THREADS_AT_LEAST),
                }));
            }
        }
    }
    let path = target.join("bench/manager.json");
    std::fs::create_dir_all(path.parent().expect("has a parent")).expect("the target directory can be written");
    std::fs::write(&path, serde_json::json!({ "rows": rows }).to_string())
        .expect("the target directory can be written");
    println!("\n{table}\n{}\nsaved as {}", verdict(&rows), path.display());
}

/// Whether the budget holds. For whoever reads it: on a busy machine nothing else can be told from a timing.
fn verdict(rows: &[serde_json::Value]) -> &'static str {
    let of_budget = |row: &&serde_json::Value| row["client"] == CLIENTS[0];
    if rows.iter().filter(of_budget).all(|row| row["holds"] == true) {
        "the budget of kube::Client holds"
    } else {
        "the budget of kube::Client does NOT hold in this run; was the machine busy?"
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2))
        .without_plots()
        .configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without I/O starts");
    let _inside = runtime.enter();
    let nothing =
        tower::service_fn(|_| std::future::pending::<Result<http::Response<kube::client::Body>, Infallible>>());
    measure_all(&mut criterion, CLIENTS[0], &|| kube::Client::new(nothing, "default"));
    measure_all(&mut criterion, CLIENTS[1], &|| Arc::<str>::from("client"));
    criterion.final_summary();
    if std::env::args().any(|argument| argument == "--bench") {
        report(&target());
    }
}
