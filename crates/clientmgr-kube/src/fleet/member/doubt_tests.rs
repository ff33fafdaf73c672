//! The rules of the machine about an identity in doubt: a server that no longer says which cluster it is.

use super::event::Class;
use super::event::{Effect, Event, Expected, FenceReason, Known, Opened, Outcome, Request};
use super::machine::Health;
use super::machine_tests::{Script, opened, revision};
use super::model_identity::{HIDDEN, Id, UNREADY, id, named};
use crate::client::Report;
use crate::fleet::timing::Timing;

/// A cluster whose pool has shown its identity.
fn probed() -> Script {
    let mut script = Script::connected();
    script.tell(Event::ClockJumped);
    script.tell(Event::Probed { probe: 1, identity: id(1) });
    script
}

/// What the snapshot shows, and what is served.
fn shown(script: &Script) -> (Option<Id>, Option<i64>) {
    (script.machine.link().map(|link| link.shown), script.served())
}

#[test]
fn a_cluster_that_no_longer_says_which_it_is_stays_the_same_and_the_snapshot_says_so() {
    let mut script = probed();
    script.tell(Event::ClockJumped);
    assert_eq!(script.tell(Event::Probed { probe: 2, identity: HIDDEN }), []);
    assert_eq!(shown(&script), (Some(HIDDEN), Some(1_000)));
    // So does one whose new credentials may not read it.
    script.tell(Event::FilesChanged);
    script.tell(Event::Opened { attempt: 2, opened: Opened { identity: HIDDEN, ..opened(1) } });
    assert_eq!(shown(&script), (Some(HIDDEN), Some(1_000)));
    script.wake();
    script.tell(Event::Probed { probe: 3, identity: HIDDEN });
    assert_eq!(script.machine.health(), &Health::Healthy);
    // It is remembered all the same.
    script.tell(Event::ClockJumped);
    let effects = script.tell(Event::Probed { probe: 4, identity: id(2) });
    assert_eq!(effects[0], Effect::Fence { revision: revision(1_000), reason: FenceReason::Replaced });
}

#[test]
fn the_first_connection_stays_open_so_it_leaves_no_doubt() {
    let mut script = Script::connected();
    script.wake();
    script.tell(Event::Probed { probe: 1, identity: HIDDEN });
    assert_eq!(shown(&script), (Some(HIDDEN), Some(1_000)));
    assert_eq!(script.machine.health(), &Health::Healthy);
}

#[test]
fn a_proof_on_a_connection_of_its_own_leaves_the_identity_in_doubt_until_the_pool_shows_it() {
    for (is_same, empties) in [(true, true), (false, false)] {
        for (shows, is_healthy) in [(false, false), (true, true)] {
            let mut script = probed();
            if empties {
                script.tell(Event::Reported(Report::Emptied));
            }
            script.tell(Event::FilesChanged);
            script.tell(Event::Opened { attempt: 2, opened: Opened { is_same, ..opened(1) } });
            let mut probe = 2;
            if shows {
                script.wake();
                script.tell(Event::Probed { probe, identity: id(1) });
                probe += 1;
            }
            script.wake();
            script.tell(Event::Probed { probe, identity: HIDDEN });
            assert_eq!(script.machine.health() == &Health::Healthy, is_healthy, "same {is_same}, shows {shows}");
        }
    }
}

#[test]
fn a_pool_that_empties_while_it_is_asked_leaves_the_identity_in_doubt() {
    let empties = |script: &mut Script| assert_eq!(script.tell(Event::Reported(Report::Emptied)), []);
    let next_hides_it = |script: &mut Script| {
        let (_, effects) = script.wake();
        let [Effect::Probe { probe, .. }] = effects[..] else { panic!("{effects:?}") };
        script.tell(Event::Probed { probe, identity: HIDDEN });
        script.machine.health() != &Health::Healthy
    };
    let mut script = probed();
    script.wake();
    empties(&mut script);
    script.tell(Event::Probed { probe: 2, identity: id(1) });
    assert!(next_hides_it(&mut script), "no connection is left of those that showed it");
    // A check is on a connection of its own.
    let mut script = probed();
    script.tell(Event::Reported(Report::Widened));
    script.wake();
    empties(&mut script);
    script.tell(Event::Probed { probe: 2, identity: id(1) });
    script.tell(Event::Probed { probe: 2, identity: id(1) });
    assert!(next_hides_it(&mut script), "nor of the check");
    // A fresh connection that answers is the pool from then on.
    let mut script = probed();
    script.wake();
    script.tell(Event::ProbeFailed { probe: 2, error: Class::Transport });
    empties(&mut script);
    script.tell(Event::Probed { probe: 2, identity: id(1) });
    assert!(!next_hides_it(&mut script), "this one is open");
}

