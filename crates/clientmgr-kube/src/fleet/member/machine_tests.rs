//! The rules of the machine, a test for each. The orders of events are explored elsewhere.

use std::time::Duration;

use clientmgr_core::ConnectedAt;

use super::event::{Class, Effect, Event, Expected, FenceReason, Known, Opened, Outcome, Request};
use super::machine::{Health, Machine};
use super::model_identity::{Id, id, named};
use crate::client::Report;
use crate::fleet::clock::Now;
use crate::fleet::history::Past;
use crate::fleet::timing::{Expiry, Timing};

pub(super) const PAUSE: Duration = Duration::from_secs(5);

/// A machine and its time.
pub(super) struct Script {
    pub(super) machine: Machine<Id, Class>,
    pub(super) now: Now,
}

pub(super) fn revision(micros: i64) -> ConnectedAt {
    ConnectedAt::from_unix_micros(micros).unwrap()
}

pub(super) fn opened(identity: u8) -> Opened<Id> {
    Opened {
        identity: id(identity),
        candidate: revision(1_000),
        expiry: None,
        renewal_pause: Some(PAUSE),
        is_same: false,
    }
}

impl Script {
    pub(super) fn new() -> Self {
        let now = Now { mono: Duration::from_secs(100), wall: Duration::from_secs(1_000), jitter: 0 };
        // The first probe is one like the others, so that each rule has its test to itself.
        let timing = Timing { first_probe: Timing::default().probe_interval, ..Timing::default() };
        let mut script = Self { machine: Machine::new(timing, Past::default()), now };
        let effects = script.tell(Event::Configured(Expected::default()));
        assert_eq!(effects, [Effect::Open { attempt: 1 }]);
        script
    }

    pub(super) fn connected() -> Self {
        let mut script = Self::new();
        script.tell(Event::Opened { attempt: 1, opened: opened(1) });
        script
    }

    pub(super) fn tell(&mut self, event: Event<Id, Class>) -> Vec<Effect<Class>> {
        self.machine.step(self.now, event)
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now.mono += by;
        self.now.wall += by;
    }

    /// Sleeps as long as the machine wants to.
    pub(super) fn wake(&mut self) -> (Duration, Vec<Effect<Class>>) {
        let at = self.machine.wake_at(self.now).expect("it wants to be woken");
        let slept = at.saturating_sub(self.now.mono);
        self.advance(slept);
        (slept, self.tell(Event::Woke))
    }

    /// Lets each probe take its whole deadline and fail, from the one in `asked` on, until nothing is served.
    pub(super) fn fail_probes_until_unserved(&mut self, mut asked: Vec<Effect<Class>>) {
        while self.served().is_some() {
            let [Effect::Probe { probe, .. }] = asked[..] else { panic!("{asked:?}") };
            self.advance(Duration::from_secs(10));
            asked = self.tell(Event::ProbeFailed { probe, error: Class::Transport });
            if asked.is_empty() && self.served().is_some() {
                asked = self.wake().1;
            }
        }
    }

    pub(super) fn served(&self) -> Option<i64> {
        self.machine.served().and_then(|link| link.revision).map(ConnectedAt::as_unix_micros)
    }

    /// Fails a probe, with its repeat on a fresh connection. From the first failure on each probe uses a fresh one.
    pub(super) fn fail_probe(&mut self, probe: u64) {
        let is_first = self.machine.health() == &Health::Healthy;
        let effects = self.tell(Event::ProbeFailed { probe, error: Class::Transport });
        if is_first {
            assert_eq!(effects, [Effect::Probe { probe, fresh: true }]);
            self.tell(Event::ProbeFailed { probe, error: Class::Transport });
        }
    }
}

#[test]
fn the_first_connection_is_served_under_a_new_revision() {
    let mut script = Script::new();
    let effects = script.tell(Event::Opened { attempt: 1, opened: opened(1) });
    let revision = revision(1_000);
    assert_eq!(effects, [Effect::Install { attempt: 1 }, Effect::Serve { revision, generation: 1 }]);
    assert_eq!(script.served(), Some(1_000));
}

#[test]
fn another_configuration_of_the_same_cluster_keeps_the_revision() {
    let mut script = Script::connected();
    assert_eq!(script.tell(Event::Configured(Expected::default())), [Effect::Open { attempt: 2 }]);
    assert_eq!(script.served(), Some(1_000), "the old connection is in use meanwhile");
    let effects = script.tell(Event::Opened { attempt: 2, opened: opened(1) });
    let revision = revision(1_000);
    assert_eq!(effects, [Effect::Install { attempt: 2 }, Effect::Serve { revision, generation: 2 }]);
}

