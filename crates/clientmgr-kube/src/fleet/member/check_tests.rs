//! Checks: where a pool has several connections, and what breaks during an attempt.

use std::time::Duration;

use super::event::{Class, Effect, Event, FenceReason, Opened};
use super::machine::Health;
use super::machine_tests::{Script, opened, revision};
use super::model_identity::{HIDDEN, id};
use crate::client::Report;
use crate::fleet::timing::Timing;

/// A probe on the pool, or on a fresh connection.
fn probe(probe: u64, fresh: bool) -> Vec<Effect<Class>> {
    vec![Effect::Probe { probe, fresh }]
}

/// A link whose pool has several connections: the pool was probed, and the check is under way.
fn checking() -> Script {
    let mut script = Script::connected();
    assert_eq!(script.tell(Event::Reported(Report::Widened)), probe(1, false));
    assert_eq!(script.tell(Event::Probed { probe: 1, identity: id(1) }), probe(1, true));
    script
}

#[test]
fn a_pool_of_several_connections_is_checked_on_a_fresh_one_at_once_and_then_ever_later() {
    let mut script = checking();
    for _ in 0..10 {
        assert_eq!(script.tell(Event::Reported(Report::Widened)), [], "a check is under way");
    }
    assert_eq!(script.tell(Event::Probed { probe: 1, identity: id(1) }), [], "the pool stays in use");
    let spacing = Timing::default().probe_spacing;
    assert_eq!(script.wake(), (spacing * 2, probe(2, false)), "it grew during the check");
    assert_eq!(script.tell(Event::Probed { probe: 2, identity: id(1) }), probe(2, true));
    script.tell(Event::Probed { probe: 2, identity: id(1) });
    assert_eq!(script.wake(), (Timing::default().probe_interval, probe(3, false)));
    assert_eq!(script.tell(Event::Probed { probe: 3, identity: id(1) }), [], "once");
    // A break does not wait for what the checks wait for.
    script.tell(Event::Reported(Report::Broken));
    assert_eq!(script.wake(), (spacing, probe(4, false)));
}

#[test]
fn a_check_that_a_probe_for_a_break_serves_too_brings_none() {
    let mut script = Script::connected();
    script.wake();
    script.tell(Event::Probed { probe: 1, identity: id(1) });
    script.tell(Event::Reported(Report::Broken));
    // It might begin at the same moment.
    script.tell(Event::Reported(Report::Widened));
    let spacing = Timing::default().probe_spacing;
    assert_eq!(script.wake(), (spacing, probe(2, false)));
    assert_eq!(script.tell(Event::Probed { probe: 2, identity: id(1) }), probe(2, true));
    script.tell(Event::Probed { probe: 2, identity: id(1) });
    script.tell(Event::Reported(Report::Widened));
    assert_eq!(script.wake(), (spacing, probe(3, false)), "no check has brought a probe before");
}

#[test]
fn a_check_that_finds_another_cluster_fences() {
    let mut script = checking();
    let effects = script.tell(Event::Probed { probe: 1, identity: id(2) });
    assert_eq!(effects[0], Effect::Fence { revision: revision(1_000), reason: FenceReason::Replaced });
}

#[test]
fn a_check_without_a_connection_takes_nothing_out_of_service() {
    let mut script = checking();
    assert_eq!(script.tell(Event::ProbeFailed { probe: 1, error: Class::Transport }), []);
    assert_eq!(script.machine.health(), &Health::Healthy);
}

#[test]
fn a_check_stays_due_until_it_is_answered() {
    for error in [Class::Throttled { retry_after: None }, Class::Transport, Class::Other] {
        let mut script = checking();
        script.tell(Event::ProbeFailed { probe: 1, error });
        assert_eq!(script.wake().1, probe(2, false), "{error:?}");
        assert_eq!(script.tell(Event::Probed { probe: 2, identity: id(1) }), probe(2, true), "{error:?}");
    }
    // An attempt that fails ends no check; one that opens is one, if the pool did not grow meanwhile.
    for (grows, is_due) in [(false, false), (true, true)] {
        let mut script = checking();
        script.tell(Event::FilesChanged);
        script.tell(Event::OpenFailed { attempt: 2, error: Class::Other });
        script.tell(Event::FilesChanged);
        if grows {
            script.tell(Event::Reported(Report::Widened));
        }
        let effects = script.tell(Event::Opened { attempt: 3, opened: opened(1) });
        assert!(effects.contains(&Effect::AbortProbe { probe: 1 }), "{effects:?}");
        assert_eq!(script.wake().1, probe(2, false));
        let follows = if is_due { probe(2, true) } else { vec![] };
        assert_eq!(script.tell(Event::Probed { probe: 2, identity: id(1) }), follows);
    }
    // Another pool has nothing to check.
    let mut script = Script::connected();
    script.wake();
    script.tell(Event::Reported(Report::Widened));
    script.tell(Event::ProbeFailed { probe: 1, error: Class::Transport });
    script.tell(Event::Probed { probe: 1, identity: id(1) });
    script.wake();
    assert_eq!(script.tell(Event::Probed { probe: 2, identity: id(1) }), []);
}

