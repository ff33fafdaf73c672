//! Allocations of a call and bytes of an object, counted by the allocator. Prints them and saves them as
//! `target/bench/memory.json`. Run it by `cargo xtask bench`. A binary of its own: counting would slow the other bench.

#[path = "support/fleet.rs"]
mod fleet;
#[path = "support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::slice;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};

use support::{Connected, Floor, Managed, Object, OneLock, Provider, Subject, Uid, objects};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// The lightest client there can be, so that nothing but the manager is counted.
type Handle = std::sync::Arc<str>;

const OBJECTS: usize = 1_000_000;
/// The budget of an object beyond its key.
const BYTES_AT_MOST: usize = 64;

fn counted<T>(work: impl FnOnce() -> T) -> (Stats, T) {
    let region = Region::new(ALLOCATOR);
    let done = work();
    (region.change(), done)
}

/// Bytes that live after `build` and did not before, per object, without the object's own key.
fn bytes_an_object<T>(key: usize, build: impl FnOnce() -> T) -> (usize, T) {
    let (stats, built) = counted(build);
    ((stats.bytes_allocated - stats.bytes_deallocated) / OBJECTS - key, built)
}

/// What a call of `client` over a fleet allocates beyond what the clone of a `kube::Client` does.
fn allocations_over_a_fleet(object: &Object) -> usize {
    let fleet = fleet::Connections::new();
    let managed = Managed::standing(&fleet.fleet, &fleet.connected.clusters, slice::from_ref(object));
    let (client, ()) = counted(|| managed.client(object));
    let (clone, _) = counted(|| fleet.connected.clients[object.cluster].clone());
    client.allocations.checked_sub(clone.allocations).expect("a call clones the client")
}

#[expect(clippy::print_stdout, reason = "a bench reports to whoever runs it")]
fn main() {
    let (connected, objects) = (Connected::handles(|| Handle::from("client")), objects(OBJECTS));
    let provider = &Provider::of(&connected);
    let (bytes, managed) =
        bytes_an_object(size_of::<Uid>(), || Managed::standing(provider, &connected.clusters, &objects));
    let (refresh, ()) = counted(|| managed.refresh(&objects[7]));
    let (client, ()) = counted(|| managed.client(&objects[7]));
    let (forgotten, ()) = counted(|| objects.iter().for_each(|object| managed.manager.forget(&object.uid)));
    assert_eq!(managed.manager.objects(), 0);
    drop(managed);
    let (floor_bytes, floor) = bytes_an_object(size_of::<Uid>(), || Floor::standing(&connected, &objects));
    let (floor_call, ()) = counted(|| floor.call(&objects[7]));
    drop(floor);
    let (one_lock_bytes, one_lock) = bytes_an_object(0, || OneLock::standing(&connected, &objects));
    let (one_lock_call, ()) = counted(|| one_lock.call(&objects[7]));

    let over_a_fleet = allocations_over_a_fleet(&objects[7]);

    println!("allocations of a call   refresh {} (0)   client {} (≤ 1)", refresh.allocations, client.allocations);
    println!("                        client over a fleet {over_a_fleet} beyond the clone of a kube::Client (≤ 1)");
    println!("                        floor {}   one lock {}", floor_call.allocations, one_lock_call.allocations);
    println!(
        "bytes an object         manager {bytes} beyond its key (≤ {BYTES_AT_MOST})   floor {floor_bytes}   one lock {one_lock_bytes}"
    );
    println!("allocations to forget   {} for {OBJECTS} objects", forgotten.allocations);

    let holds = refresh.allocations == 0 && client.allocations <= 1 && over_a_fleet <= 1 && bytes <= BYTES_AT_MOST;
    let json = serde_json::json!({
        "allocations": {
            "refresh": refresh.allocations, "client": client.allocations, "client_over_a_fleet": over_a_fleet,
            "floor": floor_call.allocations, "one_lock": one_lock_call.allocations,
        },
        "bytes_an_object": { "manager": bytes, "floor": floor_bytes, "one_lock": one_lock_bytes },
        "holds": holds,
    });
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is in the workspace");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    std::fs::create_dir_all(target.join("bench")).expect("the target directory can be written");
    std::fs::write(target.join("bench/memory.json"), json.to_string()).expect("the target directory can be written");
    println!("saved as {}", target.join("bench/memory.json").display());
    assert!(holds, "a budget is broken: see above");
}
