//! Leader election by a `Lease`: which of several replicas writes.
//!
//! The decision is a pure state machine (`machine`), the rest is a thin shell around it (`election`).

mod election;
mod leadership;
mod machine;
mod record;
mod timings;

#[cfg(test)]
mod machine_tests;
#[cfg(test)]
mod simulation;

pub use self::election::LeaderElection;
pub use self::leadership::Leadership;
pub use self::timings::{InvalidLeaseTimings, LeaseTimings};