#[test]
fn a_check_that_shows_less_than_the_pool_is_a_doubt_until_one_shows_as_much() {
    let mut script = checking();
    script.tell(Event::Probed { probe: 1, identity: HIDDEN });
    assert_eq!(script.machine.health(), &Health::Failing { failures: 1, error: Class::Other });
    script.wake();
    assert_eq!(script.tell(Event::Probed { probe: 2, identity: id(1) }), probe(2, true), "the pool shows it still");
    script.tell(Event::Probed { probe: 2, identity: id(1) });
    assert_eq!(script.machine.health(), &Health::Healthy);
    // From now on the right to read it may be taken away again.
    script.wake();
    script.tell(Event::Probed { probe: 3, identity: HIDDEN });
    assert_eq!(script.machine.health(), &Health::Healthy);
}

#[test]
fn new_connections_that_show_less_than_the_pool_for_a_while_lead_to_another_cluster() {
    let mut script = checking();
    script.tell(Event::Probed { probe: 1, identity: HIDDEN });
    let began = script.now.mono;
    let mut number = 1;
    while script.machine.link().is_some() {
        number += 1;
        script.wake();
        assert_eq!(script.tell(Event::Probed { probe: number, identity: id(1) }), probe(number, true));
        script.tell(Event::Probed { probe: number, identity: HIDDEN });
    }
    let (waited, grace) = (script.now.mono.saturating_sub(began), Timing::default().hidden_grace());
    assert!(waited >= grace && waited < grace + Timing::default().probe_interval, "{waited:?}");
}

#[test]
fn answers_that_hide_the_identity_count_only_while_none_of_the_same_kind_shows_it() {
    // What is asked hides the identity once. Then the pool shows it for longer than the grace, and the check fails or, where it
    // `answers`, shows it too. Then what was asked hides it again.
    for (by_check, answers) in [(true, true), (true, false), (false, false)] {
        let mut script = checking();
        let mut number = 1;
        let hide = |script: &mut Script, number: &mut u64| {
            if by_check {
                script.tell(Event::Probed { probe: *number, identity: HIDDEN });
            } else {
                script.tell(Event::ProbeFailed { probe: *number, error: Class::Transport });
                script.tell(Event::Reported(Report::Broken));
                *number += 1;
                script.wake();
                script.tell(Event::Probed { probe: *number, identity: HIDDEN });
            }
            *number += 1;
        };
        hide(&mut script, &mut number);
        let end = script.now.mono + Timing::default().hidden_grace() * 2;
        while script.now.mono < end {
            script.wake();
            if answers {
                // It may not end the doubt.
                script.tell(Event::Reported(Report::Broken));
            }
            assert_eq!(script.tell(Event::Probed { probe: number, identity: id(1) }), probe(number, true));
            if answers {
                script.tell(Event::Reported(Report::Broken));
                script.tell(Event::Reported(Report::Widened));
                script.tell(Event::Probed { probe: number, identity: id(1) });
            } else {
                script.tell(Event::ProbeFailed { probe: number, error: Class::Transport });
            }
            number += 1;
        }
        script.wake();
        if by_check {
            assert_eq!(script.tell(Event::Probed { probe: number, identity: id(1) }), probe(number, true));
        }
        script.tell(Event::Probed { probe: number, identity: HIDDEN });
        assert!(script.machine.link().is_some(), "by check {by_check}, answers {answers}");
        assert_ne!(script.machine.health(), &Health::Healthy, "it is a failure");
    }
}

#[test]
fn a_server_that_falls_mute_while_new_connections_are_checked_is_noticed_within_a_minute() {
    let mut script = checking();
    script.now.jitter = 999;
    let began = script.now.mono;
    script.fail_probes_until_unserved(probe(1, true));
    let noticed = script.now.mono.saturating_sub(began);
    assert!(noticed <= Duration::from_secs(57), "{noticed:?}");
}

#[test]
fn a_connection_that_breaks_during_an_attempt_is_probed_after_it() {
    for is_same in [true, false] {
        let mut script = Script::connected();
        script.tell(Event::FilesChanged);
        assert_eq!(script.tell(Event::Reported(Report::Broken)), probe(1, false));
        let effects = script.tell(Event::Opened { attempt: 2, opened: Opened { is_same, ..opened(1) } });
        assert!(effects.contains(&Effect::AbortProbe { probe: 1 }), "{effects:?}");
        assert_eq!(script.wake(), (Timing::default().probe_spacing * 2, probe(2, false)));
        // What the attempt read may be the answer of the server before.
        script.tell(Event::Probed { probe: 2, identity: HIDDEN });
        assert_ne!(script.machine.health(), &Health::Healthy);
    }
}
