//! [`Deadline`]: a time limit that several steps share. Errors say the limit as it was set and not what was left of it,
//! so that a failure that lasts reads the same each time.

use std::time::Duration;

use tokio::time::Instant;

/// How long the steps of an attempt may take together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    limit: Duration,
    since: Instant,
    early: Duration,
}

impl Deadline {
    /// The deadline of steps within something that has the same deadline. It passes a little early, so that it is always
    /// the step that says what hangs, so the error is always the same.
    pub(crate) fn within(limit: Duration) -> Self {
        const EARLY: Duration = Duration::from_millis(100);
        Self { early: EARLY.min(limit / 20), ..Self::from(limit) }
    }

    /// The limit as it was set.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// What is left.
    pub(crate) fn left(&self) -> Duration {
        self.limit.saturating_sub(self.early).saturating_sub(self.since.elapsed())
    }
}

impl From<Duration> for Deadline {
    /// The deadline of a single step that begins now.
    fn from(limit: Duration) -> Self {
        Self { limit, since: Instant::now(), early: Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Deadline;

    #[tokio::test(start_paused = true)]
    async fn what_is_left_shrinks_and_the_limit_does_not() {
        let deadline = Deadline::from(Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(deadline.left(), Duration::from_secs(20));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(deadline.left(), Duration::ZERO);
        assert_eq!(deadline.limit(), Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_ends_before_what_it_is_a_step_of() {
        let table = [(0, 0), (100, 95), (2_000, 1_900), (30_000, 29_900)];
        for (limit, left) in table {
            assert_eq!(Deadline::within(Duration::from_millis(limit)).left(), Duration::from_millis(left));
        }
        assert!(Deadline::within(Duration::MAX).left() > Duration::from_secs(u64::MAX / 2));
    }
}
