//! A request as it arrives at the API, and its caller.

use bytes::Bytes;
use http::{HeaderMap, Method};

/// The largest body a request may have: the limit of a real API server.
pub(crate) const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// A request, authenticated already.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// As it came, still percent-encoded.
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) caller: Caller,
}

/// The user that makes a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) username: String,
    pub(crate) uid: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) extra: Vec<(String, Vec<String>)>,
}