/// A cluster of which a connection broke.
fn broken() -> Script {
    let mut script = probed();
    script.advance(Timing::default().probe_spacing);
    script.tell(Event::Reported(Report::Broken));
    script
}

const FENCE: FenceReason = FenceReason::Replaced;

#[test]
fn a_server_that_starts_and_does_not_say_yet_which_cluster_it_is_fences_nothing() {
    let mut script = broken();
    let mut probe = 2;
    // Longer than any start, and with a moment in which it seems to be ready.
    for shown in [UNREADY; 20].into_iter().chain([HIDDEN]).chain([UNREADY; 20]) {
        let effects = script.tell(Event::Probed { probe, identity: shown });
        assert_eq!(effects, [], "probe {probe}");
        assert_eq!(script.machine.link().and_then(|link| link.revision), Some(revision(1_000)));
        let (_, effects) = script.wake();
        probe += 1;
        assert_eq!(effects, [Effect::Probe { probe, fresh: false }]);
    }
    assert_eq!((script.served(), script.machine.unavailable()), (None, Some(Class::Other)));
    script.tell(Event::Probed { probe, identity: id(1) });
    assert_eq!(script.served(), Some(1_000), "under the revision of before");
}

#[test]
fn a_ready_server_that_does_not_say_for_a_while_which_cluster_it_is_counts_as_another_one() {
    let mut script = broken();
    let began = script.now.mono;
    let mut probe = 2;
    let effects = loop {
        let effects = script.tell(Event::Probed { probe, identity: HIDDEN });
        if !effects.is_empty() {
            break effects;
        }
        script.wake();
        probe += 1;
    };
    let waited = script.now.mono.saturating_sub(began);
    let grace = Timing::default().hidden_grace();
    assert!(waited >= grace && waited < grace + Timing::default().probe_interval, "{waited:?}");
    let fence = Effect::Fence { revision: revision(1_000), reason: FENCE };
    assert_eq!(effects, [fence, Effect::Open { attempt: 2 }]);
    script.tell(Event::Opened { attempt: 2, opened: Opened { identity: HIDDEN, ..opened(1) } });
    assert_eq!(shown(&script), (Some(HIDDEN), Some(1_001)));
    // From now on the address is all there is, and breaks change nothing.
    script.tell(Event::Reported(Report::Broken));
    script.tell(Event::Probed { probe: probe + 1, identity: HIDDEN });
    assert_eq!(script.served(), Some(1_001));
}

#[test]
fn an_attempt_that_shows_less_than_is_known_fails_while_that_is_in_doubt() {
    for identity in [UNREADY, HIDDEN] {
        let mut script = broken();
        script.tell(Event::FilesChanged);
        let opened = Opened { identity, ..opened(1) };
        let effects = script.tell(Event::Opened { attempt: 2, opened: opened.clone() });
        assert_eq!(effects[0], Effect::Discard { attempt: 2 });
        assert_eq!((script.served(), script.machine.attempt_error()), (Some(1_000), Some(&Class::Other)));
        script.advance(Timing::default().hidden_grace());
        script.tell(Event::Asked { request: 1, what: Request::Reconnect });
        let effects = script.tell(Event::Opened { attempt: 3, opened });
        let is_another = effects.contains(&Effect::Fence { revision: revision(1_000), reason: FENCE });
        assert_eq!(is_another, identity == HIDDEN, "only a server that is ready");
    }
}

