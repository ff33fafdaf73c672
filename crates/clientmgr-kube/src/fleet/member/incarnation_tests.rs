//! The rules of the machine about incarnations: adoption, naming, and what outlives a member.

use super::event::{Class, Effect, Event, Expected, FenceReason, Known, Opened, Outcome, Request};
use super::exploration::{Id, UNTOLD};
use super::machine::Machine;
use super::machine_tests::{Script, opened, revision};
use crate::config::Naming;
use crate::fleet::timing::Timing;

/// What a configuration says that only adopts, where the status names `identity` under a revision.
fn adopt_only(known: Option<(u8, i64)>) -> Expected<Id> {
    let known = known.map(|(identity, micros)| Known { identity: Id(identity), revision: revision(micros) });
    Expected { pin: None, known, naming: Naming::AdoptOnly }
}

/// A machine that only adopts, connected to cluster 1.
fn adopting(known: Option<(u8, i64)>) -> (Script, Vec<Effect<Class>>) {
    let mut script = Script::new();
    script.tell(Event::Adopted(adopt_only(known)));
    let effects = script.tell(Event::Opened { attempt: 1, opened: opened(1) });
    (script, effects)
}

const UNKNOWN: Outcome<Class> = Outcome::Failed(Class::Other);

#[test]
fn a_process_that_only_adopts_serves_the_incarnation_that_the_status_names() {
    let (script, effects) = adopting(Some((1, 700)));
    let serve = Effect::Serve { revision: revision(700), generation: 1 };
    assert_eq!(effects, [Effect::Install { attempt: 1 }, serve]);
    assert_eq!(script.served(), Some(700));
}

#[test]
fn a_process_that_only_adopts_keeps_an_unknown_incarnation_ready_and_serves_it_once_it_is_named() {
    for known in [None, Some((2, 700))] {
        let (mut script, effects) = adopting(known);
        assert_eq!(effects, [Effect::Install { attempt: 1 }]);
        assert_eq!((script.served(), script.machine.unavailable()), (None, Some(Class::Other)));
        assert_eq!(script.machine.link().map(|link| link.identity), Some(Id(1)), "the snapshot shows it");

        let waiting = script.tell(Event::Asked { request: 1, what: Request::Connected });
        assert_eq!(waiting, [Effect::Answer { request: 1, outcome: UNKNOWN }], "at once");
        script.tell(Event::Asked { request: 2, what: Request::Probe });
        let effects = script.tell(Event::Probed { probe: 1, identity: Some(Id(1)) });
        assert_eq!(effects, [Effect::Answer { request: 2, outcome: UNKNOWN }]);

        let effects = script.tell(Event::Adopted(adopt_only(Some((1, 900)))));
        assert_eq!(effects, [Effect::Serve { revision: revision(900), generation: 1 }], "without an attempt");
        assert_eq!((script.served(), script.machine.unavailable()), (Some(900), None));
    }
}

#[test]
fn a_process_that_only_adopts_fences_a_replaced_cluster_and_serves_nothing_until_the_other_one_is_named() {
    let (mut script, _) = adopting(Some((1, 700)));
    script.tell(Event::ClockJumped);
    let effects = script.tell(Event::Probed { probe: 1, identity: Some(Id(2)) });
    assert_eq!(effects[0], Effect::Fence { revision: revision(700), reason: FenceReason::Replaced });
    assert_eq!(script.tell(Event::Opened { attempt: 2, opened: opened(2) }), [Effect::Install { attempt: 2 }]);
    assert_eq!(script.tell(Event::Adopted(adopt_only(Some((1, 700))))), [], "a lagging read");
    script.tell(Event::Adopted(adopt_only(Some((2, 800)))));
    assert_eq!(script.served(), Some(800));
}

#[test]
fn a_process_that_only_adopts_fences_what_it_serves_when_the_status_names_another_cluster() {
    let (mut script, _) = adopting(Some((1, 700)));
    assert_eq!(script.tell(Event::Adopted(adopt_only(Some((2, 600))))), [], "a lagging read");
    let effects = script.tell(Event::Adopted(adopt_only(Some((2, 800)))));
    let fence = Effect::Fence { revision: revision(700), reason: FenceReason::Replaced };
    assert_eq!(effects, [fence, Effect::Probe { probe: 1, fresh: false }]);
    assert_eq!(script.served(), None);
}