#[test]
fn a_configuration_that_proves_to_be_another_cluster_fences_and_gets_a_later_revision() {
    let mut script = Script::connected();
    script.tell(Event::Configured(Expected::default()));
    let effects = script.tell(Event::Opened { attempt: 2, opened: opened(2) });
    let fence = Effect::Fence { revision: revision(1_000), reason: FenceReason::Replaced };
    let serve = Effect::Serve { revision: revision(1_001), generation: 2 };
    assert_eq!(effects, [fence, Effect::Install { attempt: 2 }, serve]);
}

#[test]
fn a_configuration_that_fails_leaves_the_old_connection_in_use_and_shows() {
    for error in [Class::Config, Class::Unauthorized, Class::Transport] {
        let mut script = Script::connected();
        script.tell(Event::Configured(Expected::default()));
        let effects = script.tell(Event::OpenFailed { attempt: 2, error });
        assert_eq!(effects, [Effect::Probe { probe: 1, fresh: false }], "the old one may be broken as well");
        assert_eq!((script.served(), script.machine.attempt_error()), (Some(1_000), Some(&error)));
        assert_eq!(script.tell(Event::Configured(Expected::default())), [Effect::Open { attempt: 3 }]);
        script.tell(Event::Opened { attempt: 3, opened: opened(1) });
        assert_eq!((script.served(), script.machine.attempt_error()), (Some(1_000), None));
    }
}

#[test]
fn a_pinned_identity_makes_another_cluster_an_error_and_the_old_stays() {
    let mut script = Script::connected();
    script.tell(Event::Configured(Expected { pin: Some(named(1)), ..Expected::default() }));
    let effects = script.tell(Event::Opened { attempt: 2, opened: opened(2) });
    assert_eq!(effects[0], Effect::Discard { attempt: 2 });
    assert_eq!((script.served(), script.machine.attempt_error()), (Some(1_000), Some(&Class::Config)));
}

#[test]
fn a_probe_that_finds_another_cluster_fences_at_once() {
    let mut script = Script::connected();
    script.tell(Event::Reported(Report::Broken));
    let effects = script.tell(Event::Probed { probe: 1, identity: id(2) });
    let fence = Effect::Fence { revision: revision(1_000), reason: FenceReason::Replaced };
    assert_eq!(effects, [fence, Effect::Open { attempt: 2 }]);
    assert_eq!(script.served(), None);
    script.tell(Event::Opened { attempt: 2, opened: opened(2) });
    assert_eq!(script.served(), Some(1_001), "the clock stands still, and revisions do not");
}

#[test]
fn a_broken_connection_is_probed_at_once_and_many_are_probed_once() {
    let mut script = Script::connected();
    assert_eq!(script.tell(Event::Reported(Report::Broken)), [Effect::Probe { probe: 1, fresh: false }]);
    assert_eq!(script.tell(Event::Reported(Report::Broken)), []);
    script.tell(Event::Probed { probe: 1, identity: id(1) });
    assert_eq!(script.tell(Event::Reported(Report::Broken)), [], "not twice within the spacing");
    let spacing = Timing::default().probe_spacing;
    assert_eq!(
        script.wake(),
        (spacing * 2, vec![Effect::Probe { probe: 2, fresh: false }]),
        "it broke during the first"
    );
}

#[test]
fn the_first_probe_follows_a_connection_soon() {
    let mut script = Script { machine: Machine::new(Timing::default(), Past::default()), ..Script::new() };
    script.tell(Event::Configured(Expected::default()));
    script.tell(Event::Opened { attempt: 1, opened: opened(1) });
    assert_eq!(script.wake(), (Duration::from_secs(1), vec![Effect::Probe { probe: 1, fresh: false }]));
    script.tell(Event::Probed { probe: 1, identity: id(1) });
    assert_eq!(script.wake(), (Duration::from_secs(15), vec![Effect::Probe { probe: 2, fresh: false }]));
}

#[test]
fn three_failed_probes_take_a_cluster_out_of_service_and_one_success_brings_it_back() {
    let mut script = Script::connected();
    for probe in 1..=3 {
        assert_eq!(script.served(), Some(1_000));
        let (_, effects) = script.wake();
        assert_eq!(effects, [Effect::Probe { probe, fresh: probe > 1 }], "the pooled connections had their chance");
        script.fail_probe(probe);
    }
    assert_eq!(script.served(), None);
    assert_eq!(script.machine.unavailable(), Some(Class::Transport));
    assert_eq!(script.machine.link().and_then(|link| link.revision), Some(revision(1_000)), "handle and revision stay");
    script.wake();
    let effects = script.tell(Event::Probed { probe: 4, identity: id(1) });
    assert_eq!(effects, [Effect::InstallFresh, Effect::Serve { revision: revision(1_000), generation: 1 }]);
    assert_eq!(script.served(), Some(1_000));
}

