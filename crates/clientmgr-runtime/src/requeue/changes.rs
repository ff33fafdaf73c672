//! [`Changes`]: the item of a source of changed clusters.

use clientmgr_kube::{ClusterChanges, NamespacedName};

/// The clusters that changed.
///
/// Every source of changes is a stream of what can be turned into this: a fleet's [`Events`](clientmgr_kube::Events),
/// [`connection_changes`](super::connection_changes), or the keys of cluster objects that a watcher reports.
///
/// # Examples
///
/// The cluster objects of a controller as a source:
///
/// ```
/// use clientmgr_kube::{ClusterObject, NamespacedName};
/// use futures::{Stream, StreamExt as _, future};
///
/// /// `clusters` is `watcher(…).default_backoff().touched_objects()`.
/// fn changed<C: ClusterObject, E>(clusters: impl Stream<Item = Result<C, E>>) -> impl Stream<Item = NamespacedName> {
///     clusters.filter_map(|cluster| future::ready(cluster.ok().map(|cluster| cluster.cluster_key())))
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// These clusters changed.
    Of(Vec<NamespacedName>),
    /// Any cluster may have changed.
    All,
}

impl From<NamespacedName> for Changes {
    fn from(cluster: NamespacedName) -> Self {
        Self::Of(vec![cluster])
    }
}

impl From<ClusterChanges> for Changes {
    fn from(changes: ClusterChanges) -> Self {
        match changes {
            ClusterChanges::Changed(clusters) => Self::Of(clusters),
            // `Resync`, and what a later version may add: look at all.
            _ => Self::All,
        }
    }
}