#[test]
fn a_revision_that_was_fenced_is_not_served_again() {
    let (mut script, _) = adopting(Some((1, 700)));
    script.tell(Event::ClockJumped);
    script.tell(Event::Probed { probe: 1, identity: Some(Id(2)) });
    // The cluster of before is back.
    script.tell(Event::Opened { attempt: 2, opened: opened(1) });
    assert_eq!(script.served(), None, "state on its fenced handle would pass for current");
    script.tell(Event::Adopted(adopt_only(Some((1, 701)))));
    assert_eq!(script.served(), Some(701));
}

#[test]
fn a_process_that_only_adopts_follows_a_reset_and_makes_none() {
    let (mut script, _) = adopting(Some((1, 700)));
    let effects = script.tell(Event::Asked { request: 1, what: Request::Reset { candidate: revision(5_000) } });
    assert_eq!(effects, [Effect::Answer { request: 1, outcome: UNKNOWN }]);
    let effects = script.tell(Event::Adopted(adopt_only(Some((1, 800)))));
    let fence = Effect::Fence { revision: revision(700), reason: FenceReason::Reset };
    assert_eq!(effects, [fence, Effect::Serve { revision: revision(800), generation: 1 }]);
}

#[test]
fn to_adopt_only_or_not_changes_nothing_of_what_is_served() {
    let mut script = Script::connected();
    for expected in [adopt_only(None), Expected::default(), adopt_only(Some((1, 1_000))), Expected::default()] {
        assert_eq!(script.tell(Event::Adopted(expected)), []);
        assert_eq!(script.served(), Some(1_000));
    }
}

#[test]
fn a_process_that_may_name_incarnations_again_names_the_one_that_is_ready() {
    let (mut script, _) = adopting(Some((2, 5_000)));
    let effects = script.tell(Event::Adopted(Expected::default()));
    assert_eq!(effects, [Effect::Serve { revision: revision(5_001), generation: 1 }], "later than all that are known");
}

#[test]
fn an_unknown_incarnation_that_does_not_answer_shows_its_failure() {
    let (mut script, _) = adopting(None);
    for probe in 1..=3 {
        script.wake();
        script.fail_probe(probe);
    }
    assert_eq!(script.machine.unavailable(), Some(Class::Transport));
    script.tell(Event::Adopted(adopt_only(Some((1, 900)))));
    assert_eq!(script.served(), None);
    script.wake();
    script.tell(Event::Probed { probe: 4, identity: Some(Id(1)) });
    assert_eq!(script.served(), Some(900));
}

#[test]
fn refused_requests_are_answered_also_where_an_unknown_incarnation_answers() {
    let (mut script, _) = adopting(Some((1, 700)));
    script.tell(Event::Configured(adopt_only(Some((1, 700)))));
    script.tell(Event::Asked { request: 1, what: Request::NewerThan { generation: 1 } });
    let effects = script.tell(Event::Opened { attempt: 2, opened: opened(2) });
    assert!(effects.contains(&Effect::Answer { request: 1, outcome: UNKNOWN }), "{effects:?}");
}

#[test]
fn a_reset_before_a_connection_is_followed_by_a_later_revision_than_the_known_one() {
    let mut script = Script::new();
    let known = Some(Known { identity: Id(1), revision: revision(5_000) });
    script.tell(Event::Adopted(Expected { known, ..Expected::default() }));
    let reset = Request::Reset { candidate: revision(500) };
    assert_eq!(script.tell(Event::Asked { request: 1, what: reset }), []);
    let effects = script.tell(Event::Opened { attempt: 1, opened: opened(1) });
    assert!(effects.contains(&Effect::Answer { request: 1, outcome: Outcome::Served(revision(5_001)) }), "{effects:?}");
    let known = Some(Known { identity: Id(1), revision: revision(5_000) });
    script.tell(Event::Configured(Expected { known, ..Expected::default() }));
    script.tell(Event::Opened { attempt: 2, opened: opened(1) });
    assert_eq!(script.served(), Some(5_001), "one reset");
}

#[test]
fn a_member_that_follows_another_one_goes_not_back_behind_it() {
    let mut script = Script::connected();
    script.tell(Event::Asked { request: 1, what: Request::Reset { candidate: revision(500) } });
    script.tell(Event::Removed);
    let past = script.machine.past();
    for (stale, expected) in [(900, 1_002), (1_000, 1_002), (1_001, 1_001), (1_005, 1_005)] {
        let mut next = Script::new();
        next.machine = Machine::new(Timing::default(), past);
        let known = Some(Known { identity: Id(1), revision: revision(stale) });
        next.tell(Event::Configured(Expected { known, ..Expected::default() }));
        next.tell(Event::Opened { attempt: 1, opened: opened(1) });
        assert_eq!(next.served(), Some(expected), "the status names {stale}");
    }
}

