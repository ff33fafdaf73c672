//! The index behind `Dependants` against a scan over the store, in one run: 100,000 objects on 1,000 clusters, and
//! against an index of fewer clusters with as many objects each. Run it by `cargo xtask bench`.

#[path = "../../../benches/live_heap.rs"]
mod live_heap;
#[path = "../../../benches/table.rs"]
mod table;

use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

use clientmgr_kube::NamespacedName;
use clientmgr_runtime::requeue::Dependants;
use futures::channel::mpsc;
use futures::{FutureExt as _, StreamExt as _, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::Event;

use live_heap::live_heap;
use table::{Row, report};

const OBJECTS: usize = 100_000;
const CLUSTERS: usize = 1_000;
/// So many changes are timed by the index, and by the scan.
const CHANGES: usize = 5_000;
const SCANS: usize = 50;
const CLUSTER: &str = "example.com/cluster";

/// How many times fewer clusters, and so objects, the small index has.
const FEWER: usize = 100;

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
    assert!(passed.is_some(), "nothing waits");
}

/// What a mapper without an index does.
fn scan(store: &Store<ConfigMap>, cluster: &str) -> Vec<ObjectRef<ConfigMap>> {
    let dependants = store.state_filter(|object| object.labels().get(CLUSTER).is_some_and(|name| name == cluster));
    dependants.iter().map(|object| ObjectRef::from_obj(&**object)).collect()
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

/// The median time, in microseconds, in which the index returns the dependants of a cluster that has changed. Each of
/// `clusters` has as many.
fn by_index(dependants: &Dependants<ConfigMap>, clusters: usize) -> f64 {
    let (change, changes) = mpsc::unbounded::<NamespacedName>();
    let mut requeue = dependants.requeue(changes);
    median(CHANGES, |number| {
        change.unbounded_send(cluster_name(number * 7 % clusters).as_str().into()).expect("the stream is there");
        let mut found = 0;
        while let Some(Some(object)) = requeue.next().now_or_never() {
            black_box(object);
            found += 1;
        }
        assert_eq!(found, OBJECTS / CLUSTERS);
    })
}

#[expect(clippy::cast_precision_loss, reason = "there are fewer objects than a float has places")]
fn measure() -> Vec<Row> {
    let (store, mut writer) = reflector::store();
    let objects: Vec<_> = (0..OBJECTS).map(object).collect();
    writer.apply_watcher_event(&Event::Init);
    for object in &objects {
        writer.apply_watcher_event(&Event::InitApply(object.clone()));
    }
    writer.apply_watcher_event(&Event::InitDone);

    let dependants = index();
    observe(&dependants, objects);
    // Once more, by an index of its own: what was made before and is kept does not count.
    let before = live_heap();
    let another = index();
    observe(&another, (0..OBJECTS).map(object));
    let bytes = (live_heap() - before) / OBJECTS as f64;
    drop(another);
    // As many dependants of each cluster, and a hundredth of the clusters.
    let small = index();
    let few = (0..OBJECTS).filter(|number| number % CLUSTERS < CLUSTERS / FEWER);
    observe(&small, few.map(object));

    let (alone, indexed) = (by_index(&small, CLUSTERS / FEWER), by_index(&dependants, CLUSTERS));
    let scanned = median(SCANS, |number| {
        assert_eq!(black_box(scan(&store, &cluster_name(number * 7))).len(), OBJECTS / CLUSTERS);
    });
    vec![
        Row::new("requeue: one cluster changes, 100 of 100,000 / a scan", "µs", indexed, scanned, ..=0.05),
        Row::new("requeue: one cluster changes, 100 of 100,000 / of 1,000", "µs", indexed, alone, ..=4.0),
        Row::new("requeue: bytes an object of 100,000 in the index", "B", bytes, None, ..=256.0),
    ]
}

fn main() {
    if std::env::args().any(|argument| argument == "--bench") {
        report("requeue", &measure());
    }
}
