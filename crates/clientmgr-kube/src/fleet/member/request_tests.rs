//! The rules of the machine about what callers ask for: which attempt or probe answers them.

use std::time::Duration;

use super::event::{Class, Effect, Event, Expected, Outcome, Request};
use super::machine_tests::{Script, opened, revision};
use super::model_identity::id;
use crate::client::Report;
use crate::config::Naming;

const FAILED: Outcome<Class> = Outcome::Failed(Class::Transport);

fn ask(script: &mut Script, request: u64, what: Request) -> Vec<Effect<Class>> {
    script.tell(Event::Asked { request, what })
}

fn answer(request: u64, outcome: Outcome<Class>) -> Effect<Class> {
    Effect::Answer { request, outcome }
}

/// A connected cluster whose three probes failed.
fn down() -> Script {
    let mut script = Script::connected();
    for probe in 1..=3 {
        script.wake();
        script.fail_probe(probe);
    }
    script
}

#[test]
fn a_caller_that_waits_for_a_cluster_that_is_down_gets_the_outcome_of_a_probe_that_begins_after_it_asked() {
    let mut script = down();
    assert_eq!(ask(&mut script, 1, Request::Connected), [Effect::Probe { probe: 4, fresh: true }]);
    assert_eq!(ask(&mut script, 2, Request::Connected), [], "one is under way");
    let effects = script.tell(Event::ProbeFailed { probe: 4, error: Class::Transport });
    assert_eq!(effects, [answer(1, FAILED), Effect::Probe { probe: 5, fresh: true }]);
    let effects = script.tell(Event::Probed { probe: 5, identity: id(1) });
    assert!(effects.contains(&answer(2, Outcome::Served(revision(1_000)))), "{effects:?}");
}

#[test]
fn a_caller_that_waits_for_an_incarnation_without_a_name_gets_its_error_at_once_also_where_it_is_down() {
    let mut script = Script::new();
    script.tell(Event::Adopted(Expected { naming: Naming::AdoptOnly, ..Expected::default() }));
    script.tell(Event::Opened { attempt: 1, opened: opened(1) });
    for probe in 1..=3 {
        script.wake();
        script.fail_probe(probe);
    }
    assert_eq!(ask(&mut script, 1, Request::Connected), [answer(1, Outcome::Failed(Class::Other))]);
}

#[test]
fn what_is_asked_for_without_a_connection_is_answered_by_the_attempt_under_way_or_the_next_one() {
    let reset = Request::Reset { candidate: revision(1_000) };
    for what in [Request::Connected, Request::Probe, reset] {
        let mut script = Script::new();
        assert_eq!(ask(&mut script, 1, what), [], "{what:?}: it is under way");
        let effects = script.tell(Event::OpenFailed { attempt: 1, error: Class::Transport });
        assert_eq!(effects, [answer(1, FAILED)], "{what:?}");
        let begins = ask(&mut script, 2, what);
        assert_eq!(begins.is_empty(), what == Request::Connected, "{what:?}: {begins:?}");
        if begins.is_empty() {
            script.wake();
        }
        let effects = script.tell(Event::OpenFailed { attempt: 2, error: Class::Transport });
        assert_eq!(effects, [answer(2, FAILED)], "{what:?}");
    }
}

#[test]
fn a_caller_that_waits_skips_the_backoff_but_for_a_second() {
    let mut script = Script::new();
    script.tell(Event::OpenFailed { attempt: 1, error: Class::Config });
    assert_eq!(ask(&mut script, 1, Request::Connected), []);
    assert_eq!(script.wake(), (Duration::from_secs(1), vec![Effect::Open { attempt: 2 }]));
}

#[test]
fn a_probe_that_is_asked_for_follows_one_that_goes_on_over_a_fresh_connection() {
    let served = Outcome::Served(revision(1_000));
    for is_check in [true, false] {
        let mut script = Script::connected();
        script.tell(Event::Reported(if is_check { Report::Widened } else { Report::Broken }));
        ask(&mut script, 1, Request::Probe);
        if is_check {
            script.tell(Event::Probed { probe: 1, identity: id(1) });
        } else {
            script.tell(Event::ProbeFailed { probe: 1, error: Class::Transport });
        }
        let effects = script.tell(Event::Probed { probe: 1, identity: id(1) });
        assert!(effects.ends_with(&[Effect::Probe { probe: 2, fresh: false }]), "{effects:?}");
        assert_eq!(script.tell(Event::Probed { probe: 2, identity: id(1) }), [answer(1, served.clone())]);
    }
}

#[test]
fn a_probe_that_finds_another_cluster_is_answered_by_the_attempt_that_begins_after_it() {
    let mut script = Script::connected();
    script.tell(Event::FilesChanged);
    ask(&mut script, 1, Request::Probe);
    script.tell(Event::Probed { probe: 1, identity: id(2) });
    let effects = script.tell(Event::Opened { attempt: 2, opened: opened(2) });
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Answer { .. })), "{effects:?}");
    assert_eq!(effects.last(), Some(&Effect::Open { attempt: 3 }));
    let effects = script.tell(Event::Opened { attempt: 3, opened: opened(2) });
    assert!(effects.contains(&answer(1, Outcome::Served(revision(1_001)))), "{effects:?}");
}