#[test]
fn a_server_that_accepts_and_never_answers_is_noticed_within_a_minute() {
    let mut script = Script::connected();
    script.now.jitter = 999;
    let began = script.now.mono;
    let asked = script.wake().1;
    script.fail_probes_until_unserved(asked);
    let noticed = script.now.mono.saturating_sub(began);
    assert!(noticed <= Duration::from_secs(57), "{noticed:?}");
}

#[test]
fn a_failure_on_a_pooled_connection_counts_only_if_a_fresh_one_fails_too() {
    let mut script = Script::connected();
    script.wake();
    script.tell(Event::ProbeFailed { probe: 1, error: Class::Transport });
    assert_eq!(script.machine.health(), &Health::Healthy);
    let effects = script.tell(Event::Probed { probe: 1, identity: id(1) });
    let serve = Effect::Serve { revision: revision(1_000), generation: 1 };
    assert_eq!(effects, [Effect::InstallFresh, serve], "requests leave the dead connection too");
    assert_eq!(script.machine.health(), &Health::Healthy);
}

#[test]
fn a_busy_server_is_not_unhealthy() {
    let mut script = Script::connected();
    for probe in 1..=5 {
        script.wake();
        script.tell(Event::ProbeFailed { probe, error: Class::Throttled { retry_after: None } });
        assert_eq!(script.machine.health(), &Health::Healthy);
    }
}

#[test]
fn a_probe_that_is_refused_loads_the_credentials_anew() {
    let mut script = Script::connected();
    script.wake();
    let effects = script.tell(Event::ProbeFailed { probe: 1, error: Class::Unauthorized });
    assert_eq!(effects, [Effect::Open { attempt: 2 }]);
    assert_eq!(script.served(), Some(1_000));
}

#[test]
fn credentials_are_renewed_before_they_end_and_a_failed_renewal_is_repeated() {
    let mut script = Script::new();
    let expiry = Some(Expiry::new(Duration::from_secs(1_000), Duration::from_secs(1_010)));
    script.tell(Event::Opened { attempt: 1, opened: Opened { expiry, ..opened(1) } });
    let (slept, effects) = script.wake();
    assert_eq!((slept, effects), (Duration::from_secs(8), vec![Effect::Open { attempt: 2 }]));
    assert!(script.machine.wake_at(script.now) > Some(script.now.mono), "it is under way");
    script.tell(Event::OpenFailed { attempt: 2, error: Class::Unauthorized });
    script.tell(Event::Probed { probe: 1, identity: id(1) });
    let (slept, effects) = script.wake();
    assert_eq!((slept, effects), (Duration::from_millis(500), vec![Effect::Open { attempt: 3 }]));
}

#[test]
fn many_refused_requests_make_one_renewal_and_the_next_waits_for_its_pause() {
    let mut script = Script::connected();
    let refused = |request, generation| Event::Asked { request, what: Request::NewerThan { generation } };
    script.advance(PAUSE);
    assert_eq!(script.tell(refused(1, 1)), [Effect::Open { attempt: 2 }]);
    for request in 2..100 {
        assert_eq!(script.tell(refused(request, 1)), []);
    }
    let effects = script.tell(Event::Opened { attempt: 2, opened: opened(1) });
    let answers = effects.iter().filter(|effect| matches!(effect, Effect::Answer { .. })).count();
    assert_eq!(answers, 99);
    let served = Outcome::Served(revision(1_000));
    assert_eq!(
        script.tell(refused(100, 1)),
        [Effect::Answer { request: 100, outcome: served }],
        "there are newer ones"
    );
    assert_eq!(script.tell(refused(101, 2)), []);
    assert_eq!(script.wake(), (PAUSE, vec![Effect::Open { attempt: 3 }]));
}

#[test]
fn fixed_credentials_that_are_refused_have_no_newer_ones() {
    let mut script = Script::new();
    script.tell(Event::Opened { attempt: 1, opened: Opened { renewal_pause: None, ..opened(1) } });
    let effects = script.tell(Event::Asked { request: 1, what: Request::NewerThan { generation: 1 } });
    assert_eq!(effects, [Effect::Answer { request: 1, outcome: Outcome::Unchanged }]);
}

