//! Core's manager and bound states with Kubernetes objects for keys. Nothing is decided here, and nothing here knows how a
//! cluster is connected.

mod bound;
mod clients;
mod cluster;
#[cfg(feature = "runtime")]
mod deletions;
#[cfg(feature = "runtime")]
mod forget;
mod object;
mod provider;
mod requeue;
mod task;
#[cfg(test)]
mod testing;

pub use self::bound::BoundStates;
pub use self::clients::ClientManager;
pub use self::cluster::{ClusterObject, ResourceName, from_micro_time, to_micro_time};
#[cfg(feature = "runtime")]
pub use self::deletions::{Deletions, Watcher as DeletionWatcher};
pub use self::object::ObjectKey;
pub use self::provider::DynProvider;
#[cfg(feature = "runtime")]
pub use self::requeue::ErrorAction;
pub use self::requeue::requeue_after;
pub use self::task::BoundTask;
