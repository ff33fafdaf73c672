//! The handle that a test holds: building, starting and stopping a server, and all that can be done to it.

pub(crate) mod actions;
pub(crate) mod builder;
pub(crate) mod client;
pub(crate) mod handle;
pub(crate) mod kubeconfig;
