//! [`Settings`]: what all transports of a fleet have in common.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use jiff::Timestamp;

use super::tls::TlsCache;
use crate::work::Tasks;

/// The wall clock. Tests set their own.
pub(crate) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The settings of transports and switches. Cheap to clone; clones share the TLS cache.
#[derive(Clone)]
pub(crate) struct Settings {
    /// The `User-Agent` of all requests.
    pub(crate) user_agent: HeaderValue,
    /// How long a TCP connection and its TLS handshake may take together.
    pub(crate) connect_timeout: Duration,
    /// How long an unused connection stays open.
    pub(crate) idle_timeout: Duration,
    /// How often the server of an HTTP/2 connection is asked whether it is there, also while no request is open.
    pub(crate) ping_interval: Duration,
    /// How long it may take to answer.
    pub(crate) ping_timeout: Duration,
    /// Whether HTTP/2 is offered.
    pub(crate) http2: bool,
    /// How long a request waits for newer credentials after a 401.
    pub(crate) credentials_deadline: Duration,
    pub(crate) clock: Clock,
    pub(crate) tls: Arc<TlsCache>,
    pub(crate) tasks: Tasks,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            user_agent: HeaderValue::from_static(concat!("clientmgr-kube/", env!("CARGO_PKG_VERSION"))),
            connect_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(90),
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(15),
            http2: true,
            credentials_deadline: Duration::from_secs(10),
            clock: Arc::new(Timestamp::now),
            tls: Arc::default(),
            tasks: Tasks::default(),
        }
    }
}
