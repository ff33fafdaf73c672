//! The rules of the machine about incarnations: adoption, naming, and what outlives a member.

use super::event::{Class, Effect, Event, Expected, FenceReason, Known, Opened, Outcome, Request};
use super::machine::Machine;
use super::machine_tests::{Script, opened, revision};
use super::model_identity::{HIDDEN, Id, id, named};
use crate::config::Naming;
use crate::fleet::timing::Timing;

/// What a configuration says that only adopts, where the status names `identity` under a revision.
fn adopt_only(known: Option<(u8, i64)>) -> Expected<Id> {
    let known = known.map(|(identity, micros)| Known { identity: named(identity), revision: revision(micros) });
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
        assert_eq!(script.machine.link().map(|link| link.identity), Some(id(1)), "the snapshot shows it");

        let waiting = script.tell(Event::Asked { request: 1, what: Request::Connected });
        assert_eq!(waiting, [Effect::Answer { request: 1, outcome: UNKNOWN }], "at once");
        script.tell(Event::Asked { request: 2, what: Request::Probe });
        let effects = script.tell(Event::Probed { probe: 1, identity: id(1) });
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
    let effects = script.tell(Event::Probed { probe: 1, identity: id(2) });
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
fn a_process_that_only_adopts_serves_the_named_incarnation_again_after_another_cluster_answered_for_a_moment() {
    let (mut script, _) = adopting(Some((1, 700)));
    script.tell(Event::ClockJumped);
    script.tell(Event::Probed { probe: 1, identity: id(2) });
    script.tell(Event::Opened { attempt: 2, opened: opened(2) });
    assert_eq!(script.served(), None);
    script.tell(Event::ClockJumped);
    script.tell(Event::Probed { probe: 2, identity: id(1) });
    let effects = script.tell(Event::Opened { attempt: 3, opened: opened(1) });
    assert_eq!(
        effects[1],
        Effect::Serve { revision: revision(700), generation: 3 },
        "the fence of its handle is lifted"
    );
}

#[test]
fn a_status_that_names_another_cluster_under_the_revision_in_use_is_not_followed() {
    let (mut script, _) = adopting(Some((1, 700)));
    assert_eq!(script.tell(Event::Adopted(adopt_only(Some((2, 700))))), []);
    assert_eq!(script.served(), Some(700));
}

#[test]
fn a_pin_that_the_connection_does_not_have_leads_to_an_attempt_and_what_is_served_stays_so() {
    let mut script = Script::connected();
    let pinned = Expected { pin: Some(named(2)), ..Expected::default() };
    assert_eq!(script.tell(Event::Adopted(pinned)), [Effect::Open { attempt: 2 }]);
    assert_eq!(script.served(), Some(1_000));

    let (mut script, _) = adopting(None);
    script.tell(Event::Adopted(Expected { pin: Some(named(2)), ..adopt_only(Some((1, 700))) }));
    assert_eq!(script.served(), None, "the status names a cluster that the configuration does not permit");
}

#[test]
fn a_member_that_follows_one_that_was_led_elsewhere_and_came_back_serves_the_named_incarnation() {
    let (mut script, _) = adopting(Some((1, 700)));
    script.tell(Event::ClockJumped);
    script.tell(Event::Probed { probe: 1, identity: id(2) });
    script.tell(Event::Opened { attempt: 2, opened: opened(1) });
    assert_eq!(script.served(), Some(700));
    script.tell(Event::Removed);

    let mut next = Script::new();
    next.machine = Machine::new(Timing::default(), script.machine.past());
    next.tell(Event::Configured(adopt_only(Some((1, 700)))));
    next.tell(Event::Opened { attempt: 1, opened: opened(1) });
    assert_eq!(next.served(), Some(700));
}

#[test]
fn a_cluster_that_hides_which_it_is_is_not_taken_for_the_one_that_was_left() {
    // The writer of the status knows the cluster by its address only.
    let known = Some(Known { identity: HIDDEN, revision: revision(700) });
    let mut script = Script::new();
    script.tell(Event::Adopted(Expected { known, ..adopt_only(None) }));
    script.tell(Event::Opened { attempt: 1, opened: opened(1) });
    assert_eq!(script.served(), Some(700));
    script.tell(Event::ClockJumped);
    script.tell(Event::Probed { probe: 1, identity: id(2) });
    script.tell(Event::Opened { attempt: 2, opened: Opened { identity: HIDDEN, ..opened(1) } });
    assert_eq!(script.served(), None);
}

#[test]
fn a_revision_that_was_fenced_is_not_served_for_another_cluster_nor_after_a_reset() {
    let (mut script, _) = adopting(Some((1, 700)));
    script.tell(Event::ClockJumped);
    script.tell(Event::Probed { probe: 1, identity: id(2) });
    script.tell(Event::Adopted(adopt_only(Some((2, 700)))));
    script.tell(Event::Opened { attempt: 2, opened: opened(2) });
    assert_eq!(script.served(), None, "state on the other cluster would pass for current");
    script.tell(Event::Adopted(adopt_only(Some((2, 701)))));
    assert_eq!(script.served(), Some(701));
    // A reset follows, and a read that lags.
    script.tell(Event::Adopted(adopt_only(Some((2, 702)))));
    script.tell(Event::Adopted(adopt_only(Some((2, 701)))));
    script.tell(Event::FilesChanged);
    script.tell(Event::Opened { attempt: 3, opened: opened(2) });
    assert_eq!(script.served(), Some(702));
}

#[test]
fn a_process_that_names_incarnations_gives_one_that_returns_a_later_revision() {
    let mut script = Script::connected();
    script.tell(Event::ClockJumped);
    script.tell(Event::Probed { probe: 1, identity: id(2) });
    script.tell(Event::Opened { attempt: 2, opened: opened(1) });
    assert_eq!(script.served(), Some(1_001));
}

#[test]
fn a_process_that_only_adopts_follows_a_reset_and_makes_none() {
    let (mut script, _) = adopting(Some((1, 700)));
    let effects = script.tell(Event::Asked { request: 1, what: Request::Reset { candidate: revision(5_000) } });
    assert_eq!(effects, [Effect::Answer { request: 1, outcome: UNKNOWN }]);
    let effects = script.tell(Event::Adopted(adopt_only(Some((1, 800)))));
    let fence = Effect::Fence { revision: revision(700), reason: FenceReason::Reset };
    let serve = Effect::Serve { revision: revision(800), generation: 1 };
    assert_eq!(effects, [fence, serve, Effect::Probe { probe: 1, fresh: false }], "its connections were closed");
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
    script.tell(Event::Probed { probe: 4, identity: id(1) });
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
fn a_rotation_that_shows_more_of_the_identity_is_served_under_the_later_revision_that_the_status_names_for_it() {
    let mut script = Script::new();
    script.tell(Event::Opened { attempt: 1, opened: Opened { identity: HIDDEN, ..opened(1) } });
    let known = Some(Known { identity: named(1), revision: revision(5_000) });
    script.tell(Event::Adopted(Expected { known, ..Expected::default() }));
    assert_eq!(script.served(), Some(1_000), "nothing shows that it is this one");
    script.tell(Event::FilesChanged);
    let effects = script.tell(Event::Opened { attempt: 2, opened: opened(1) });
    assert_eq!(effects[0], Effect::Fence { revision: revision(1_000), reason: FenceReason::Reset });
    assert!(effects.contains(&Effect::Serve { revision: revision(5_000), generation: 2 }), "{effects:?}");
}

#[test]
fn a_reset_before_a_connection_is_followed_by_a_later_revision_than_the_known_one() {
    let mut script = Script::new();
    let known = Some(Known { identity: named(1), revision: revision(5_000) });
    script.tell(Event::Adopted(Expected { known, ..Expected::default() }));
    let reset = Request::Reset { candidate: revision(500) };
    assert_eq!(script.tell(Event::Asked { request: 1, what: reset }), []);
    let effects = script.tell(Event::Opened { attempt: 1, opened: opened(1) });
    assert!(effects.contains(&Effect::Answer { request: 1, outcome: Outcome::Served(revision(5_001)) }), "{effects:?}");
    let known = Some(Known { identity: named(1), revision: revision(5_000) });
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
        let known = Some(Known { identity: named(1), revision: revision(stale) });
        next.tell(Event::Configured(Expected { known, ..Expected::default() }));
        next.tell(Event::Opened { attempt: 1, opened: opened(1) });
        assert_eq!(next.served(), Some(expected), "the status names {stale}");
    }
}

#[test]
fn an_adopted_incarnation_keeps_its_revision_and_another_one_gets_a_later() {
    for (identity, expected) in [(0, 5_000), (1, 5_001)] {
        let mut script = Script::new();
        let known = Known { identity: named(0), revision: revision(5_000) };
        script.tell(Event::Configured(Expected { known: Some(known), ..Expected::default() }));
        script.tell(Event::Opened { attempt: 2, opened: opened(identity) });
        assert_eq!(script.served(), Some(expected), "the clock says 1,000");
    }
}

#[test]
fn an_incarnation_that_the_status_names_by_its_uid_is_served_once_the_server_shows_that() {
    let mut script = Script::new();
    script.tell(Event::Adopted(adopt_only(None)));
    script.tell(Event::Opened { attempt: 1, opened: Opened { identity: HIDDEN, ..opened(1) } });
    script.tell(Event::Adopted(adopt_only(Some((1, 700)))));
    assert_eq!(script.served(), None, "nothing shows that it is this one");
    script.wake();
    let effects = script.tell(Event::Probed { probe: 1, identity: id(1) });
    assert_eq!(effects[0], Effect::Serve { revision: revision(700), generation: 1 });
}

#[test]
fn a_reset_beyond_the_end_of_the_calendar_is_an_error_and_never_the_same_revision_again() {
    let last = revision(jiff::Timestamp::MAX.as_second() * 1_000_000);
    let known = Some(Known { identity: named(1), revision: last });
    let mut script = Script::new();
    script.tell(Event::Adopted(Expected { known, ..Expected::default() }));
    script.tell(Event::Opened { attempt: 1, opened: opened(1) });
    assert_eq!(script.served(), Some(last.as_unix_micros()));
    let reset = Event::Asked { request: 1, what: Request::Reset { candidate: revision(1_000) } };
    assert_eq!(script.tell(reset), [Effect::Answer { request: 1, outcome: Outcome::Failed(Class::Config) }]);
    assert_eq!(script.served(), Some(last.as_unix_micros()));
    // Another cluster gets none either.
    script.tell(Event::ClockJumped);
    script.tell(Event::Probed { probe: 1, identity: id(2) });
    script.tell(Event::Opened { attempt: 2, opened: opened(2) });
    assert_eq!((script.served(), script.machine.unavailable()), (None, Some(Class::Config)));
    let connected = Event::Asked { request: 2, what: Request::Connected };
    assert_eq!(script.tell(connected), [Effect::Answer { request: 2, outcome: Outcome::Failed(Class::Config) }]);
}
