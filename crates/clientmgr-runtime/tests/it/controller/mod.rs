//! The controller of the `Cluster` resource: a hub, remote clusters, and the requests that the hub sees.

mod bursts;
mod connecting;
mod dependants;
mod errors;
pub(crate) mod fixture;
mod lifecycle;
mod others;
pub(crate) mod reader;
mod replicas;
mod rotation;
mod short_way;
