#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub use async_trait::async_trait;

mod bound;
mod cluster;
mod connected_at;
mod entries;
mod error;
mod key;
mod manager;
mod provider;
mod revision;
mod rules;
mod sharded;
#[cfg(feature = "serde")]
mod wire;

pub use self::bound::{BoundError, BoundState, BoundStates};
pub use self::cluster::{ClusterObject, ObservedCluster};
pub use self::connected_at::{ConnectedAt, ConnectedAtSource, ParseConnectedAtError};
pub use self::error::{Cause, ClientError, NextStep, ProviderError};
pub use self::key::{Key, NamespacedName, ParseNamespacedNameError};
pub use self::manager::ClientManager;
pub use self::provider::{ClientProvider, Connection, DynProvider};
pub use self::revision::{Ordered, Revision, Unordered};
pub use self::rules::Refresh;
