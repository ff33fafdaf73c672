#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub use k8s_openapi;
pub use kube;

pub use clientmgr_core::{
    BoundError, BoundState, Cause, ClientError, ClientProvider, ClusterObject, ConnectedAt, Connection, NamespacedName,
    NextStep, ObservedCluster, ProviderError, Refresh,
};

mod bound;
mod cluster;
mod connect;
mod endpoint;
mod error;
mod fleet;
mod kubeconfig;
mod manager;
mod object;
mod requeue;

pub use self::bound::BoundStates;
pub use self::cluster::{ClusterResource, from_micro_time, to_micro_time};
pub use self::connect::Proof;
pub use self::endpoint::{Endpoint, contexts};
pub use self::error::{
    AuthProviderProblem, ConnectError, ConnectFailure, KubeconfigProblem, Material, PluginProblem, TokenProblem,
    TransportProblem, Unreached,
};
pub use self::fleet::{ClusterStatus, Fleet, FleetBuilder};
pub use self::kubeconfig::{read_kubeconfig, read_kubeconfig_from};
pub use self::manager::{AnyProvider, ClientManager};
pub use self::object::ObjectKey;
pub use self::requeue::requeue_after;

/// The example on the project's front page.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct ProjectReadme;
