//! The answer to a request: whole, or a watch that goes on.

use bytes::Bytes;
use http::Response;

use crate::api::present::watch::Watch;

/// An answer.
#[derive(Debug)]
pub(crate) enum Reply {
    /// All of it.
    Whole(Response<Bytes>),
    /// A stream of frames that goes on.
    Watch(Watch),
}
