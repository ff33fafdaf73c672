//! How objects are shown: one by one, in lists, tables and watches, and in discovery.

pub(super) mod discovery;
pub(super) mod list;
pub(super) mod openapi;
mod partial;
mod representation;
pub(super) mod selection;
mod table;
pub(crate) mod watch;
