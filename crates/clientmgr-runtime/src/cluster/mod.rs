//! The `Cluster` resource: how a hub declares a cluster, and what its status says of the connection.
//!
//! What must not live here: connecting a cluster. The controller does that.

mod conditions;
mod spec;
mod status;

#[cfg(test)]
mod tests;

pub use self::conditions::{ConditionType, find_condition};
pub use self::spec::{
    Cluster, ClusterSpec, Connection, ConnectionKind, ContextConnection, DockerConnection, Impersonation,
    InClusterConnection, KubeconfigConnection, SecretKeyRef,
};
pub use self::status::ClusterStatus;