#[test]
fn an_adopted_incarnation_keeps_its_revision_and_another_one_gets_a_later() {
    for (identity, expected) in [(0, 5_000), (1, 5_001)] {
        let mut script = Script::new();
        let known = Known { identity: Id(0), revision: revision(5_000) };
        script.tell(Event::Configured(Expected { known: Some(known), ..Expected::default() }));
        script.tell(Event::Opened { attempt: 2, opened: opened(identity) });
        assert_eq!(script.served(), Some(expected), "the clock says 1,000");
    }
}

/// What the snapshot shows, and what is served.
fn shown(script: &Script) -> (Option<Id>, Option<i64>) {
    (script.machine.link().map(|link| link.shown), script.served())
}

#[test]
fn a_cluster_that_no_longer_says_which_it_is_stays_the_same_and_the_snapshot_says_so() {
    let mut script = Script::connected();
    script.tell(Event::ClockJumped);
    assert_eq!(script.tell(Event::Probed { probe: 1, identity: Some(UNTOLD) }), []);
    assert_eq!(shown(&script), (Some(UNTOLD), Some(1_000)));
    // So does one whose new credentials may not read it.
    script.tell(Event::FilesChanged);
    script.tell(Event::Opened { attempt: 2, opened: Opened { identity: UNTOLD, ..opened(1) } });
    assert_eq!(shown(&script), (Some(UNTOLD), Some(1_000)));
    // It is remembered all the same.
    script.tell(Event::ClockJumped);
    let effects = script.tell(Event::Probed { probe: 2, identity: Some(Id(2)) });
    assert_eq!(effects[0], Effect::Fence { revision: revision(1_000), reason: FenceReason::Replaced });
}

#[test]
fn a_cluster_that_does_not_say_which_it_is_after_a_connection_broke_counts_as_another_one() {
    let fence = Effect::Fence { revision: revision(1_000), reason: FenceReason::Replaced };
    let broken = || {
        let mut script = Script::connected();
        script.tell(Event::Broken { generation: 1 });
        script
    };
    let mut by_a_probe = broken();
    let effects = by_a_probe.tell(Event::Probed { probe: 1, identity: Some(UNTOLD) });
    assert_eq!(effects, [fence.clone(), Effect::Open { attempt: 2 }]);
    by_a_probe.tell(Event::Opened { attempt: 2, opened: Opened { identity: UNTOLD, ..opened(1) } });
    assert_eq!(shown(&by_a_probe), (Some(UNTOLD), Some(1_001)));
    // From now on the address is all there is, and breaks change nothing.
    by_a_probe.tell(Event::Broken { generation: 2 });
    by_a_probe.tell(Event::Probed { probe: 2, identity: Some(UNTOLD) });
    assert_eq!(by_a_probe.served(), Some(1_001));

    for is_same in [true, false] {
        let mut by_an_attempt = broken();
        by_an_attempt.tell(Event::FilesChanged);
        let effects =
            by_an_attempt.tell(Event::Opened { attempt: 2, opened: Opened { identity: UNTOLD, is_same, ..opened(1) } });
        assert_eq!(effects[0], fence);
        assert_eq!(shown(&by_an_attempt), (Some(UNTOLD), Some(1_001)));
    }

    // One that says that it is the same ends the doubt, unless the connection broke once more meanwhile.
    for (breaks, served) in [(0, Some(1_000)), (1, None)] {
        let mut script = broken();
        for _ in 0..breaks {
            script.tell(Event::Broken { generation: 1 });
        }
        script.tell(Event::Probed { probe: 1, identity: Some(Id(1)) });
        script.wake();
        script.tell(Event::Probed { probe: 2, identity: Some(UNTOLD) });
        assert_eq!(script.served(), served, "after {breaks} breaks more");
    }
}

#[test]
fn a_pooled_connection_that_fails_is_a_doubt_like_one_that_breaks() {
    let mut script = Script::connected();
    script.wake();
    script.tell(Event::ProbeFailed { probe: 1, error: Class::Transport });
    let effects = script.tell(Event::Probed { probe: 1, identity: Some(UNTOLD) });
    assert_eq!(effects[0], Effect::Fence { revision: revision(1_000), reason: FenceReason::Replaced });
}
