//! [`Entry`]: what the controller keeps of one `Cluster`.

use std::sync::Arc;

use clientmgr_kube::{ClusterConfig, ConnectedAt, NamespacedName};
use kube::ResourceExt as _;
use tokio::time::Instant;

use super::connection::Desired;
use crate::cluster::Cluster;

/// What the controller keeps of one `Cluster`.
pub(super) struct Entry {
    /// The newest version that is known: by the watch, or as the answer to a write.
    pub(super) cluster: Arc<Cluster>,
    /// The Secret that it refers to.
    pub(super) secret: Option<NamespacedName>,
    pub(super) desired: Desired,
    /// The configuration that the fleet was given last, without an incarnation.
    pub(super) applied: Option<ClusterConfig>,
    pub(super) is_resetting: bool,
    pub(super) reset_to: Option<ConnectedAt>,
    pub(super) is_writing: bool,
    /// When to write the status.
    pub(super) write_at: Option<Instant>,
    /// How many writes failed in a row.
    pub(super) failures: u32,
}

impl Entry {
    pub(super) fn new(cluster: Arc<Cluster>, secret: Option<NamespacedName>, desired: Desired) -> Self {
        Self {
            cluster,
            secret,
            desired,
            applied: None,
            is_resetting: false,
            reset_to: None,
            is_writing: false,
            write_at: None,
            failures: 0,
        }
    }

    /// Whether `other` is an older version of the same object than the one that is known: a watch may be behind the
    /// answers to writes.
    pub(super) fn is_newer_than(&self, other: &Cluster) -> bool {
        let version = |cluster: &Cluster| cluster.resource_version().and_then(|version| version.parse::<u64>().ok());
        match (version(&self.cluster), version(other)) {
            (Some(known), Some(other)) => other < known,
            _ => false,
        }
    }
}
