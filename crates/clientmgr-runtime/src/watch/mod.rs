//! Remote watches: one kind on the cluster of each object, bound to the revision of its connection.
//!
//! [`RemoteWatches`] keeps one watch for each cluster and revision, shared by the objects that use it. Which object may
//! use which watch is decided by clientmgr-core's rules, for each object by itself: `share` is the state that is bound to
//! an object's client, and all it does is to take part in a watch. What a watch event means is decided in `progress`.

mod error;
mod kind;
mod progress;
mod remote;
mod share;
mod task;
mod triggers;
mod users;
mod watches;

pub use self::error::{NotReady, WatchError};
pub use self::kind::{Kinds, WatchKind};
pub use self::remote::RemoteWatch;
pub use self::triggers::Triggers;
pub use self::watches::RemoteWatches;

/// The controllers of the documentation's page.
#[cfg(doctest)]
#[doc = include_str!("../../../../docs/requeue-and-watches.md")]
struct Page;
