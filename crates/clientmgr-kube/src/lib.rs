#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub use k8s_openapi;
pub use kube;

pub use clientmgr_core::{
    BoundError, BoundState, Cause, ClientError, ClientProvider, ClusterObject, ConnectedAt, Connection, NamespacedName,
    NextStep, ObservedCluster, ProviderError, Refresh,
};

mod auth;
mod bound;
mod client;
mod cluster;
mod config;
mod error;
mod fleet;
mod manager;
mod object;
mod probe;
mod requeue;
mod work;

pub use self::bound::BoundStates;
pub use self::client::{Revoked, RevokedReason};
pub use self::cluster::{ClusterResource, from_micro_time, to_micro_time};
pub use self::config::{
    ClusterConfig, ClusterIdentity, Incarnation, InvalidIdentity, Policy, contexts, read_kubeconfig,
    read_kubeconfig_from,
};
pub use self::error::{ConnectError, ConnectErrorKind};
pub use self::fleet::{ClusterChanges, ClusterSnapshot, ConnectionState, Events, Fleet, FleetBuilder};
pub use self::manager::{AnyProvider, ClientManager};
pub use self::object::ObjectKey;
pub use self::requeue::requeue_after;

/// The example on the project's front page.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct ProjectReadme;
