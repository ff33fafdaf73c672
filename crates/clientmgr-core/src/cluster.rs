//! [`ClusterObject`]: what the caller knows of a cluster when it requests a client.

use std::borrow::Cow;

use crate::connected_at::ConnectedAt;
use crate::key::{Key, NamespacedName};
use crate::revision::Revision;

/// The hub's description of a remote cluster, as the caller has it.
///
/// It usually comes from a cache, so its revision may be old. [`ClientManager`](crate::ClientManager) detects that.
///
/// # Example
///
/// ```
/// use std::borrow::Cow;
/// use clientmgr_core::{ClusterObject, ConnectedAt, NamespacedName};
///
/// struct Cluster {
///     key: NamespacedName,
///     connected_at: Option<ConnectedAt>,
/// }
///
/// impl ClusterObject for Cluster {
///     type Key = NamespacedName;
///     type Revision = ConnectedAt;
///
///     fn key(&self) -> Cow<'_, NamespacedName> {
///         Cow::Borrowed(&self.key)
///     }
///
///     fn revision(&self) -> Option<ConnectedAt> {
///         self.connected_at
///     }
/// }
/// ```
pub trait ClusterObject {
    /// The key of a cluster, the provider's [`Key`](crate::ClientProvider::Key).
    type Key: Key;
    /// The identity of a connection, the provider's [`Revision`](crate::ClientProvider::Revision).
    type Revision: Revision;

    /// Returns the key under which the provider knows the cluster.
    fn key(&self) -> Cow<'_, Self::Key>;

    /// Returns whether this cluster has `key`.
    ///
    /// Override it where [`key`](Self::key) must build the key: then [`refresh`](crate::ClientManager::refresh) builds
    /// none. It runs under a lock, and must only compare.
    fn has_key(&self, key: &Self::Key) -> bool {
        *self.key() == *key
    }

    /// Returns the revision of the connection, as this object has it. `None` where it has none: that is equal to no
    /// revision, not even to another `None`.
    fn revision(&self) -> Option<Self::Revision>;
}

/// A cluster object that consists of a key and an observed revision.
///
/// For cluster objects of a foreign type, and for tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedCluster<K = NamespacedName, R = ConnectedAt> {
    /// The key under which the provider knows the cluster.
    pub key: K,
    /// The revision of the connection as the caller last saw it.
    pub revision: Option<R>,
}

impl<K: Key, R: Revision> ClusterObject for ObservedCluster<K, R> {
    type Key = K;
    type Revision = R;

    fn key(&self) -> Cow<'_, K> {
        Cow::Borrowed(&self.key)
    }

    fn revision(&self) -> Option<R> {
        self.revision.clone()
    }
}
