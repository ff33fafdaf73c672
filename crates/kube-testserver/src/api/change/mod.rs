//! Changes of the store: creates, updates, deletes, and what follows from each.

pub(super) mod definitions;
pub(super) mod delete;
mod names;
mod problems;
pub(super) mod write;
