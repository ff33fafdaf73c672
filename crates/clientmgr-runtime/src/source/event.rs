//! [`SourceEvent`]: what a source says of its clusters.

use clientmgr_kube::{ClusterConfig, NamespacedName};

use super::error::SourceError;

/// What a source says of its clusters. A source is a stream of these.
///
/// # Contract
///
/// - A source names each cluster by one key, and a key for one cluster.
/// - A list is `Restarted`, an `Upsert` for each cluster, `Synced`. The clusters that it lacks are removed at `Synced`, not
///   before: a list that is never completed removes nothing.
/// - `Synced` without `Restarted` says that all clusters are known, and removes nothing.
/// - A source that breaks says `Failed` and goes on trying. Its clusters stay as they are. It has recovered with the next
///   `Synced`.
/// - A stream that ends leaves its clusters as they are.
///
/// # Examples
///
/// A source of your own is any stream:
///
/// ```
/// use clientmgr_kube::ClusterConfig;
/// use clientmgr_kube::kube::config::Kubeconfig;
/// use clientmgr_runtime::source::SourceEvent;
/// use futures::stream;
///
/// let config = ClusterConfig::from_kubeconfig(&Kubeconfig::default(), "east");
/// let source = stream::iter([SourceEvent::upsert("east", Ok(config)), SourceEvent::Synced]);
/// # drop(source);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SourceEvent {
    /// A list of all clusters begins.
    Restarted,
    /// A cluster is there, or changed.
    Upsert {
        /// The key of the cluster.
        cluster: NamespacedName,
        /// How to connect it, or what is wrong with its declaration. On an error a connection that the cluster has stays in
        /// use, and the error shows in the cluster's [snapshot](clientmgr_kube::ClusterSnapshot::error).
        config: Result<ClusterConfig, SourceError>,
    },
    /// A cluster is gone.
    Remove {
        /// The key of the cluster.
        cluster: NamespacedName,
    },
    /// All clusters are known.
    Synced,
    /// The source broke: the hub cannot be reached, a file cannot be read.
    Failed(SourceError),
}

impl SourceEvent {
    /// Returns the event that a cluster is there, or changed.
    pub fn upsert(cluster: impl Into<NamespacedName>, config: Result<ClusterConfig, SourceError>) -> Self {
        Self::Upsert { cluster: cluster.into(), config }
    }

    /// Returns the event that a cluster is gone.
    pub fn remove(cluster: impl Into<NamespacedName>) -> Self {
        Self::Remove { cluster: cluster.into() }
    }
}
