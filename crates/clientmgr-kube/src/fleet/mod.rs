//! [`Fleet`]: the connections to many clusters, behind one handle. One task for each cluster keeps its connection.

mod builder;
mod clock;
mod connector;
mod context;
mod events;
mod explanation;
#[cfg(test)]
mod fresh_tests;
mod handle;
mod handles;
#[cfg(test)]
mod hanging_files_tests;
mod history;
mod member;
#[cfg(test)]
mod outage_tests;
mod registry;
mod shared;
#[cfg(feature = "simulated")]
pub mod simulated;
mod snapshot;
mod timing;
mod transition;

pub use self::builder::FleetBuilder;
pub use self::events::{ClusterChanges, Events};
pub use self::explanation::{Explanation, TimedTransition};
pub use self::handle::{Fleet, WeakFleet};
pub use self::snapshot::{ClusterSnapshot, ConnectionState};
pub use self::transition::Transition;
