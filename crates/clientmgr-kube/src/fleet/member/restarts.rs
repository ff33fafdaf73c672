//! [`Restarts`]: how soon a member is started again whose task panicked. A source may add it again many times a second.

use std::time::Duration;

/// The delay after the second panic in a row. It doubles with each further one.
const FIRST: Duration = Duration::from_secs(1);

const LONGEST: Duration = Duration::from_secs(300);

/// A task that ran for so long begins anew.
const LONG: Duration = Duration::from_secs(600);

/// The panics of a member's tasks in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Restarts {
    panics: u32,
    began: Duration,
}

impl Restarts {
    /// Those of a task that begins at `now`, where the task `before` it panicked.
    pub(crate) fn after(before: Option<Self>, now: Duration) -> Self {
        let panics = match before {
            None => 0,
            Some(before) if now.saturating_sub(before.began) > before.delay() + LONG => 1,
            Some(before) => before.panics.saturating_add(1),
        };
        Self { panics, began: now }
    }

    /// How long the task is held back. The first panic may have been an accident.
    pub(crate) fn delay(self) -> Duration {
        match self.panics.checked_sub(2) {
            None => Duration::ZERO,
            Some(doublings) => FIRST.saturating_mul(1 << doublings.min(10)).min(LONGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LONG, Restarts};

    #[test]
    fn each_panic_in_a_row_delays_the_next_start_longer() {
        let mut restarts = Restarts::after(None, Duration::ZERO);
        let mut delays = Vec::new();
        for _ in 0..12 {
            delays.push(restarts.delay().as_secs());
            restarts = Restarts::after(Some(restarts), Duration::ZERO);
        }
        assert_eq!(delays, [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        let later = Restarts::after(Some(restarts), restarts.delay() + LONG + Duration::from_secs(1));
        assert_eq!(later.delay(), Duration::ZERO, "it ran well in between");
    }
}
