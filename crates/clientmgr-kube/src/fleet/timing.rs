//! When probes and renewals are due.

use std::time::Duration;

use super::clock::Now;

/// The settings of a machine that are about time and health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Timing {
    /// Between two probes of a healthy connection.
    pub(crate) probe_interval: Duration,
    /// Between a proof and the first probe, which asks for the details; up to twice as long, to spread them.
    pub(crate) first_probe: Duration,
    /// Between two probes of a connection whose last probe failed.
    pub(crate) probe_retry: Duration,
    /// Between two probes that broken connections call for.
    pub(crate) probe_spacing: Duration,
    /// After so many failed probes in a row a cluster is unavailable.
    pub(crate) failure_threshold: u32,
    /// After a failed renewal the next one is not due for so long.
    pub(crate) renewal_retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            probe_interval: Duration::from_secs(15),
            first_probe: Duration::from_secs(1),
            probe_retry: Duration::from_secs(1),
            probe_spacing: Duration::from_millis(100),
            failure_threshold: 3,
            renewal_retry: Duration::from_secs(10),
        }
    }
}

impl Timing {
    /// How long a server that is ready may go on without saying which cluster it is, though that is in doubt. Longer than
    /// most failures of an authorizer, which refuse everything.
    pub(crate) fn hidden_grace(&self) -> Duration {
        self.probe_interval * 4
    }

    /// Probes of many clusters are spread over the interval's last tenth.
    pub(crate) fn next_probe(&self, now: Now) -> Duration {
        let earlier = self.probe_interval / 10 * now.jitter / 1_000;
        now.mono + self.probe_interval.saturating_sub(earlier)
    }

    /// After a proof: soon, but not while many clusters connect together.
    pub(crate) fn first_probe(&self, now: Now) -> Duration {
        let later = self.first_probe / 1_000 * now.jitter;
        now.mono + (self.first_probe + later).min(self.probe_interval)
    }

    /// After `failures` in a row. The threshold is reached without delay; from then on the probes come ever less often, up
    /// to the interval, and spread over the later half of each delay.
    pub(crate) fn next_probe_after(&self, failures: u32, now: Now) -> Duration {
        let doublings = failures.saturating_sub(self.failure_threshold).min(10);
        let delay = self.probe_retry.saturating_mul(1 << doublings).min(self.probe_interval);
        now.mono + delay / 2 + delay / 2 * now.jitter / 1_000
    }
}

/// How soon a probe follows what calls for one: at once, and ever later where such calls follow each other. A server may
/// close each connection after its answer, and every probe would bring the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Pace {
    called_at: Option<Duration>,
    /// How many probes such calls have brought in a row.
    probes: u32,
}

impl Pace {
    /// When the probe may begin that is called for now, where the last one began at `began`.
    pub(crate) fn call(&mut self, now: Now, began: Option<Duration>, timing: &Timing) -> Duration {
        // The probe of the last call may have begun so much later, and its answer brings the next call.
        let later = self.spacing(timing);
        if self.called_at.is_none_or(|at| now.mono >= at + later + timing.probe_interval) {
            self.probes = 0;
        }
        self.called_at = Some(now.mono);
        began.map_or(now.mono, |began| now.mono.max(began + self.spacing(timing)))
    }

    fn spacing(&self, timing: &Timing) -> Duration {
        timing.probe_spacing.saturating_mul(1 << self.probes.min(10)).min(timing.probe_interval)
    }

    /// The call brought a probe.
    pub(crate) fn brought_one(&mut self) {
        self.probes = self.probes.saturating_add(1);
    }
}

/// When credentials end, by the wall clock, and when they are renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Expiry {
    renew_at: Duration,
    ends: Duration,
    jitter_room: Duration,
}

impl Expiry {
    /// Credentials that are good from `begins` to `ends`: renewed at 80 % of their life.
    pub(crate) fn new(begins: Duration, ends: Duration) -> Self {
        let life = ends.saturating_sub(begins);
        Self { renew_at: begins.min(ends) + life * 4 / 5, ends, jitter_room: life / 20 }
    }

    /// A little earlier, so that clusters whose credentials were issued together are not renewed together.
    pub(crate) fn with_jitter(self, jitter: u32) -> Self {
        Self { renew_at: self.renew_at.saturating_sub(self.jitter_room * jitter / 1_000), ..self }
    }

    /// The expiry of credentials that were loaded just now. A load may bring the same ones again, long past 80 % of their
    /// life: the next one waits for a part of what is left, and at least for `pause`; once they ended, for `retry`.
    pub(crate) fn loaded(self, now: Now, pause: Duration, retry: Duration) -> Self {
        let left = self.ends.saturating_sub(now.wall);
        let delay = if left.is_zero() { retry } else { (left / 5).max(Duration::from_secs(1)) };
        self.postponed(now, delay.max(pause))
    }

    /// The same, due no earlier than `delay` from now.
    pub(crate) fn postponed(self, now: Now, delay: Duration) -> Self {
        Self { renew_at: self.renew_at.max(now.wall + delay), ..self }
    }

