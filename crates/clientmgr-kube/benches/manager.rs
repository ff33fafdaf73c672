//! `refresh` and `client` on standing entries: against the floor, against the shape of the Go original, on one thread
//! and on two. Prints the ratios and saves them as `target/bench/manager.json`. Run it by `cargo xtask bench`.
//!
//! A machine's pace changes from one second to the next, so what is compared is measured in turns, a few milliseconds
//! each: every round of a benchmark times all that a ratio needs. A row of the table is the median of the ratios of its
//! quiet rounds, which are the quarter in which all timings of the floor together were shortest: chosen by what the
//! manager is compared with, never by its own times. Criterion paces the rounds and is told the manager's.

#[path = "support/cores.rs"]
mod cores;
#[path = "support/fleet.rs"]
mod fleet;
#[path = "support/mod.rs"]
mod support;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode};
use serde::Serialize;

use cores::Cores;
use support::{Connected, Floor, Managed, Object, OneLock, Provider, Source, Subject, objects};

/// Object counts that are measured.
const SIZES: [usize; 3] = [100, 10_000, 1_000_000];

/// How many calls are timed at a stretch: so many that they take milliseconds, beside which starting a thread is nothing.
/// Criterion asks for a number of its own, which it chose as it warmed up; it is told what that many would have taken.
const CALLS: u32 = 20_000;

/// The budgets of a standing entry.
const AGAINST_ONE_LOCK_AT_LEAST: f64 = 3.0;
const TWO_THREADS_AT_LEAST: f64 = 1.6;

/// So many rounds of two threads must have had two cores, or their row cannot be told.
const ROUNDS_ON_TWO_CORES: usize = 10;

/// The clients that are measured. The budget is that of the first, a `kube::Client` that a fleet hands out, which is what
/// this crate is for. The second comes from the floor's own map and takes next to no time to clone, and so shows what
/// the manager adds as large as it can be.
const CLIENTS: [&str; 2] = ["kube-client", "bare-handle"];

/// What is compared, standing side by side.
struct Subjects<'a> {
    manager: &'a dyn Subject,
    floor: &'a dyn Subject,
    one_lock: &'a dyn Subject,
    objects: &'a [Object],
}

/// What one round took, in nanoseconds a call.
struct Round {
    manager: f64,
    floor: f64,
    one_lock: f64,
    /// On one thread, where the round is of two.
    alone: Option<Alone>,
    /// Whether there was a core for each thread, all the time.
    had_cores: bool,
}

struct Alone {
    manager: f64,
    floor: f64,
}

/// One row of the table: medians over the quiet rounds.
#[derive(Serialize)]
struct Row {
    client: &'static str,
    objects: usize,
    threads: usize,
    rounds: usize,
    manager_ns: f64,
    floor_ns: f64,
    one_lock_ns: f64,
    over_floor: f64,
    against_one_lock: f64,
    /// How many times the work of one thread two threads do.
    two_threads: Option<f64>,
    two_threads_of_floor: Option<f64>,
    /// Whether the machine had the cores to measure this.
    told: bool,
}

impl Row {
    fn holds(&self) -> bool {
        self.against_one_lock >= AGAINST_ONE_LOCK_AT_LEAST
            && self.two_threads.is_none_or(|times| times >= TWO_THREADS_AT_LEAST)
    }
}

fn median(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Subjects<'_> {
    /// Nanoseconds of a call where each of `threads` threads makes [`CALLS`] of them, every one for any of the `share`
    /// objects that are the thread's own: no two threads go through theirs in step.
    fn time(&self, cores: &Cores, subject: &dyn Subject, threads: usize, share: usize) -> f64 {
        let took = cores.time(threads, |thread| {
            let mine = &self.objects[thread * share..][..share];
            let mut random = fastrand::Rng::new();
            for _ in 0..CALLS {
                subject.call(&mine[random.usize(..share)]);
            }
        });
        took.as_secs_f64() * 1e9 / f64::from(CALLS)
    }

    fn round(&self, cores: &Cores, threads: usize) -> Round {
        // As many objects for a thread that is alone, so that two have no easier a time of it.
        let share = self.objects.len() / threads;
        let time = |subject, threads| self.time(cores, subject, threads, share);
        let measure = || Round {
            alone: (threads > 1).then(|| Alone { manager: time(self.manager, 1), floor: time(self.floor, 1) }),
            manager: time(self.manager, threads),
            floor: time(self.floor, threads),
            one_lock: time(self.one_lock, threads),
            had_cores: true,
        };
        if threads == 1 {
            return measure();
        }
        let (round, had_cores) = cores.on_two(measure);
        Round { had_cores, ..round }
    }

    /// Measures these subjects on `threads` threads. No row where criterion was told to leave them out.
    fn measure(&self, criterion: &mut Criterion, cores: &Cores, client: &'static str, threads: usize) -> Option<Row> {
        let rounds = RefCell::new(Vec::new());
        let mut group = criterion.benchmark_group(format!("manager-{client}"));
        // Many short samples, all of one length: a machine's quiet moments are short.
        group.sampling_mode(SamplingMode::Flat);
        group.bench_function(BenchmarkId::new(format!("{}-objects", self.objects.len()), threads), |bencher| {
            bencher.iter_custom(|iterations| {
                let round = self.round(cores, threads);
                #[expect(clippy::cast_precision_loss, reason = "a sample has fewer calls than a float has places")]
                let took = Duration::from_secs_f64(round.manager * iterations as f64 / 1e9);
                rounds.borrow_mut().push(round);
                took
            });
        });
        group.finish();

        let mut rounds = rounds.into_inner();
        if rounds.is_empty() {
            return None;
        }
        let told = rounds.iter().filter(|round| round.had_cores).count() >= ROUNDS_ON_TWO_CORES.min(rounds.len());
        rounds.retain(|round| round.had_cores || !told);
        let of_floor = |round: &Round| round.floor + round.alone.as_ref().map_or(0.0, |alone| alone.floor);
        rounds.sort_by(|one, other| of_floor(one).total_cmp(&of_floor(other)));
        rounds.truncate(rounds.len().div_ceil(4));
        let two = |of: fn(&Round, &Alone) -> f64| {
            (threads > 1)
                .then(|| 2.0 * median(&rounds, |round| round.alone.as_ref().map_or(f64::NAN, |a| of(round, a))))
        };
        Some(Row {
            client,
            objects: self.objects.len(),
            threads,
            rounds: rounds.len(),
            manager_ns: median(&rounds, |round| round.manager),
            floor_ns: median(&rounds, |round| round.floor),
            one_lock_ns: median(&rounds, |round| round.one_lock),
            over_floor: median(&rounds, |round| round.manager / round.floor),
            against_one_lock: median(&rounds, |round| round.one_lock / round.manager),
            two_threads: two(|round, alone| alone.manager / round.manager),
            two_threads_of_floor: two(|round, alone| alone.floor / round.floor),
            told,
        })
    }
}

