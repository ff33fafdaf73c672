//! The fake provider: serves what a test sets, and holds its answers back to run a race step by step.
//!
//! What must not live here: Kubernetes, a runtime, a clock. The fake works under any executor.

mod error;
mod fake;
mod gate;
mod gated;
mod traffic;

pub use self::error::EmptyKeyError;
pub use self::fake::{FakeClientProvider, FakeCluster};
pub use self::gate::{Gate, Hold};
pub use self::gated::Gated;