    pub(crate) fn is_due(self, now: Now) -> bool {
        self.renew_at <= now.wall
    }

    /// The monotonic time at which the renewal is due, if the wall clock runs on evenly.
    pub(crate) fn wake_at(self, now: Now) -> Option<Duration> {
        now.mono.checked_add(self.renew_at.saturating_sub(now.wall))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Expiry, Now, Pace, Timing};

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn at(wall: u64) -> Now {
        Now { mono: secs(7), wall: secs(wall), jitter: 0 }
    }

    #[test]
    fn credentials_are_renewed_at_80_percent_of_their_life_or_a_little_earlier() {
        let expiry = Expiry::new(secs(1_000), secs(2_000));
        assert!(!expiry.is_due(at(1_799)) && expiry.is_due(at(1_800)));
        let early = expiry.with_jitter(999);
        assert!(!early.is_due(at(1_750)) && early.is_due(at(1_751)));
        assert_eq!(expiry.wake_at(at(1_700)), Some(secs(107)));
        assert_eq!(expiry.wake_at(at(1_900)), Some(secs(7)));
    }

    #[test]
    fn credentials_that_end_before_they_begin_are_due_at_their_end() {
        assert!(Expiry::new(secs(2_000), secs(1_000)).is_due(at(1_000)));
    }

    #[test]
    fn a_renewal_that_failed_is_not_due_at_once() {
        let expiry = Expiry::new(secs(0), secs(1_000)).postponed(at(900), secs(10));
        assert!(!expiry.is_due(at(909)) && expiry.is_due(at(910)));
    }

    #[test]
    fn the_same_credentials_again_are_not_due_at_once() {
        let expiry = Expiry::new(secs(0), secs(1_000));
        // (now, pause) → when the next load is due
        let table = [((0, 5), 800), ((900, 5), 920), ((999, 0), 1_000), ((999, 5), 1_004), ((2_000, 5), 2_010)];
        for ((now, pause), due) in table {
            let expiry = expiry.loaded(at(now), secs(pause), secs(10));
            assert!(!expiry.is_due(at(due - 1)) && expiry.is_due(at(due)), "at {now}, pause {pause}");
        }
    }

    #[test]
    fn probes_after_failures_come_ever_less_often_and_are_spread() {
        let timing = Timing::default();
        // failures → the longest delay, in seconds
        for (failures, longest) in [(1, 1), (2, 1), (3, 1), (4, 2), (5, 4), (6, 8), (7, 15), (100, 15), (u32::MAX, 15)]
        {
            let delay =
                |jitter| timing.next_probe_after(failures, Now { jitter, ..at(0) }).checked_sub(secs(7)).unwrap();
            assert_eq!(delay(0), secs(longest) / 2);
            assert!(delay(999) <= secs(longest) && delay(999) > secs(longest) * 9 / 10, "{failures}: {:?}", delay(999));
        }
    }

    #[test]
    fn probes_that_their_own_answers_call_for_come_ever_later_up_to_the_interval_however_slow_the_server() {
        let timing = Timing::default();
        for answer in [Duration::ZERO, Duration::from_millis(1_500), secs(10), secs(20)] {
            let (mut pace, mut now, mut began) = (Pace::default(), at(0), None);
            let mut gaps = Vec::new();
            for _ in 0..40 {
                let begins = pace.call(now, began, &timing);
                pace.brought_one();
                gaps.extend(began.map(|began| begins.saturating_sub(began)));
                began = Some(begins);
                now.mono = begins + answer;
            }
            assert!(gaps.is_sorted(), "{answer:?}: {gaps:?}");
            assert!(gaps[10..].iter().all(|gap| *gap >= timing.probe_interval), "{answer:?}: {gaps:?}");
        }
    }

    #[test]
    fn a_call_after_a_quiet_time_brings_a_probe_at_once() {
        let (timing, mut pace, now) = (Timing::default(), Pace::default(), at(0));
        let began = Some(now.mono);
        for _ in 0..20 {
            pace.call(now, began, &timing);
            pace.brought_one();
        }
        let call = |after| pace.clone().call(Now { mono: now.mono + after, ..now }, Some(now.mono + after), &timing);
        let quiet = timing.probe_interval * 2;
        assert_eq!(call(quiet), now.mono + quiet + timing.probe_spacing);
        let less = quiet.checked_sub(Duration::from_nanos(1)).unwrap();
        assert_eq!(call(less), now.mono + less + timing.probe_interval);
    }

    #[test]
    fn probes_are_spread() {
        let timing = Timing::default();
        let next = |jitter| timing.next_probe(Now { jitter, ..at(0) });
        assert_eq!(next(0), secs(22));
        assert!(next(999) < next(500) && next(999) > secs(20));
        let first = |jitter| timing.first_probe(Now { jitter, ..at(0) });
        assert_eq!(first(0), secs(8));
        assert!(first(0) < first(500) && first(500) < first(999) && first(999) < secs(9));
        let eager = Timing { probe_interval: Duration::from_millis(50), ..timing };
        assert_eq!(eager.first_probe(at(0)), secs(7) + Duration::from_millis(50));
    }
}
