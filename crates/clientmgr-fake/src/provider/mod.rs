//! The fake provider: serves what a test told it to, and holds its answers back when a test wants a race.
//!
//! What must not live here: Kubernetes, a runtime, a clock. The fake works under any executor.

mod error;
mod fake;
mod gate;
mod gated;
mod traffic;

pub use self::error::EmptyKeyError;
pub use self::fake::FakeClientProvider;
pub use self::gate::{Gate, Hold};
pub use self::gated::Gated;

/// A cluster object as a cache has it, taken from the fake by [`FakeClientProvider::cluster`].
///
/// One that was taken before a change is the stale cache; one taken after it is the fresh one.
pub type FakeCluster = clientmgr_core::ObservedCluster;
