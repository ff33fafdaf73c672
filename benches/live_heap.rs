//! The heap of this process, counted by the allocator.

#![expect(unreachable_pub, reason = "a module of a bench, which has no public interface")]

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
