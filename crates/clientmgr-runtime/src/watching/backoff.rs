//! [`WatchBackoff`]: how long to wait after an error of a watch. Pure but for the clock.

use std::time::Duration;

use tokio::time::Instant;

/// A backoff with full jitter, which begins anew after a time without an error. kube's own is for clusters with thousands of
/// clients: it waits up to 30 s after an outage, and begins anew only after two minutes without an error, while a load
/// balancer may cut a watch each minute.
#[derive(Default)]
pub(crate) struct WatchBackoff {
    failures: u32,
    /// When the last pause ends.
    resumed: Option<Instant>,
}

/// The longest first pause, and the longest of all.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// How long a watch is open before the next cut counts as the first one.
pub(super) const OPEN: Duration = Duration::from_secs(30);

impl WatchBackoff {
    /// Returns how long to wait after another error.
    pub(crate) fn pause(&mut self) -> Duration {
        if self.resumed.is_some_and(|at| at.elapsed() >= OPEN) {
            self.failures = 0;
        }
        let (first, longest) = PAUSES;
        let most = first.saturating_mul(2_u32.saturating_pow(self.failures)).min(longest);
        self.failures = self.failures.saturating_add(1);
        let pause = most.mul_f64(fastrand::f64());
        self.resumed = Some(Instant::now() + pause);
        pause
    }
}

/// Returns a random time between half of `pause` and `pause`: all that waits for a hub fails at the same moment.
pub(crate) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5_f64.mul_add(fastrand::f64(), 0.5))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::WatchBackoff;

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_is_cut_each_minute_resumes_within_a_second_and_one_that_is_refused_within_ten() {
        let mut backoff = WatchBackoff::default();
        for _ in 0..10 {
            let pause = backoff.pause();
            assert!(pause <= Duration::from_secs(1), "{pause:?}");
            tokio::time::advance(pause + Duration::from_secs(60)).await;
        }
        // One that is cut at once is tried less and less often.
        let pauses = std::array::from_fn::<_, 50, _>(|_| backoff.pause());
        let longest = pauses.iter().max().unwrap();
        assert!((Duration::from_secs(2)..=Duration::from_secs(10)).contains(longest), "{pauses:?}");
    }
}
