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
    /// Returns these timings.
    ///
    /// - `duration`: how long after the last seen change the others take the lease.
    /// - `renew_deadline`: how long after the last confirmed renewal the holder relies on it.
    /// - `retry`: the time between two renewals, and between two looks of those that wait.
    ///
    /// # Errors
    ///
    /// [`InvalidLeaseTimings`] unless `0 < retry < renew_deadline < duration`. So two that were swapped are always an error.
    pub fn new(duration: Duration, renew_deadline: Duration, retry: Duration) -> Result<Self, InvalidLeaseTimings> {
        let is_ordered = Duration::ZERO < retry && retry < renew_deadline && renew_deadline < duration;
        if is_ordered {
            Ok(Self { duration, renew_deadline, retry })
        } else {
            Err(InvalidLeaseTimings { duration, renew_deadline, retry })
        }
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

/// The timings of a lease contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "retry ({retry:?}) must be more than zero and less than renew_deadline ({renew_deadline:?}), and that less than \
     duration ({duration:?})"
)]
#[non_exhaustive]
pub struct InvalidLeaseTimings {
    /// How long after the last seen change the others would take the lease.
    pub duration: Duration,
    /// How long after the last confirmed renewal the holder would rely on it.
    pub renew_deadline: Duration,
    /// The time between two renewals.
    pub retry: Duration,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::LeaseTimings;

    #[test]
    fn timings_that_are_swapped_or_equal_or_zero_are_an_error_that_names_them() {
        let timings = |duration, renew_deadline, retry| {
            let seconds = Duration::from_secs;
            LeaseTimings::new(seconds(duration), seconds(renew_deadline), seconds(retry))
        };
        assert_eq!(timings(15, 10, 2), Ok(LeaseTimings::default()));
        for (duration, renew_deadline, retry) in
            [(10, 15, 2), (2, 10, 15), (15, 2, 10), (10, 2, 15), (2, 15, 10), (15, 15, 2), (15, 10, 10), (15, 10, 0)]
        {
            timings(duration, renew_deadline, retry).unwrap_err();
        }
        assert_eq!(
            timings(10, 15, 2).unwrap_err().to_string(),
            "retry (2s) must be more than zero and less than renew_deadline (15s), and that less than duration (10s)"
        );
    }
}
