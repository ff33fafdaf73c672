//! What this process holds: live heap, sockets, tasks.

#![expect(unreachable_pub, reason = "a module of a bench, which has no public interface")]

use std::time::Duration;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// The bytes that are allocated now.
#[expect(clippy::cast_precision_loss, reason = "memory has fewer bytes than a float has places")]
pub fn live_heap() -> f64 {
    let stats = ALLOCATOR.stats();
    // A reallocation is counted in both already.
    stats.bytes_allocated as f64 - stats.bytes_deallocated as f64
}

/// The open sockets; none where the system does not say.
pub fn sockets() -> usize {
    let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") else { return 0 };
    let targets = descriptors.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

/// The tasks of the runtime.
pub fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Waits until `holds`; false where it does not within the deadline.
pub async fn comes_true(deadline: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(deadline, waiting).await.is_ok()
}
