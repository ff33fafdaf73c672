//! The error of a wait for a request that did not come.

use std::{fmt, time::Duration};

use crate::control::{
    record::RequestRecord,
    requests::{LogFilter, Requests},
};

/// How many requests of the log the error shows.
const SHOWN: usize = 10;

/// No matching request came in time. The message shows the last requests of the log. `Debug` is this message too, since it
/// is what a test prints that returns the error.
#[non_exhaustive]
pub struct NoSuchRequest {
    limit: Duration,
    filter: Requests<LogFilter>,
    last: Vec<RequestRecord>,
}

impl NoSuchRequest {
    /// The error of a wait for `filter`, with the requests that came.
    pub(crate) fn new(limit: Duration, filter: Requests<LogFilter>, mut requests: Vec<RequestRecord>) -> Self {
        let last = requests.split_off(requests.len().saturating_sub(SHOWN));
        Self { limit, filter, last }
    }
}

impl fmt::Display for NoSuchRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no request within {:?}: {}; ", self.limit, self.filter)?;
        if self.last.is_empty() {
            return f.write_str("the log is empty");
        }
        f.write_str("the last requests were:")?;
        self.last.iter().try_for_each(|request| write!(f, "\n  {request}"))
    }
}

impl fmt::Debug for NoSuchRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for NoSuchRequest {}
