//! The index behind `Dependants` against a scan over the store, in one run: 100,000 objects on 1,000 clusters. Prints one
//! table and saves it as `target/bench/requeue.json`. Run it by `cargo xtask bench`.

use std::convert::Infallible;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clientmgr_kube::NamespacedName;
use clientmgr_runtime::requeue::Dependants;
use futures::channel::mpsc;
use futures::{FutureExt as _, StreamExt as _, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::Event;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const OBJECTS: usize = 100_000;
const CLUSTERS: usize = 1_000;
/// So many changes are timed by the index, and by the scan.
const CHANGES: usize = 5_000;
const SCANS: usize = 50;
const CLUSTER: &str = "example.com/cluster";

/// The time of one change at most, as a part of the time of a scan.
const RATIO_AT_MOST: f64 = 0.05;
/// What the index keeps for an object at most.
const BYTES_AT_MOST: f64 = 256.0;

fn cluster_name(number: usize) -> String {
    format!("cluster-{:04}", number % CLUSTERS)
}

fn object(number: usize) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.namespace = Some(format!("team-{}", number % 50));
    object.metadata.name = Some(format!("object-{number:06}"));
    object.metadata.labels = Some([(CLUSTER.to_owned(), cluster_name(number))].into());
    object
}

fn index() -> Dependants<ConfigMap> {
    Dependants::new(|object: &ConfigMap| object.labels().get(CLUSTER).map(|name| NamespacedName::from(name.as_str())))
}

/// Lets the index observe a list of these objects.
fn observe(dependants: &Dependants<ConfigMap>, objects: impl IntoIterator<Item = ConfigMap>) {
    let objects = objects.into_iter().map(Event::InitApply);
    let events = [Event::Init].into_iter().chain(objects).chain([Event::InitDone]).map(Ok::<_, Infallible>);
    let passed = dependants.observe(stream::iter(events)).count().now_or_never();
    assert_eq!(passed, Some(OBJECTS + 2));
}

/// What a mapper without an index does.
fn scan(store: &Store<ConfigMap>, cluster: &str) -> Vec<ObjectRef<ConfigMap>> {
    let dependants = store.state_filter(|object| object.labels().get(CLUSTER).is_some_and(|name| name == cluster));
    dependants.iter().map(|object| ObjectRef::from_obj(&**object)).collect()
}

fn live_heap() -> isize {
    let stats = ALLOCATOR.stats();
    let bytes = |bytes: usize| isize::try_from(bytes).expect("memory is smaller");
    bytes(stats.bytes_allocated) - bytes(stats.bytes_deallocated) + stats.bytes_reallocated
}

/// The median of the times of `count` calls, in microseconds.
fn median(count: usize, mut call: impl FnMut(usize)) -> f64 {
    let mut times: Vec<Duration> = (0..count)
        .map(|number| {
            let begun = Instant::now();
            call(number);
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

#[expect(clippy::cast_precision_loss, reason = "memory has fewer bytes than a float has places")]
#[expect(clippy::print_stdout, reason = "a bench reports to its user")]
fn measure() {
    let (store, mut writer) = reflector::store();
    let objects: Vec<_> = (0..OBJECTS).map(object).collect();
    writer.apply_watcher_event(&Event::Init);
    for object in &objects {
        writer.apply_watcher_event(&Event::InitApply(object.clone()));
    }
    writer.apply_watcher_event(&Event::InitDone);

    let dependants = index();
    let begun = Instant::now();
    observe(&dependants, objects);
    let listed = begun.elapsed().as_secs_f64() * 1e3;
    // Once more, by an index of its own: what was made before and is kept does not count.
    let before = live_heap();
    let another = index();
    observe(&another, (0..OBJECTS).map(object));
    let bytes = (live_heap() - before) as f64 / OBJECTS as f64;
    drop(another);

    let (change, changes) = mpsc::unbounded::<NamespacedName>();
    let mut requeue = dependants.requeue(changes);
    let by_index = median(CHANGES, |number| {
        change.unbounded_send(cluster_name(number * 7).as_str().into()).expect("the stream is there");
        let mut found = 0;
        while let Some(Some(object)) = requeue.next().now_or_never() {
            black_box(object);
            found += 1;
        }
        assert_eq!(found, OBJECTS / CLUSTERS);
    });
    let by_scan = median(SCANS, |number| {
        assert_eq!(black_box(scan(&store, &cluster_name(number * 7))).len(), OBJECTS / CLUSTERS);
    });
    let ratio = by_index / by_scan;
    println!("{OBJECTS} objects on {CLUSTERS} clusters");
    println!("one cluster changes     index {by_index:.1} µs   scan {by_scan:.1} µs   {ratio:.4} (≤ {RATIO_AT_MOST})");
    println!("bytes an object         {bytes:.0} (≤ {BYTES_AT_MOST})");
    println!("to list all             {listed:.0} ms");

    let holds = ratio <= RATIO_AT_MOST && bytes <= BYTES_AT_MOST;
    let json = serde_json::json!({
        "change_us": { "index": by_index, "scan": by_scan }, "bytes_an_object": bytes, "list_ms": listed, "holds": holds,
    });
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is in the workspace");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    std::fs::create_dir_all(target.join("bench")).expect("the target directory can be written");
    std::fs::write(target.join("bench/requeue.json"), json.to_string()).expect("the target directory can be written");
    println!("saved as {}", target.join("bench/requeue.json").display());
    assert!(holds, "a budget is broken: see above");
}

fn main() {
    if std::env::args().any(|argument| argument == "--bench") {
        measure();
    }
}
