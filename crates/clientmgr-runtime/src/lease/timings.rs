//! [`LeaseTimings`]: how long a lease lasts, and how long its holder relies on it.

use std::time::Duration;

/// How long a lease lasts, and how long its holder relies on it.
///
/// The holder stops relying on the lease [`renew_deadline`](Self::renew_deadline) after it *sent* the last renewal that
/// was confirmed. The others take the lease [`duration`](Self::duration) after they *saw* its last change, each by its own
/// monotonic clock. So at no time do two replicas believe to be the leader, as long as no clock runs faster than another
/// by more than `duration / renew_deadline`: 1.5 by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimings {
    pub(super) duration: Duration,
    pub(super) renew_deadline: Duration,
    pub(super) retry: Duration,
}

impl Default for LeaseTimings {
    /// 15 s, 10 s and 2 s, as the controllers of Kubernetes have them.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { duration: seconds(15), renew_deadline: seconds(10), retry: seconds(2) }
    }
}

impl LeaseTimings {
    /// Returns `None` unless `0 < retry < renew_deadline < duration`.
    ///
    /// - `duration`: how long after the last seen change the others take the lease.
    /// - `renew_deadline`: how long after the last confirmed renewal the holder relies on it.
    /// - `retry`: the time between two renewals, and between two looks of those that wait.
    pub fn new(duration: Duration, renew_deadline: Duration, retry: Duration) -> Option<Self> {
        let is_ordered = Duration::ZERO < retry && retry < renew_deadline && renew_deadline < duration;
        is_ordered.then_some(Self { duration, renew_deadline, retry })
    }

    /// Returns how long after the last seen change the others take the lease.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Returns how long after the last confirmed renewal the holder relies on the lease.
    pub fn renew_deadline(&self) -> Duration {
        self.renew_deadline
    }

    /// Returns the time between two renewals, and between two looks of those that wait.
    pub fn retry(&self) -> Duration {
        self.retry
    }
}
