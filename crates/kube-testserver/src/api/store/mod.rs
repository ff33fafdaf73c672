//! What the cluster holds: objects, their history, and the lock around them.

pub(super) mod change;
mod encode;
pub(super) mod form;
pub(super) mod objects;
pub(super) mod shared;
