//! Requeue: the objects that depend on a cluster are reconciled when it changes.
//!
//! [`Dependants`] keeps an index from clusters to objects, current by the watch events of the objects. Its streams feed
//! a kube-runtime `Controller`. [`connection_changes`] is the usual source of changes: a fleet's clusters that appear, are
//! replaced, lost or recover. Decisions are in `index`, `pending` and `connection`; the streams around them are thin.

mod changes;
mod connection;
mod dependants;
mod index;
mod pending;

#[cfg(all(test, feature = "unstable-runtime"))]
mod log_tests;

pub use self::changes::Changes;
pub use self::connection::connection_changes;
pub use self::dependants::{Dependants, requeue_all};

pub(crate) use self::pending::Pending;
