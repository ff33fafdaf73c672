//! The time of day of a server: one clock for its objects and its log.

use jiff::Timestamp;
use tokio::time::Instant;

/// A time of day that passes as tokio's clock does: it stops where a test pauses that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Timestamp,
    started: Instant,
}

impl Clock {
    /// A clock that shows `start` now.
    pub(crate) fn starting_at(start: Timestamp) -> Self {
        Self { start, started: Instant::now() }
    }

    /// The time of day.
    pub(crate) fn now(&self) -> Timestamp {
        self.start + self.started.elapsed()
    }
}
