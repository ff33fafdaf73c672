//! How long to wait after a failed attempt: exponential, with full jitter, by the class of the failure.

use std::time::Duration;

use super::event::Class;

/// After this many doublings the delay no longer grows.
const DOUBLINGS: u32 = 10;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure and returns the delay until the next attempt. `jitter` is a random number below 1,000.
    pub(super) fn after(&mut self, class: Class, jitter: u32) -> Duration {
        let doublings = self.failures.min(DOUBLINGS);
        self.failures = self.failures.saturating_add(1);
        let (base, limit) = limits(class);
        let ceiling = base.saturating_mul(1 << doublings).min(limit);
        let jittered = base / 2 + ceiling.saturating_sub(base / 2) * jitter / 1_000;
        match class {
            // A proxy may throttle for minutes what is no load.
            Class::Throttled { retry_after: Some(asked) } => asked.min(limit) + base * jitter / 1_000,
            _ => jittered,
        }
    }
}

/// The first delay and the longest one.
fn limits(class: Class) -> (Duration, Duration) {
    match class {
        // Only a change helps, and that is announced. A file may come back without a notice.
        Class::Config => (Duration::from_secs(60), Duration::from_secs(300)),
        Class::Unauthorized | Class::Throttled { .. } => (Duration::from_secs(1), Duration::from_secs(60)),
        Class::Transport | Class::Other => (Duration::from_millis(500), Duration::from_secs(30)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Backoff, limits};
    use crate::fleet::member::event::Class;

    const CLASSES: [Class; 5] =
        [Class::Config, Class::Unauthorized, Class::Throttled { retry_after: None }, Class::Transport, Class::Other];

    #[test]
    fn the_ceiling_doubles_to_the_limit_of_its_class() {
        for class in CLASSES {
            let (base, limit) = limits(class);
            let mut backoff = Backoff::default();
            for failures in 0..40 {
                let ceiling = base.saturating_mul(1 << failures.min(10)).min(limit);
                let delay = backoff.after(class, 999);
                assert!(delay <= ceiling && delay >= ceiling * 9 / 10, "{class:?}: {delay:?} after {failures}");
            }
            assert_eq!(backoff.failures, 40);
        }
    }

    #[test]
    fn jitter_spreads_over_the_whole_delay_and_never_to_nothing() {
        for class in CLASSES {
            let mut backoff = Backoff { failures: 5 };
            let least = backoff.after(class, 0);
            assert_eq!(least, limits(class).0 / 2);
            assert!(least > Duration::ZERO);
        }
    }

    #[test]
    fn a_server_is_left_alone_as_long_as_it_asks() {
        let asked = Duration::from_secs(17);
        let mut backoff = Backoff::default();
        let delay = backoff.after(Class::Throttled { retry_after: Some(asked) }, 500);
        assert!(delay >= asked && delay < asked + Duration::from_secs(1));
    }

    #[test]
    fn a_server_that_asks_for_minutes_is_left_alone_for_one() {
        let class = Class::Throttled { retry_after: Some(Duration::from_secs(300)) };
        assert_eq!(Backoff::default().after(class, 0), Duration::from_secs(60));
    }

    #[test]
    fn a_success_begins_anew() {
        let mut backoff = Backoff { failures: 9 };
        backoff.reset();
        assert_eq!((backoff.failures, backoff.after(Class::Transport, 999) < Duration::from_millis(501)), (0, true));
    }
}
