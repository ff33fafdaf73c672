#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub use clientmgr_core::async_trait;
pub use k8s_openapi;
pub use kube;

pub use clientmgr_core::{
    BoundError, BoundState, Cause, ClientError, ClientProvider, ConnectedAt, Connection, NamespacedName, NextStep,
    ObservedCluster, ProviderError, Refresh,
};

mod auth;
mod client;
mod config;
mod error;
mod fleet;
mod manager;
mod metrics;
mod probe;
mod work;

pub use self::client::{Revoked, RevokedReason};
pub use self::config::{
    ClusterConfig, ClusterIdentity, Impersonation, Incarnation, InvalidIdentity, Naming, Policy, contexts,
    parse_kubeconfig, read_kubeconfig, read_kubeconfig_from,
};
pub use self::error::{ConnectError, ConnectErrorKind};
#[cfg(feature = "simulated")]
#[doc(hidden)]
pub use self::fleet::simulated;
pub use self::fleet::{
    ClusterChanges, ClusterSnapshot, ConnectionState, Events, Explanation, Fleet, FleetBuilder, TimedTransition,
    Transition, WeakFleet,
};
#[cfg(feature = "runtime")]
pub use self::manager::ErrorAction;
pub use self::manager::{
    BoundStates, BoundTask, ClientManager, ClusterObject, DynProvider, ObjectKey, ResourceName, from_micro_time,
    requeue_after, to_micro_time,
};
#[cfg(feature = "runtime")]
#[doc(hidden)]
pub use self::manager::{DeletionWatcher, Deletions};

/// The example on the project's front page.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct ProjectReadme;
