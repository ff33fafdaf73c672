//! How requests get in: the socket with TLS and HTTP, or a tower service without one.

pub(crate) mod listen;
mod silence;
pub(crate) mod socketless;
