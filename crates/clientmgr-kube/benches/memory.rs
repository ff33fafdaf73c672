//! Allocations of a call and bytes of an object, counted by the allocator, of [`clientmgr_kube::ClientManager`] for kube
//! objects. A binary of its own: counting would slow the bench of the manager. Run it by `cargo xtask bench`.

#[path = "support/fleet.rs"]
mod fleet;
#[path = "support/subjects.rs"]
mod subjects;
#[path = "../../../benches/table.rs"]
mod table;

use std::slice;

use clientmgr_kube::{ClientProvider, ObjectKey};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};

use fleet::Connected;
use subjects::{Managed, OneLock, Subject, connected, keys, objects, ready};
use table::{Row, report};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const OBJECTS: usize = 1_000_000;

fn counted<T>(work: impl FnOnce() -> T) -> (Stats, T) {
    let region = Region::new(ALLOCATOR);
    let done = work();
    (region.change(), done)
}

#[expect(clippy::cast_precision_loss, reason = "memory has fewer bytes than a float has places")]
fn float(number: usize) -> f64 {
    number as f64
}

/// Bytes that live after `build` and did not before, per object.
fn bytes_an_object<T>(build: impl FnOnce() -> T) -> (f64, T) {
    let (stats, built) = counted(build);
    let live = float(stats.bytes_allocated) - float(stats.bytes_deallocated);
    (live / float(OBJECTS), built)
}

fn measure() -> Vec<Row> {
    let connections = Connected::new();
    let (clusters, held) = connected(&connections.fleet);
    let objects = objects(OBJECTS);
    let (bytes, managed) = bytes_an_object(|| Managed::standing(&connections.fleet, &clusters, &objects));
    let object = &objects[7];
    let (refresh, ()) = counted(|| managed.refresh(object));
    let (client, ()) = counted(|| managed.client(object));
    for object in &objects {
        managed.manager.forget(&object.object);
    }
    let left = managed.manager.objects();
    drop(managed);
    let (one_lock_bytes, one_lock) = bytes_an_object(|| OneLock::standing(&clusters, &held, &objects));
    let (one_lock_call, ()) = counted(|| one_lock.call(object));
    drop(one_lock);
    // What the key and the provider's answer take, which any call needs.
    let key = keys().nth(object.cluster).expect("a cluster");
    let (making_key, _) = counted(|| clientmgr_kube::NamespacedName::new(key.namespace(), key.name()));
    let (cloning, _) = counted(|| held[object.cluster].client.clone());
    let (asking, _) = counted(|| ready(connections.fleet.connection(&key)));
    let needed = making_key.allocations + asking.allocations.max(cloning.allocations);
    // An entry of a single object, so that nothing is counted that a million share.
    let single = Managed::standing(&connections.fleet, &clusters, slice::from_ref(object));
    let (first_refresh, ()) = counted(|| single.refresh(object));
    vec![
        Row::new(
            "allocations of a refresh",
            "",
            float(refresh.allocations.max(first_refresh.allocations)),
            None,
            ..=0.0,
        ),
        Row::new(
            "allocations of a client, beyond key and provider",
            "",
            float(client.allocations.saturating_sub(needed)),
            None,
            ..=1.0,
        ),
        Row::new(
            "allocations of the one-lock manager / refresh + client",
            "",
            float(one_lock_call.allocations),
            float(refresh.allocations + client.allocations),
            1.0..,
        ),
        Row::new(
            format!("bytes an object of {OBJECTS}, beyond its key"),
            "B",
            bytes - float(size_of::<ObjectKey>()),
            None,
            ..=64.0,
        ),
        Row::new(format!("bytes an object of {OBJECTS} / one-lock manager"), "B", bytes, one_lock_bytes, ..=1.0),
        Row::new("entries left after all objects were forgotten", "", float(left), None, ..=0.0),
    ]
}

fn main() {
    if std::env::args().any(|argument| argument == "--bench") {
        report("memory", &measure());
    }
}
