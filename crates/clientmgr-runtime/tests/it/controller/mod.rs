//! The controller of the `Cluster` resource: a hub, remote clusters, and the requests that the hub sees.

mod connecting;
mod errors;
mod fixture;
mod lifecycle;
mod replicas;
mod rotation;