#[test]
fn a_cluster_that_says_again_which_it_is_ends_the_doubt_unless_its_connection_broke_once_more() {
    for (breaks, is_healthy) in [(0, true), (1, false)] {
        let mut script = broken();
        for _ in 0..breaks {
            script.tell(Event::Reported(Report::Broken));
        }
        script.tell(Event::Probed { probe: 2, identity: id(1) });
        script.wake();
        script.tell(Event::Probed { probe: 3, identity: HIDDEN });
        assert_eq!(script.machine.health() == &Health::Healthy, is_healthy, "after {breaks} breaks more");
    }
}

#[test]
fn a_doubt_outlives_the_answer_of_a_connection_beside_the_one_that_broke() {
    let mut script = broken();
    script.tell(Event::Reported(Report::Widened));
    assert_eq!(script.tell(Event::Probed { probe: 2, identity: id(1) }), [Effect::Probe { probe: 2, fresh: true }]);
    script.tell(Event::Probed { probe: 2, identity: HIDDEN });
    assert_ne!(script.machine.health(), &Health::Healthy, "the other server answers on new connections");
}

#[test]
fn a_pool_without_connections_is_a_doubt_that_calls_for_no_probe() {
    let mut script = probed();
    assert_eq!(script.tell(Event::Reported(Report::Emptied)), []);
    script.wake();
    script.tell(Event::Probed { probe: 2, identity: HIDDEN });
    assert_ne!(script.machine.health(), &Health::Healthy);
}

#[test]
fn a_pooled_connection_that_fails_is_a_doubt_like_one_that_breaks() {
    let mut script = probed();
    script.wake();
    script.tell(Event::ProbeFailed { probe: 2, error: Class::Transport });
    script.tell(Event::Probed { probe: 2, identity: HIDDEN });
    assert_ne!(script.machine.health(), &Health::Healthy);
    assert_eq!(script.machine.link().and_then(|link| link.revision), Some(revision(1_000)));
}

#[test]
fn a_server_that_hides_the_identity_that_is_demanded_is_another_error_than_another_cluster() {
    for (identity, error) in [(HIDDEN, Class::Other), (id(2), Class::Config)] {
        let mut script = Script::new();
        script.tell(Event::Adopted(Expected { pin: Some(named(1)), ..Expected::default() }));
        let effects = script.tell(Event::Opened { attempt: 1, opened: Opened { identity, ..opened(1) } });
        assert_eq!(effects, [Effect::Discard { attempt: 1 }]);
        assert_eq!(script.machine.attempt_error(), Some(&error));
    }
}

#[test]
fn a_new_connection_that_hides_what_the_pool_shows_is_a_doubt() {
    let mut script = probed();
    script.advance(Timing::default().probe_spacing);
    script.tell(Event::Reported(Report::Widened));
    assert_eq!(script.tell(Event::Probed { probe: 2, identity: id(1) }), [Effect::Probe { probe: 2, fresh: true }]);
    script.tell(Event::Probed { probe: 2, identity: HIDDEN });
    assert_eq!(script.machine.health(), &Health::Failing { failures: 1, error: Class::Other });
}

#[test]
fn a_pool_that_answers_with_an_error_leaves_no_doubt() {
    for error in [Class::Throttled { retry_after: None }, Class::Unauthorized, Class::Other] {
        let mut script = probed();
        script.wake();
        script.tell(Event::ProbeFailed { probe: 2, error });
        script.tell(Event::Reported(Report::Widened));
        script.wake();
        script.tell(Event::Probed { probe: 3, identity: HIDDEN });
        script.tell(Event::Probed { probe: 3, identity: HIDDEN });
        assert_eq!(script.machine.health(), &Health::Healthy, "{error:?}");
    }
}

