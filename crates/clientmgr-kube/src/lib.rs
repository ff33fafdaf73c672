#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub use k8s_openapi;
pub use kube;

pub use clientmgr_core::{
    BoundError, BoundState, Cause, ClientError, ClientProvider, ConnectedAt, Connection, NamespacedName, NextStep,
    ObservedCluster, ProviderError, Refresh,
};

mod connect;
mod endpoint;
mod error;
mod fleet;
mod kubeconfig;
mod manager;

pub use self::connect::Proof;
pub use self::endpoint::{Endpoint, contexts};
pub use self::error::{
    AuthProviderProblem, ConnectError, ConnectFailure, KubeconfigProblem, Material, PluginProblem, TokenProblem,
    TransportProblem, Unreached,
};
pub use self::fleet::{ClusterStatus, Fleet, FleetBuilder};
pub use self::kubeconfig::{read_kubeconfig, read_kubeconfig_from};
#[cfg(feature = "runtime")]
pub use self::manager::ErrorAction;
pub use self::manager::{
    BoundStates, BoundTask, ClientManager, ClusterObject, DynProvider, ObjectKey, ResourceName, from_micro_time,
    requeue_after, to_micro_time,
};

/// The example on the project's front page.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct ProjectReadme;
