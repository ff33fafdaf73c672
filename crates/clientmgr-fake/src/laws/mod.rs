//! The staleness rules as tests, for any provider.
//!
#![doc = include_str!("../../LAWS.md")]
// What must not live here: anything that knows how a provider or a manager works inside. A law sees what a caller sees.

mod adapters;
#[doc(hidden)]
pub mod bound;
mod fake_setup;
mod macros;
#[doc(hidden)]
pub mod manager;
mod passed_on;
mod polling;
mod probe;
#[doc(hidden)]
pub mod provider;
mod run;
mod setup;
mod subject;

pub use self::fake_setup::FakeSetup;
pub use self::setup::{ClientOf, KeyOf, ProviderSetup, RevisionOf};

/// What the macros expand to, and what this crate's tests of the laws use. It may change in any release.
#[doc(hidden)]
pub mod unstable {
    pub use super::adapters::{Bound, Managed};
    pub use super::probe::Probe;
    pub use super::run::{DEADLINE, run};
    pub use super::subject::{BoundSetup, Manager, ManagerSetup, States};
    pub use super::{bound, manager, provider};
}