#[test]
fn a_server_that_was_away_has_not_hidden_its_identity_for_a_while() {
    let away = |script: &mut Script| {
        script.advance(Timing::default().hidden_grace());
        script.tell(Event::Woke)
    };
    let mut script = broken();
    script.tell(Event::Probed { probe: 2, identity: HIDDEN });
    script.wake();
    script.tell(Event::ProbeFailed { probe: 3, error: Class::Transport });
    script.tell(Event::ProbeFailed { probe: 3, error: Class::Transport });
    assert_eq!(away(&mut script), [Effect::Probe { probe: 4, fresh: true }]);
    script.tell(Event::Probed { probe: 4, identity: HIDDEN });
    assert!(script.machine.link().is_some(), "two answers, and an outage between them");

    let mut script = Script::new();
    let known = Some(Known { identity: named(1), revision: revision(700) });
    script.tell(Event::Adopted(Expected { known, ..Expected::default() }));
    let opened = || Opened { identity: HIDDEN, ..opened(1) };
    script.tell(Event::Opened { attempt: 1, opened: opened() });
    script.wake();
    script.tell(Event::OpenFailed { attempt: 2, error: Class::Transport });
    assert_eq!(away(&mut script), [Effect::Open { attempt: 3 }]);
    script.tell(Event::Opened { attempt: 3, opened: opened() });
    assert!(script.machine.link().is_none(), "the same for attempts");
}

#[test]
fn a_revision_that_the_status_names_closes_the_connections_that_showed_the_identity() {
    let mut script = probed();
    let known = Some(Known { identity: named(1), revision: revision(2_000) });
    let effects = script.tell(Event::Adopted(Expected { known, ..Expected::default() }));
    assert_eq!(effects.last(), Some(&Effect::Probe { probe: 2, fresh: false }));
    script.tell(Event::Probed { probe: 2, identity: HIDDEN });
    assert_ne!(script.machine.health(), &Health::Healthy);
}

#[test]
fn a_restart_with_a_known_incarnation_waits_for_a_server_that_starts() {
    let known = || Some(Known { identity: named(1), revision: revision(700) });
    for identity in [UNREADY, HIDDEN] {
        let mut script = Script::new();
        script.tell(Event::Adopted(Expected { known: known(), ..Expected::default() }));
        let shown = |identity| Opened { identity, ..opened(1) };
        assert_eq!(
            script.tell(Event::Opened { attempt: 1, opened: shown(identity) }),
            [Effect::Discard { attempt: 1 }]
        );
        assert_eq!(script.machine.unavailable(), Some(Class::Other));
        let mut says_so = Script { machine: script.machine.clone(), ..script };
        says_so.wake();
        says_so.tell(Event::Opened { attempt: 2, opened: shown(id(1)) });
        assert_eq!(says_so.served(), Some(700));

        script.advance(Timing::default().hidden_grace());
        script.tell(Event::Woke);
        script.tell(Event::Opened { attempt: 2, opened: shown(identity) });
        assert_eq!(script.served().is_some(), identity == HIDDEN, "a ready one is served after all");
    }
}

#[test]
fn a_reset_gives_up_what_was_known_and_asks_the_cluster_at_once() {
    let mut script = broken();
    for probe in 2..=4 {
        script.tell(Event::Probed { probe, identity: UNREADY });
        script.wake();
    }
    assert_eq!(script.served(), None);
    script.tell(Event::Asked { request: 1, what: Request::Probe });
    let effects = script.tell(Event::Asked { request: 2, what: Request::Reset { candidate: revision(2_000) } });
    // The probe under way would fail with the connections of the handle.
    assert_eq!(effects[1], Effect::AbortProbe { probe: 5 });
    assert_eq!(effects.last(), Some(&Effect::Probe { probe: 6, fresh: false }));
    let effects = script.tell(Event::Probed { probe: 6, identity: UNREADY });
    assert_eq!(effects, [Effect::Answer { request: 1, outcome: Outcome::Served(revision(2_000)) }]);
    assert_eq!((script.served(), script.machine.health()), (Some(2_000), &Health::Healthy));
    let mut script = Script::new();
    let known = Some(Known { identity: named(1), revision: revision(700) });
    script.tell(Event::Adopted(Expected { known, ..Expected::default() }));
    script.tell(Event::Asked { request: 1, what: Request::Reset { candidate: revision(2_000) } });
    script.tell(Event::Opened { attempt: 1, opened: Opened { identity: UNREADY, ..opened(1) } });
    assert!(script.served() > Some(700));
}
