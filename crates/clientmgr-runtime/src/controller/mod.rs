//! The controller of the `Cluster` resource: it connects what the resources declare, and writes their status.
//!
//! `decide` is the pure decision about one Cluster, `run` the loop that carries it out.

mod announcements;
mod applying;
mod backoff;
mod builder;
mod conditions;
mod connection;
mod decide;
mod entry;
mod hub_error;
mod observed;
mod problem;
mod provider;
mod role;
mod run;
mod secret_data;
mod secrets;
mod transitions;
mod writes;

#[cfg(test)]
mod connection_tests;
#[cfg(test)]
mod decide_tests;
#[cfg(test)]
mod hub_tests;
#[cfg(test)]
mod secrets_tests;
#[cfg(test)]
mod status_tests;

pub use self::builder::{ClusterController, ClusterControllerBuilder};
pub use self::hub_error::HubError;
pub use self::problem::ConfigProblem;
pub use self::provider::{ClusterProvider, DockerCluster, NotConnected};
pub use self::role::StatusWriter;
pub use self::secrets::SecretWatch;
