//! [`WatchKind`]: what a kind must be to be watched. [`Kinds`]: the two kinds of remote watches.

use std::fmt::{self, Debug};
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

/// The kinds of [`RemoteWatches`](super::RemoteWatches), where one of them is known only at run time: a
/// `DynamicObject`, say.
pub struct Kinds<O: Resource, K: Resource> {
    /// The kind of the objects that the controller reconciles; `()` for a type of its own.
    pub objects: O::DynamicType,
    /// The kind that is watched on the clusters; `()` for a type of its own.
    pub watched: K::DynamicType,
}

impl<O, K> Default for Kinds<O, K>
where
    O: Resource<DynamicType: Default>,
    K: Resource<DynamicType: Default>,
{
    fn default() -> Self {
        Self { objects: O::DynamicType::default(), watched: K::DynamicType::default() }
    }
}

impl<O, K> Debug for Kinds<O, K>
where
    O: Resource<DynamicType: Debug>,
    K: Resource<DynamicType: Debug>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kinds").field("objects", &self.objects).field("watched", &self.watched).finish()
    }
}
