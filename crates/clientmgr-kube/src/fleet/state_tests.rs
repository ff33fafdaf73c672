//! Every state of a cluster against every event, held against a table that is written out by hand.

use clientmgr_core::ConnectedAt;

use super::{Effect, Event, Served, State, Step, Want};

type Life = State<char, &'static str>;
type Happening = Event<char, &'static str>;

fn at(micros: i64) -> ConnectedAt {
    ConnectedAt::from_unix_micros(micros).unwrap()
}

/// The connection of revision 1, to endpoint 1.
const OLD: char = 'o';

fn old() -> Served<char> {
    Served { client: OLD, revision: at(1), endpoint: 1 }
}

fn new() -> Served<char> {
    Served { client: 'n', revision: at(2), endpoint: 1 }
}

const ATTEMPT: u64 = 7;

/// Every state; the attempt under way is the seventh, what stands or is retained is `old`.
fn states() -> [(&'static str, Life); 9] {
    [
        ("idle", State::Idle),
        ("connecting", State::Connecting { attempt: ATTEMPT }),
        ("connected", State::Connected { current: old() }),
        ("replacing", State::Replacing { current: old(), attempt: ATTEMPT }),
        ("failing", State::Failing { error: "e", retained: None }),
        ("failing+", State::Failing { error: "e", retained: Some(old()) }),
        ("retrying", State::Retrying { error: "e", retained: None, attempt: ATTEMPT }),
        ("retrying+", State::Retrying { error: "e", retained: Some(old()), attempt: ATTEMPT }),
        ("removed", State::Removed),
    ]
}

/// How a state reads in the tables: with the attempt, the error, and what is served or retained, where it has them.
fn show(state: &Life) -> String {
    match state {
        State::Idle => "idle".into(),
        State::Connecting { attempt } => format!("connecting {attempt}"),
        State::Connected { current } => format!("connected {}", current.client),
        State::Replacing { current, attempt } => format!("replacing {} {attempt}", current.client),
        State::Failing { error, retained } => {
            format!("failing {error} {}", retained.as_ref().map_or('-', |served| served.client))
        }
        State::Retrying { error, retained, attempt } => {
            format!("retrying {error} {} {attempt}", retained.as_ref().map_or('-', |served| served.client))
        }
        State::Removed => "removed".into(),
    }
}

fn show_effect(effect: Effect) -> String {
    match effect {
        Effect::None => String::new(),
        Effect::Connect => "connect".into(),
        Effect::Standing { revision } => format!("standing {}", revision.as_unix_micros()),
        Effect::Wait { attempt } => format!("wait {attempt}"),
        Effect::Check { revision } => format!("check {}", revision.as_unix_micros()),
        Effect::Late { served: None } => "late".into(),
        Effect::Late { served: Some(revision) } => format!("late {}", revision.as_unix_micros()),
        Effect::Gone => "gone".into(),
    }
}

/// Puts `event` to every state, in the order of [`states`].
fn check(event: &Happening, expected: &[(&str, &str); 9]) {
    for ((name, state), &(after, effect)) in states().into_iter().zip(expected) {
        let Step { next, effect: done, .. } = state.step(event.clone());
        assert_eq!((show(&next), show_effect(done)), (after.into(), effect.into()), "{name} × {event:?}");
    }
}

/// The event is of the past: it changes no state, and whoever sent it is told what is served by now.
fn check_late(event: &Happening) {
    for (name, state) in states() {
        let served = state.served().map(|served| served.revision);
        let Step { next, effect, .. } = state.clone().step(event.clone());
        assert_eq!((next, effect), (state, Effect::Late { served }), "{name} × {event:?}");
    }
}

#[test]
fn a_connection_is_made_where_none_is_served() {
    check(
        &Event::Wanted { want: Want::Any, attempt: 8, endpoint: 1 },
        &[
            ("connecting 8", "connect"),
            ("connecting 7", "wait 7"),
            ("connected o", "standing 1"),
            ("replacing o 7", "standing 1"),
            ("retrying e - 8", "connect"),
            ("retrying e o 8", "connect"),
            ("retrying e - 7", "wait 7"),
            ("retrying e o 7", "wait 7"),
            ("removed", "gone"),
        ],
    );
}

#[test]
fn a_connection_to_an_endpoint_that_was_replaced_is_replaced_too_and_served_meanwhile() {
    let Step { next, effect, .. } =
        Life::Connected { current: old() }.step(Event::Wanted { want: Want::Any, attempt: 8, endpoint: 2 });
    assert_eq!((show(&next), effect), ("replacing o 8".into(), Effect::Connect));
    assert_eq!(next.served(), Some(&old()));
}

#[test]
fn only_what_is_served_from_the_present_endpoint_suits_whoever_takes_any() {
    let suiting = |want, endpoint| states().map(|(_, state)| state.suiting(want, endpoint).is_some());
    assert_eq!(suiting(Want::Any, 1), [false, false, true, true, false, false, false, false, false]);
    assert_eq!(suiting(Want::Any, 2), [false; 9]);
    assert_eq!(suiting(Want::New, 1), [false; 9]);
}

#[test]
fn a_new_connection_is_made_even_where_one_is_served() {
    check(
        &Event::Wanted { want: Want::New, attempt: 8, endpoint: 1 },
        &[
            ("connecting 8", "connect"),
            ("connecting 7", "wait 7"),
            ("replacing o 8", "connect"),
            ("replacing o 7", "wait 7"),
            ("retrying e - 8", "connect"),
            ("retrying e o 8", "connect"),
            ("retrying e - 7", "wait 7"),
            ("retrying e o 7", "wait 7"),
            ("removed", "gone"),
        ],
    );
}

#[test]
fn what_the_attempt_under_way_made_is_served() {
    check(
        &Event::Made { attempt: ATTEMPT, made: new() },
        &[
            ("idle", "late"),
            ("connected n", ""),
            ("connected o", "late 1"),
            ("connected n", ""),
            ("failing e -", "late"),
            ("failing e o", "late"),
            ("connected n", ""),
            ("connected n", ""),
            ("removed", "late"),
        ],
    );
}

#[test]
fn an_attempt_that_failed_leaves_a_standing_connection_to_be_checked() {
    check(
        &Event::Failed { attempt: ATTEMPT, error: "f" },
        &[
            ("idle", "late"),
            ("failing f -", ""),
            ("connected o", "late 1"),
            ("connected o", "check 1"),
            ("failing e -", "late"),
            ("failing e o", "late"),
            ("failing f -", ""),
            ("failing f o", ""),
            ("removed", "late"),
        ],
    );
}

#[test]
fn an_attempt_that_was_given_up_leaves_all_as_it_was_before() {
    check(
        &Event::GivenUp { attempt: ATTEMPT },
        &[
            ("idle", "late"),
            ("idle", ""),
            ("connected o", "late 1"),
            ("connected o", ""),
            ("failing e -", "late"),
            ("failing e o", "late"),
            ("failing e -", ""),
            ("failing e o", ""),
            ("removed", "late"),
        ],
    );
}

#[test]
fn a_late_answer_of_an_old_attempt_changes_nothing() {
    for attempt in [ATTEMPT - 1, ATTEMPT + 1] {
        check_late(&Event::Made { attempt, made: new() });
        check_late(&Event::Failed { attempt, error: "f" });
        check_late(&Event::GivenUp { attempt });
    }
}

#[test]
fn a_check_that_passes_has_the_retained_connection_served_again() {
    check(
        &Event::Passed { revision: at(1) },
        &[
            ("idle", "late"),
            ("connecting 7", "late"),
            ("connected o", ""),
            ("replacing o 7", ""),
            ("failing e -", "late"),
            ("connected o", ""),
            ("retrying e - 7", "late"),
            ("replacing o 7", ""),
            ("removed", "late"),
        ],
    );
}

#[test]
fn a_check_that_fails_ends_the_serving_and_keeps_the_connection() {
    check(
        &Event::Lapsed { revision: at(1), endpoint: 1, error: "f" },
        &[
            ("idle", "late"),
            ("connecting 7", "late"),
            ("failing f o", ""),
            ("retrying f o 7", ""),
            ("failing e -", "late"),
            ("failing f o", ""),
            ("retrying e - 7", "late"),
            ("retrying f o 7", ""),
            ("removed", "late"),
        ],
    );
}

#[test]
fn a_check_that_is_turned_away_ends_no_serving_and_begins_none() {
    for endpoint in [1, 2] {
        // What is retained goes to the present endpoint, so the other one is only ever met by what is served.
        let retained =
            if endpoint == 1 { ("failing f o", "retrying f o 7") } else { ("failing f -", "retrying f - 7") };
        check(
            &Event::TurnedAway { revision: at(1), endpoint, error: "f" },
            &[
                ("idle", "late"),
                ("connecting 7", "late"),
                ("connected o", ""),
                ("replacing o 7", ""),
                ("failing e -", "late"),
                (retained.0, ""),
                ("retrying e - 7", "late"),
                (retained.1, ""),
                ("removed", "late"),
            ],
        );
    }
}

#[test]
fn a_connection_to_an_endpoint_that_was_replaced_is_not_kept_once_it_failed_a_check() {
    check(
        &Event::Lapsed { revision: at(1), endpoint: 2, error: "f" },
        &[
            ("idle", "late"),
            ("connecting 7", "late"),
            ("failing f -", ""),
            ("retrying f - 7", ""),
            ("failing e -", "late"),
            ("failing f -", ""),
            ("retrying e - 7", "late"),
            ("retrying f - 7", ""),
            ("removed", "late"),
        ],
    );
}

#[test]
fn what_is_under_way_and_what_is_retained_go_with_the_endpoint_and_what_is_served_stays() {
    check(
        &Event::Redirected,
        &[
            ("idle", ""),
            ("idle", ""),
            ("connected o", ""),
            ("connected o", ""),
            ("failing e -", ""),
            ("failing e -", ""),
            ("failing e -", ""),
            ("failing e -", ""),
            ("removed", ""),
        ],
    );
}

#[test]
fn a_late_check_of_an_old_connection_changes_nothing() {
    check_late(&Event::Passed { revision: at(9) });
    check_late(&Event::Lapsed { revision: at(9), endpoint: 1, error: "f" });
    check_late(&Event::TurnedAway { revision: at(9), endpoint: 1, error: "f" });
}

#[test]
fn a_removed_cluster_stays_removed() {
    check(&Event::Removed, &[("removed", ""); 9]);
}

#[test]
fn only_a_connection_that_passed_its_last_check_is_served() {
    let served = states().map(|(_, state)| state.served().is_some());
    assert_eq!(served, [false, false, true, true, false, false, false, false, false]);
    let checkable = states().map(|(_, state)| state.checkable().is_some());
    assert_eq!(checkable, [false, false, true, true, false, true, false, true, false]);
    let under_way = states().map(|(_, state)| state.attempt().is_some());
    assert_eq!(under_way, [false, true, false, true, false, false, true, true, false]);
}

#[test]
fn a_connection_that_nobody_needs_any_more_is_handed_out_and_no_other() {
    // In the order of [`states`]: the client that is handed out, by its letter.
    let table: [(Happening, &str); 12] = [
        (Event::Wanted { want: Want::New, attempt: 8, endpoint: 2 }, "---------"),
        (Event::Made { attempt: ATTEMPT, made: new() }, "n-nonn-on"),
        (Event::Made { attempt: ATTEMPT + 1, made: new() }, "nnnnnnnnn"),
        (Event::Failed { attempt: ATTEMPT, error: "f" }, "---------"),
        (Event::GivenUp { attempt: ATTEMPT }, "---------"),
        (Event::Redirected, "-----o-o-"),
        (Event::Passed { revision: at(1) }, "---------"),
        (Event::Lapsed { revision: at(1), endpoint: 1, error: "f" }, "---------"),
        (Event::Lapsed { revision: at(1), endpoint: 2, error: "f" }, "--oo-o-o-"),
        (Event::TurnedAway { revision: at(1), endpoint: 1, error: "f" }, "---------"),
        (Event::TurnedAway { revision: at(1), endpoint: 2, error: "f" }, "-----o-o-"),
        (Event::Removed, "--oo-o-o-"),
    ];
    for (event, expected) in table {
        let retired = states().map(|(_, state)| state.step(event.clone()).retired.map_or('-', |served| served.client));
        assert_eq!(retired.iter().collect::<String>(), expected, "{event:?}");
    }
}
