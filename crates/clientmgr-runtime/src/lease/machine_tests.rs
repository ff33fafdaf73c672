//! The machine, one behaviour a test.

use std::time::Duration;

use super::machine::{Machine, Step};
use super::record::{Record, Versioned};
use super::timings::LeaseTimings;

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn machine() -> Machine {
    Machine::new("me".into(), LeaseTimings::default())
}

fn lease(holder: &str, version: &str) -> Versioned {
    let record = Record { holder: holder.into(), duration: at(15), transitions: 3, acquired: false };
    Versioned { record, version: version.into() }
}

fn writes(machine: &Machine, now: Duration) -> Option<(String, Option<String>, i32)> {
    match machine.next(now) {
        Step::Write { record, version } => Some((record.holder, version, record.transitions)),
        _ => None,
    }
}

/// A machine whose write, sent at zero, was confirmed a second later.
fn leader() -> Machine {
    let mut machine = machine();
    machine.read(at(0), None);
    machine.written(at(0), at(1), lease("me", "1"));
    machine
}

#[test]
fn a_missing_lease_is_created() {
    let mut machine = machine();
    assert_eq!(machine.next(at(0)), Step::Read);
    machine.read(at(0), None);
    assert_eq!(writes(&machine, at(0)), Some(("me".into(), None, 0)));
    assert!(!machine.is_leader(at(0)));
}

#[test]
fn a_lease_of_another_one_is_taken_when_no_change_was_seen_for_its_duration() {
    let mut machine = machine();
    machine.read(at(100), Some(lease("other", "7")));
    assert_eq!(machine.next(at(100)), Step::Wait { until: at(102) });
    assert_eq!(machine.next(at(102)), Step::Read);
    machine.read(at(114), Some(lease("other", "7")));
    assert_eq!(writes(&machine, at(116)), Some(("me".into(), Some("7".into()), 4)));
    // A change seen in the meantime starts the wait anew.
    machine.read(at(116), Some(lease("other", "8")));
    assert_eq!(writes(&machine, at(130)), None);
    assert!(writes(&machine, at(131)).is_some());
}

#[test]
fn a_longer_duration_in_the_lease_is_waited_for() {
    let mut machine = machine();
    let mut long = lease("other", "7");
    long.record.duration = at(60);
    machine.read(at(0), Some(long));
    assert_eq!(writes(&machine, at(59)), None);
    assert!(writes(&machine, at(60)).is_some());
}

#[test]
fn a_released_lease_is_taken_at_once() {
    let mut machine = machine();
    machine.read(at(5), Some(lease("", "7")));
    assert_eq!(writes(&machine, at(5)), Some(("me".into(), Some("7".into()), 4)));
}

#[test]
fn a_term_lasts_from_the_moment_at_which_the_write_was_sent() {
    let machine = leader();
    assert!(machine.is_leader(at(9)));
    assert!(!machine.is_leader(at(10)));
    assert_eq!(machine.held_until(at(9)), Some(at(10)));
}

#[test]
fn the_holder_renews_after_the_retry_period() {
    let machine = leader();
    assert_eq!(machine.next(at(1)), Step::Wait { until: at(3) });
    assert_eq!(writes(&machine, at(3)), Some(("me".into(), Some("1".into()), 3)));
}

#[test]
fn a_renewal_without_an_answer_prolongs_nothing_and_is_looked_up() {
    let mut machine = leader();
    machine.write_failed(at(4));
    assert_eq!(machine.next(at(6)), Step::Read);
    // The server had stored it.
    machine.read(at(6), Some(lease("me", "2")));
    assert!(!machine.is_leader(at(10)));
    assert_eq!(writes(&machine, at(6)), Some(("me".into(), Some("2".into()), 3)));
    machine.written(at(6), at(7), lease("me", "3"));
    assert!(machine.is_leader(at(15)));
}

#[test]
fn a_lease_that_another_one_holds_ends_the_term_at_once() {
    let mut machine = leader();
    machine.conflicted(at(4));
    assert_eq!(machine.next(at(4)), Step::Read);
    machine.read(at(4), Some(lease("other", "2")));
    assert!(!machine.is_leader(at(4)));
}

#[test]
fn a_deleted_lease_ends_the_term() {
    let mut machine = leader();
    machine.conflicted(at(4));
    machine.read(at(4), None);
    assert!(!machine.is_leader(at(4)));
    assert_eq!(writes(&machine, at(4)), Some(("me".into(), None, 0)));
}

#[test]
fn a_release_ends_the_term_and_clears_the_holder() {
    let mut machine = leader();
    machine.resign();
    assert!(!machine.is_leader(at(2)));
    // A renewal that was under way has been stored.
    let (record, version) = machine.release(&lease("me", "2")).unwrap();
    assert_eq!((record.holder.as_str(), record.transitions, version.as_str()), ("", 3, "2"));
    // Another one has taken it, or released it.
    assert_eq!(machine.release(&lease("other", "2")), None);
    assert_eq!(machine.release(&lease("", "2")), None);
}

#[test]
fn a_server_that_fails_for_longer_than_the_term_ends_it_and_the_same_holder_goes_on_after_it() {
    let mut machine = leader();
    let mut now = at(3);
    assert!(writes(&machine, now).is_some());
    machine.write_failed(now);
    while now < at(30) {
        now += at(2);
        assert_eq!(machine.next(now), Step::Read);
        machine.read_failed(now);
        assert_eq!(machine.is_leader(now), now < at(10), "at {now:?}");
    }
    now += at(2);
    machine.read(now, Some(lease("me", "1")));
    // It leads only when the server has confirmed it, without a transition.
    assert!(!machine.is_leader(now));
    assert_eq!(writes(&machine, now), Some(("me".into(), Some("1".into()), 3)));
    machine.written(now, now, lease("me", "2"));
    assert!(machine.is_leader(now));
}

#[test]
fn a_failed_look_is_repeated_after_the_retry_period() {
    let mut machine = machine();
    machine.read_failed(at(1));
    assert_eq!(machine.next(at(1)), Step::Wait { until: at(3) });
    assert_eq!(machine.next(at(3)), Step::Read);
}
