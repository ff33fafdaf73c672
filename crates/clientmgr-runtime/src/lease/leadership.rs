//! [`Leadership`]: whether this replica is the leader, as its users ask.

use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

/// Whether this replica is the leader. Cheap to clone.
///
/// # Examples
///
/// ```
/// use clientmgr_runtime::lease::Leadership;
///
/// async fn write_as_leader(mut leadership: Leadership) {
///     loop {
///         if leadership.is_leader() {
///             // Write, with the resource version that was read.
///         }
///         if !leadership.changed().await {
///             return;
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Leadership {
    term: watch::Receiver<Option<Term>>,
}

/// How long a replica is the leader, by two clocks: the monotonic clock stands still while a machine sleeps, and the wall
/// clock can be set back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Term {
    pub(super) sent: Instant,
    pub(super) sent_wall: SystemTime,
    pub(super) lasts: Duration,
}

impl Term {
    pub(super) fn is_valid_now(&self) -> bool {
        self.is_valid(Instant::now(), SystemTime::now())
    }

    fn is_valid(&self, now: Instant, wall: SystemTime) -> bool {
        let by_wall = wall.duration_since(self.sent_wall).unwrap_or_default();
        now.saturating_duration_since(self.sent).max(by_wall) < self.lasts
    }
}

impl Leadership {
    pub(super) fn new(term: watch::Receiver<Option<Term>>) -> Self {
        Self { term }
    }

    /// Returns whether this replica is the leader at this moment. Ask right before each write: the answer is not valid
    /// later.
    pub fn is_leader(&self) -> bool {
        self.term.borrow().is_some_and(|term| term.is_valid_now())
    }

    /// Waits until leadership has begun or ended since the last call. Returns false when the election has ended.
    ///
    /// # Cancel safety
    ///
    /// A dropped future loses no change.
    pub async fn changed(&mut self) -> bool {
        self.term.changed().await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use super::Term;

    #[test]
    fn a_term_ends_by_the_clock_that_ran_further() {
        let (sent, sent_wall, second) = (Instant::now(), SystemTime::now(), Duration::from_secs(1));
        let term = Term { sent, sent_wall, lasts: 10 * second };
        assert!(term.is_valid(sent + 9 * second, sent_wall + 9 * second));
        assert!(!term.is_valid(sent + 10 * second, sent_wall + 9 * second));
        // The machine slept: its monotonic clock stood still.
        assert!(!term.is_valid(sent + second, sent_wall + 3600 * second));
        // The wall clock was set back.
        assert!(term.is_valid(sent + second, sent_wall - 3600 * second));
        assert!(!term.is_valid(sent + 10 * second, sent_wall - 3600 * second));
    }
}
