//! Settings that do not change while the server lives.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    access::authz::Anonymous,
    pki::security::{Protocols, Security},
};

/// Settings that do not change while the server lives.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) name: String,
    /// Zero is any free one.
    pub(crate) port: u16,
    pub(crate) security: Security,
    pub(crate) protocols: Protocols,
    /// How many streams a client may have open on an HTTP/2 connection.
    pub(crate) http2_streams: u32,
    pub(crate) anonymous: Anonymous,
    pub(crate) head_timeout: Duration,
    pub(crate) log_capacity: usize,
    /// The time of day at which the server starts; the real one if there is none.
    pub(crate) starts_at: Option<Timestamp>,
}