fn measure_all<P: Source>(
    criterion: &mut Criterion,
    cores: &Cores,
    client: &'static str,
    provider: &P,
    connected: &Connected<P::Client>,
) -> Vec<Row> {
    let mut rows = Vec::new();
    for size in SIZES {
        let objects = objects(size);
        let subjects = Subjects {
            manager: &Managed::standing(provider, &connected.clusters, &objects),
            floor: &Floor::standing(connected, &objects),
            one_lock: &OneLock::standing(connected, &objects),
            objects: &objects,
        };
        rows.extend([1, 2].into_iter().filter_map(|threads| subjects.measure(criterion, cores, client, threads)));
    }
    rows
}

fn table(rows: &[Row]) -> String {
    let mut table = format!(
        "{:<12} {:<8} {:<8} {:>15} {:>8} {:>9} {:>11} {:>17} {:>20} {:>12}\n",
        "client",
        "objects",
        "threads",
        "refresh+client",
        "floor",
        "one lock",
        "over floor",
        "one lock (≥ 3.0)",
        "two threads (≥ 1.6)",
        "the floor's"
    );
    for row in rows {
        let times = |times: Option<f64>| match times {
            Some(_) if !row.told => "cannot be told".to_owned(),
            Some(times) => format!("{times:.2}"),
            None => String::new(),
        };
        writeln!(
            table,
            "{:<12} {:<8} {:<8} {:>12.0} ns {:>5.0} ns {:>6.0} ns {:>11.2} {:>17.1} {:>20} {:>12}",
            row.client,
            row.objects,
            row.threads,
            row.manager_ns,
            row.floor_ns,
            row.one_lock_ns,
            row.over_floor,
            row.against_one_lock,
            times(row.two_threads),
            times(row.two_threads_of_floor),
        )
        .expect("a string takes all");
    }
    table
}

/// Whether the budget holds. On a busy machine a timing says no more than this.
fn verdict(rows: &[Row]) -> &'static str {
    let budget = || rows.iter().filter(|row| row.client == CLIENTS[0]);
    if !budget().filter(|row| row.told).all(Row::holds) {
        "the budget of kube::Client does NOT hold in this run; was the machine busy?"
    } else if budget().count() < 2 * SIZES.len() {
        "whether the budget of kube::Client holds cannot be told: not all of it was measured"
    } else if !budget().all(|row| row.told) {
        "whether the budget of kube::Client holds cannot be told: two cores with a common cache were seldom free"
    } else {
        "the budget of kube::Client holds"
    }
}

fn target() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is in the workspace");
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from)
}

#[expect(clippy::print_stdout, reason = "a bench reports to whoever runs it")]
fn report(rows: &[Row]) {
    let path = target().join("bench/manager.json");
    std::fs::create_dir_all(path.parent().expect("has a parent")).expect("the target directory can be written");
    let verdict = verdict(rows);
    std::fs::write(&path, serde_json::json!({ "rows": rows, "verdict": verdict }).to_string())
        .expect("the target directory can be written");
    println!("\n{}\n{verdict}", table(rows));
    println!("saved as {}", path.display());
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(100)
        .nresamples(10_000)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(4))
        .without_plots()
        .configure_from_args();
    let cores = Cores::of_this_machine();
    let fleet = fleet::Connections::new();
    let mut rows = measure_all(&mut criterion, &cores, CLIENTS[0], &fleet.fleet, &fleet.connected);
    let handles = Connected::handles(|| Arc::<str>::from("client"));
    rows.extend(measure_all(&mut criterion, &cores, CLIENTS[1], &Provider::of(&handles), &handles));
    criterion.final_summary();
    if std::env::args().any(|argument| argument == "--bench") {
        report(&rows);
    }
}
