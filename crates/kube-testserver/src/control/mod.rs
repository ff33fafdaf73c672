//! What a test controls and observes: faults, denials, open watches, and the request log.

pub(crate) mod denials;
pub(crate) mod faults;
pub(crate) mod injected;
pub(crate) mod log;
pub(crate) mod no_such_request;
pub(crate) mod open_watches;
pub(crate) mod record;
pub(crate) mod requests;
