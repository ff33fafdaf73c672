//! `refresh` and `client` of [`clientmgr_kube::ClientManager`] for kube objects with standing entries, over a connected
//! fleet: against a manager of the shape of the Go original, against a client rebuilt for each reconcile, and on two
//! threads against one. To clone a `kube::Client` costs more than to find it, so both managers are also compared over
//! clients that cost nothing to clone. Run it by `cargo xtask bench`.
//!
//! A machine's pace changes from one second to the next, so what is compared is measured in turns of a few milliseconds:
//! a round times all that a ratio needs. A row has the medians of the quarter of the rounds in which the baseline was
//! fastest: chosen by what the manager is compared with, never by its own times.

#[path = "support/cores.rs"]
mod cores;
#[path = "support/fleet.rs"]
mod fleet;
#[path = "support/handles.rs"]
mod handles;
#[path = "../../../benches/quantile.rs"]
mod quantile;
#[path = "support/subjects.rs"]
mod subjects;
#[path = "../../../benches/table.rs"]
mod table;

use std::hint::black_box;
use std::time::{Duration, Instant};

use clientmgr_fake::apiserver::TestServer;
use kube::config::KubeConfigOptions;
use kube::{Client, Config};

use cores::Cores;
use fleet::Connected;
use handles::Handles;
use quantile::quantile;
use subjects::{Managed, Object, OneLock, Subject, connected, objects};
use table::{Row, report};

const SIZES: [usize; 3] = [100, 10_000, 1_000_000];

/// How many calls are timed at a stretch: milliseconds, beside which starting a thread is nothing.
const CALLS: u32 = 20_000;

/// A comparison takes so many rounds, unless they take longer than this.
const ROUNDS: usize = 60;
const LONGEST: Duration = Duration::from_secs(8);

/// So many rounds of two threads must have had two cores with a common cache.
const ROUNDS_ON_TWO_CORES: usize = 8;

/// How often a client is rebuilt.
const REBUILDS: u32 = 500;

/// What a round took, in calls a microsecond.
struct Round {
    figure: f64,
    baseline: f64,
    had_cores: bool,
}

/// Measures rounds until there are enough, and returns the quiet ones, and whether the cores were there.
fn rounds(mut round: impl FnMut() -> Round) -> (Vec<Round>, bool) {
    let begun = Instant::now();
    let mut rounds = Vec::new();
    while rounds.len() < ROUNDS && begun.elapsed() < LONGEST {
        rounds.push(round());
    }
    let had_cores = rounds.iter().filter(|round| round.had_cores).count() >= ROUNDS_ON_TWO_CORES.min(rounds.len());
    rounds.retain(|round| round.had_cores || !had_cores);
    rounds.sort_by(|one, other| other.baseline.total_cmp(&one.baseline));
    rounds.truncate(rounds.len().div_ceil(4));
    (rounds, had_cores)
}

fn row(what: String, rounds: &[Round], budget: f64) -> Row {
    let median = |of: fn(&Round) -> f64| quantile(rounds.iter().map(of).collect(), 50);
    let (figure, baseline) = (median(|round| round.figure), median(|round| round.baseline));
    Row::new(what, "calls/µs", figure, baseline, budget..)
}

/// Calls a microsecond, of all threads together, where each makes [`CALLS`] of them, every one for any of the `share`
/// objects that are the thread's own: no two threads go through theirs in step.
fn speed(cores: &Cores, subject: &dyn Subject, objects: &[Object], threads: u32, share: usize) -> f64 {
    let took = cores.time(threads as usize, |thread| {
        let mine = &objects[thread * share..][..share];
        let mut random = fastrand::Rng::new();
        for _ in 0..CALLS {
            subject.call(&mine[random.usize(..share)]);
        }
    });
    f64::from(threads * CALLS) / (took.as_secs_f64() * 1e6)
}

fn measure(cores: &Cores, connections: &Connected) -> Vec<Row> {
    let (clusters, held) = connected(&connections.fleet);
    let handles = Handles::like(&held);
    let mut rows = Vec::new();
    for size in SIZES {
        let objects = objects(size);
        let manager = Managed::standing(&connections.fleet, &clusters, &objects);
        let one_lock = OneLock::standing(&clusters, &held, &objects);
        let (alone, _) = rounds(|| Round {
            figure: speed(cores, &manager, &objects, 1, size),
            baseline: speed(cores, &one_lock, &objects, 1, size),
            had_cores: true,
        });
        rows.push(row(format!("refresh + client, {size} objects / one-lock manager"), &alone, 1.0));
        let bare = Managed::standing(&handles, &clusters, &objects);
        let bare_one_lock = OneLock::standing(&clusters, &handles.0, &objects);
        let (bare, _) = rounds(|| Round {
            figure: speed(cores, &bare, &objects, 1, size),
            baseline: speed(cores, &bare_one_lock, &objects, 1, size),
            had_cores: true,
        });
        rows.push(row(format!("the same, clients that are free to clone, {size} objects"), &bare, 1.0));
        // As many objects for the thread that is alone, so that two have no easier a time of it.
        let (two, had_cores) = rounds(|| {
            let measure = || [1, 2].map(|threads| speed(cores, &manager, &objects, threads, size / 2));
            let ([baseline, figure], had_cores) = cores.on_two(measure);
            Round { figure, baseline, had_cores }
        });
        let mut two = row(format!("refresh + client, {size} objects, two threads / one"), &two, 1.6);
        if !had_cores {
            two.verdict = "not measured: two free cores were seldom there";
        }
        rows.push(two);
    }
    let objects = objects(SIZES[0]);
    let manager = Managed::standing(&connections.fleet, &clusters, &objects);
    let managed = 1.0 / speed(cores, &manager, &objects, 1, objects.len());
    let what = "refresh + client, 100 objects / a client rebuilt each time";
    rows.push(Row::new(what, "µs", managed, rebuilt(), ..=1.0));
    rows
}

/// Microseconds to build a client, as a controller does that rebuilds one for each reconcile.
#[tokio::main(flavor = "current_thread")]
async fn rebuilt() -> f64 {
    let server = TestServer::start_default().await.expect("the server starts");
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(server.kubeconfig(), &options).await.expect("a kubeconfig");
    let begun = Instant::now();
    for _ in 0..REBUILDS {
        black_box(Client::try_from(config.clone()).expect("a client"));
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(REBUILDS)
}

fn main() {
    if std::env::args().any(|argument| argument == "--bench") {
        let connections = Connected::new();
        report("manager", &measure(&Cores::of_this_machine(), &connections));
    }
}
