//! [`WatchKind`]: what a kind must be to be watched.

use std::fmt::Debug;
use std::hash::Hash;

use kube::Resource;
use serde::de::DeserializeOwned;

/// A kind that can be watched and stored: what kube-runtime's `watcher` and `reflector` ask for.
///
/// Implemented for every such type, also for a `DynamicObject`, whose kind is known only at run time.
pub trait WatchKind:
    Resource<DynamicType: Eq + Hash + Clone + Debug + Send + Sync + Unpin>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> WatchKind for K where
    K: Resource<DynamicType: Eq + Hash + Clone + Debug + Send + Sync + Unpin>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}