#[test]
fn a_reconnect_reads_credentials_after_it_was_asked_for() {
    let mut script = Script::new();
    assert_eq!(script.tell(Event::Asked { request: 1, what: Request::Reconnect }), []);
    let effects = script.tell(Event::Opened { attempt: 1, opened: opened(1) });
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Answer { .. })));
    assert_eq!(effects.last(), Some(&Effect::Open { attempt: 2 }));
    let effects = script.tell(Event::Opened { attempt: 2, opened: opened(1) });
    assert!(effects.contains(&Effect::Answer { request: 1, outcome: Outcome::Served(revision(1_000)) }));
}

#[test]
fn a_reset_fences_the_handle_and_serves_the_same_connection_under_a_later_revision() {
    let mut script = Script::connected();
    let effects = script.tell(Event::Asked { request: 1, what: Request::Reset { candidate: revision(500) } });
    let fence = Effect::Fence { revision: revision(1_000), reason: FenceReason::Reset };
    let serve = Effect::Serve { revision: revision(1_001), generation: 1 };
    let answer = Effect::Answer { request: 1, outcome: Outcome::Served(revision(1_001)) };
    assert_eq!(effects, [fence, serve, answer, Effect::Probe { probe: 1, fresh: false }]);
}

#[test]
fn the_status_may_name_a_later_revision_of_the_same_incarnation() {
    let mut script = Script::connected();
    let known = |micros| Some(Known { identity: named(1), revision: revision(micros) });
    assert_eq!(
        script.tell(Event::Adopted(Expected { known: known(900), ..Expected::default() })),
        [],
        "a lagging read"
    );
    let effects = script.tell(Event::Adopted(Expected { known: known(2_000), ..Expected::default() }));
    assert_eq!(effects[1], Effect::Serve { revision: revision(2_000), generation: 1 });
    assert_eq!(script.served(), Some(2_000));
}

#[test]
fn failed_attempts_are_repeated_ever_less_often() {
    let mut script = Script::new();
    script.now.jitter = 999;
    let mut delays = Vec::new();
    for attempt in 1..=8 {
        script.tell(Event::OpenFailed { attempt, error: Class::Transport });
        let (slept, effects) = script.wake();
        assert_eq!(effects, [Effect::Open { attempt: attempt + 1 }]);
        delays.push(slept);
    }
    assert!(
        delays.is_sorted() && delays[0] < Duration::from_secs(1) && delays[7] > Duration::from_secs(25),
        "{delays:?}"
    );
}

#[test]
fn a_removed_cluster_fences_its_handle_and_answers_all() {
    let mut script = Script::connected();
    script.tell(Event::Asked { request: 1, what: Request::Probe });
    let effects = script.tell(Event::Removed);
    assert!(effects.contains(&Effect::Fence { revision: revision(1_000), reason: FenceReason::Removed }));
    assert!(effects.contains(&Effect::Answer { request: 1, outcome: Outcome::Removed }));
    let late = script.tell(Event::Asked { request: 2, what: Request::Connected });
    assert_eq!(late, [Effect::Answer { request: 2, outcome: Outcome::Removed }]);
    assert_eq!(script.machine.wake_at(script.now), None);
}

#[test]
fn a_jump_of_the_clock_probes_within_a_second() {
    let mut script = Script::connected();
    script.now.jitter = 700;
    assert_eq!(script.tell(Event::ClockJumped), []);
    assert_eq!(script.wake(), (Duration::from_millis(700), vec![Effect::Probe { probe: 1, fresh: false }]));
}

#[test]
fn a_server_that_closes_every_connection_is_not_probed_without_end() {
    let mut script = Script::connected();
    let began = script.now.mono;
    for probe in 1..=20 {
        script.tell(Event::Reported(Report::Broken));
        if probe > 1 {
            script.wake();
        }
        script.tell(Event::Probed { probe, identity: id(1) });
    }
    assert!(
        script.now.mono.saturating_sub(began) > Timing::default().probe_interval * 4,
        "{:?}",
        script.now.mono.saturating_sub(began)
    );
}

