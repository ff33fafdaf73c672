//! The time of a fleet: monotonic from the runtime, wall clock injected.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// How far the wall clock may run apart from the monotonic one between two looks before that is a jump.
const JUMP: Duration = Duration::from_secs(5);

/// The time of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    /// Monotonic, since the fleet began.
    pub(crate) mono: Duration,
    /// The wall clock, since 1970.
    pub(crate) wall: Duration,
    /// A random number below 1,000.
    pub(crate) jitter: u32,
}

/// Reads both clocks.
#[derive(Clone)]
pub(crate) struct Clock {
    began: Instant,
    wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Clock {
    pub(crate) fn new(wall: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Self {
        Self { began: Instant::now(), wall }
    }

    pub(super) fn now(&self) -> Now {
        Now { mono: self.mono(), wall: since_1970(self.wall()), jitter: fastrand::u32(..1_000) }
    }

    /// The wall clock.
    pub(super) fn wall(&self) -> Timestamp {
        (self.wall)()
    }

    /// The time since the fleet began.
    pub(super) fn mono(&self) -> Duration {
        self.began.elapsed()
    }

    /// The instant that is `mono` after the fleet began.
    pub(super) fn instant(&self, mono: Duration) -> Option<Instant> {
        self.began.checked_add(mono)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").finish_non_exhaustive()
    }
}

/// The time since 1970; nothing before it.
pub(crate) fn since_1970(time: Timestamp) -> Duration {
    Duration::try_from(time.duration_since(Timestamp::UNIX_EPOCH)).unwrap_or_default()
}

/// Whether this is a runtime that keeps time. Timers panic outside of one, and there is no other way to see it.
pub(super) fn keeps_time() -> bool {
    let timer = || drop(tokio::time::sleep(Duration::ZERO));
    tokio::runtime::Handle::try_current().is_ok() && std::panic::catch_unwind(timer).is_ok()
}

/// Awaits `work` within `deadline`. None where there is no runtime to keep the time: `work` needs none to end.
pub(super) async fn timeout<T>(
    deadline: Duration,
    work: impl Future<Output = T>,
) -> Option<Result<T, tokio::time::error::Elapsed>> {
    if !keeps_time() {
        return None;
    }
    Some(tokio::time::timeout(deadline, work).await)
}

/// Whether the machine slept, or the clock was set, between two looks.
pub(super) fn jumped(earlier: Now, later: Now) -> bool {
    let mono = later.mono.saturating_sub(earlier.mono);
    let expected = earlier.wall + mono;
    expected.abs_diff(later.wall) > JUMP
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Now, jumped};

    #[test]
    fn a_clock_that_runs_on_evenly_has_not_jumped() {
        let at = |mono, wall| Now { mono: Duration::from_secs(mono), wall: Duration::from_secs(wall), jitter: 0 };
        let table = [(at(10, 1_010), false), (at(10, 1_014), false), (at(10, 1_016), true), (at(10, 1_004), true)];
        for (later, expected) in table {
            assert_eq!(jumped(at(0, 1_000), later), expected, "{later:?}");
        }
    }
}