#[test]
fn the_same_credentials_again_do_not_make_the_next_renewal_due_at_once() {
    let mut script = Script::new();
    let expiry = Some(Expiry::new(Duration::from_secs(0), Duration::from_secs(1_100)));
    let effects = script.tell(Event::Opened { attempt: 1, opened: Opened { expiry, ..opened(1) } });
    assert!(!effects.contains(&Effect::Open { attempt: 2 }), "90 % of their life are over");
    script.tell(Event::Asked { request: 1, what: Request::Connected });
    let mut renewals = 0;
    while script.now.wall < Duration::from_secs(1_100) {
        let (_, effects) = script.wake();
        for effect in effects {
            match effect {
                Effect::Open { attempt } => {
                    renewals += 1;
                    script.tell(Event::Opened { attempt, opened: Opened { expiry, ..opened(1) } });
                }
                Effect::Probe { probe, .. } => drop(script.tell(Event::Probed { probe, identity: id(1) })),
                _ => {}
            }
        }
    }
    assert!((1..20).contains(&renewals), "{renewals} renewals of the same credentials");
}

#[test]
fn a_jump_of_the_clock_and_a_reset_skip_the_backoff_of_a_cluster_without_a_connection() {
    let reset = Event::Asked { request: 1, what: Request::Reset { candidate: revision(500) } };
    for event in [Event::ClockJumped, reset] {
        let mut script = Script::new();
        assert_eq!(script.tell(event.clone()), [], "an attempt is under way");
        script.tell(Event::OpenFailed { attempt: 1, error: Class::Config });
        assert_eq!(script.tell(event), [Effect::Open { attempt: 2 }]);
    }
}

#[test]
fn callers_that_give_up_leave_nothing_behind() {
    let mut script = Script::new();
    for what in [Request::Connected, Request::Reconnect, Request::Probe] {
        script.tell(Event::Asked { request: 1, what });
        script.tell(Event::GaveUp { requests: [1].into() });
    }
    let effects = script.tell(Event::Opened { attempt: 1, opened: opened(1) });
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Answer { .. })), "{effects:?}");
}

#[test]
fn a_cluster_that_is_down_is_probed_ever_less_often() {
    let mut script = Script::connected();
    script.now.jitter = 999;
    let mut delays = Vec::new();
    for probe in 1..=12 {
        let (slept, _) = script.wake();
        delays.push(slept.as_secs_f64().round());
        script.fail_probe(probe);
    }
    assert_eq!(delays[1..], [1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0, 15.0, 15.0]);
}

#[test]
fn a_server_that_asks_to_be_left_alone_is_probed_at_the_usual_interval() {
    for (asked, slept) in [(300, 15), (3, 15)] {
        let mut script = Script::connected();
        script.wake();
        let retry_after = Some(Duration::from_secs(asked));
        script.tell(Event::ProbeFailed { probe: 1, error: Class::Throttled { retry_after } });
        assert_eq!(script.wake().0, Duration::from_secs(slept));
    }
}

#[test]
fn a_probe_that_was_asked_for_during_a_throttled_one_follows_it() {
    let mut script = Script::connected();
    script.wake();
    script.tell(Event::Asked { request: 1, what: Request::Probe });
    let error = Class::Throttled { retry_after: None };
    assert_eq!(script.tell(Event::ProbeFailed { probe: 1, error }), [Effect::Probe { probe: 2, fresh: false }]);
    let effects = script.tell(Event::Probed { probe: 2, identity: id(1) });
    assert_eq!(effects, [Effect::Answer { request: 1, outcome: Outcome::Served(revision(1_000)) }]);
}

#[test]
fn a_connection_that_breaks_while_a_probe_fails_is_probed_unless_each_failure_counts() {
    let spacing = Timing::default().probe_spacing;
    let throttled = Class::Throttled { retry_after: None };
    // (failures before, the failure) → whether a probe follows before its usual time
    for (failures, error, follows) in [(0, throttled, true), (0, Class::Other, false), (3, Class::Other, true)] {
        let mut script = Script::connected();
        for probe in 1..=failures {
            script.wake();
            script.tell(Event::ProbeFailed { probe, error });
        }
        script.wake();
        script.tell(Event::Reported(Report::Broken));
        assert_eq!(script.tell(Event::ProbeFailed { probe: failures + 1, error }), []);
        let (slept, _) = script.wake();
        assert_eq!(slept == spacing, follows, "{error:?} after {failures}: {slept:?}");
    }
}

#[test]
fn an_answer_of_any_status_on_a_fresh_connection_shows_that_the_pooled_ones_are_dead() {
    for error in [Class::Throttled { retry_after: None }, Class::Other, Class::Unauthorized] {
        let mut script = Script::connected();
        script.wake();
        script.tell(Event::ProbeFailed { probe: 1, error: Class::Transport });
        let effects = script.tell(Event::ProbeFailed { probe: 1, error });
        let serve = Effect::Serve { revision: revision(1_000), generation: 1 };
        assert_eq!(effects[..2], [Effect::InstallFresh, serve], "{error:?}");
    }
}
