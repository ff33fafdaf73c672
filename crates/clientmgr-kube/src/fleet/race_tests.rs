//! Calls that overtake each other, step by step.

use std::pin::pin;

use super::stage::{Stage, begin, end};
use crate::ConnectFailure;

#[tokio::test]
async fn a_connect_of_a_connected_cluster_does_not_wait_for_a_reconnect() {
    let (mut stage, first) = Stage::connected();
    let (fleet, east) = stage.parts();
    let mut reconnecting = pin!(fleet.reconnect(&east));
    begin(reconnecting.as_mut());
    let opening = stage.open();

    assert_eq!(end(pin!(fleet.connect(&east))).unwrap(), first);
    opening.succeed();
    assert!(end(reconnecting).unwrap() > first);
}

#[tokio::test]
async fn what_failed_its_check_is_not_served_even_while_another_connection_is_made() {
    let (mut stage, _) = Stage::failing();
    assert_eq!(stage.served(), None);
    let (fleet, east) = stage.parts();
    let mut connecting = pin!(fleet.connect(&east));
    begin(connecting.as_mut());
    let _unanswered = stage.open();
    assert_eq!(stage.served(), None);
}

#[tokio::test]
async fn a_connect_that_waited_for_an_attempt_that_failed_takes_what_is_served_by_then() {
    let (mut stage, first) = Stage::failing();
    let (fleet, east) = stage.parts();
    let mut reconnecting = pin!(fleet.reconnect(&east));
    begin(reconnecting.as_mut());
    let opening = stage.open();
    let mut connecting = pin!(fleet.connect(&east));
    begin(connecting.as_mut());
    // The retained connection recovers while both wait.
    let mut checking = pin!(fleet.check(&east));
    begin(checking.as_mut());
    stage.prove().succeed();
    assert_eq!(end(checking).unwrap(), first);

    opening.fail();
    begin(reconnecting.as_mut());
    stage.prove().succeed();
    assert!(end(reconnecting).unwrap_err().is_unauthorized());
    assert_eq!(end(connecting).unwrap(), first);
    assert_eq!(stage.served(), Some(first));
}

#[tokio::test]
async fn a_reconnect_does_not_share_an_attempt_that_began_before_it() {
    let mut stage = Stage::new();
    let (fleet, east) = stage.parts();
    let mut connecting = pin!(fleet.connect(&east));
    begin(connecting.as_mut());
    let opening = stage.open();
    let (mut one, mut other) = (pin!(fleet.reconnect(&east)), pin!(fleet.reconnect(&east)));
    begin(one.as_mut());
    begin(other.as_mut());

    opening.fail();
    end(connecting).unwrap_err();
    begin(one.as_mut());
    begin(other.as_mut());
    stage.open().succeed();
    let revision = end(one).unwrap();
    assert_eq!(end(other).unwrap(), revision, "what waited together shares one attempt");
    assert!(stage.is_asked_nothing());
}

#[tokio::test]
async fn a_check_that_a_reconnect_overtook_tells_what_is_served_by_then() {
    for passes in [true, false] {
        let (mut stage, first) = Stage::connected();
        let (fleet, east) = stage.parts();
        let mut checking = pin!(fleet.check(&east));
        begin(checking.as_mut());
        let proving = stage.prove();
        let mut reconnecting = pin!(fleet.reconnect(&east));
        begin(reconnecting.as_mut());
        stage.open().succeed();
        let second = end(reconnecting).unwrap();
        assert!(second > first);

        proving.answer(passes);
        assert_eq!(end(checking).unwrap(), second);
        assert_eq!(stage.served(), Some(second));
    }
}

#[tokio::test]
async fn a_check_of_a_cluster_that_was_removed_meanwhile_says_so() {
    for passes in [true, false] {
        let (mut stage, _) = Stage::connected();
        let (fleet, east) = stage.parts();
        let mut checking = pin!(fleet.check(&east));
        begin(checking.as_mut());
        let proving = stage.prove();
        fleet.remove(&east);
        proving.answer(passes);
        assert!(matches!(end(checking).unwrap_err().failure(), ConnectFailure::Removed));
    }
}

#[tokio::test]
async fn an_attempt_that_fails_as_it_is_interrupted_tells_of_the_interruption() {
    let mut stage = Stage::new();
    let (fleet, east) = stage.parts();
    let mut connecting = pin!(fleet.connect(&east));
    begin(connecting.as_mut());
    stage.open().fail();
    stage.upsert();
    assert!(matches!(end(connecting).unwrap_err().failure(), ConnectFailure::Superseded));

    let mut connecting = pin!(fleet.connect(&east));
    begin(connecting.as_mut());
    stage.open().fail();
    fleet.remove(&east);
    assert!(matches!(end(connecting).unwrap_err().failure(), ConnectFailure::Removed));
}

#[tokio::test]
async fn an_interruption_that_comes_late_does_not_concern_an_attempt_to_the_new_endpoint() {
    let mut stage = Stage::new();
    let (fleet, east) = stage.parts();
    let member = fleet.inner.roster.find(&east).unwrap();
    stage.upsert();
    let mut connecting = pin!(fleet.connect(&east));
    begin(connecting.as_mut());
    let opening = stage.open();

    // As from whoever replaced the first endpoint by the second and got no further until now.
    member.interrupt_before(2);
    begin(connecting.as_mut());
    opening.succeed();
    let revision = end(connecting).unwrap();
    assert_eq!(stage.served(), Some(revision));

    let mut reconnecting = pin!(fleet.reconnect(&east));
    begin(reconnecting.as_mut());
    let _unanswered = stage.open();
    member.interrupt_before(3);
    member.interrupt_before(2);
    end(reconnecting).unwrap_err();
}

#[tokio::test]
async fn an_attempt_that_is_interrupted_leaves_no_failure_behind() {
    let mut stage = Stage::new();
    let (fleet, east) = stage.parts();
    let mut connecting = pin!(fleet.connect(&east));
    begin(connecting.as_mut());
    let _unanswered = stage.open();
    // Even where the state has not been told.
    fleet.inner.roster.find(&east).unwrap().interrupt_before(2);
    assert!(matches!(end(connecting).unwrap_err().failure(), ConnectFailure::Superseded));
    assert!(matches!(fleet.status(&east), Some(super::ClusterStatus::Idle)));
}

#[tokio::test]
async fn a_cluster_that_is_removed_and_added_again_has_nothing_to_do_with_the_attempt_under_way() {
    let mut stage = Stage::new();
    let (fleet, east) = stage.parts();
    let mut outdated = pin!(fleet.connect(&east));
    begin(outdated.as_mut());
    let old = stage.open();
    fleet.remove(&east);
    stage.upsert();

    // The old attempt ends while the new one is under way, and does not concern it.
    let mut connecting = pin!(fleet.connect(&east));
    begin(connecting.as_mut());
    let opening = stage.open();
    old.succeed();
    assert!(matches!(end(outdated).unwrap_err().failure(), ConnectFailure::Removed));
    assert_eq!(stage.served(), None);
    opening.succeed();
    let revision = end(connecting).unwrap();
    assert_eq!(stage.served(), Some(revision));
}

#[tokio::test]
async fn a_check_does_not_bring_back_a_connection_whose_endpoint_was_replaced() {
    // Replaced before or after the check of the old connection failed.
    for late in [false, true] {
        let (mut stage, first) = if late { Stage::failing() } else { Stage::connected() };
        let (fleet, east) = stage.parts();
        stage.upsert();
        if !late {
            let mut checking = pin!(fleet.check(&east));
            begin(checking.as_mut());
            stage.prove().fail();
            end(checking).unwrap_err();
        }
        let mut checking = pin!(fleet.check(&east));
        begin(checking.as_mut());
        stage.open().succeed();
        assert!(end(checking).unwrap() > first);
    }
}

#[tokio::test]
async fn a_check_under_way_does_not_bring_back_a_connection_whose_endpoint_is_replaced() {
    for passes in [true, false] {
        let (mut stage, _) = Stage::failing();
        let (fleet, east) = stage.parts();
        let mut checking = pin!(fleet.check(&east));
        begin(checking.as_mut());
        let proving = stage.prove();
        stage.upsert();
        proving.answer(passes);
        assert!(matches!(end(checking).unwrap_err().failure(), ConnectFailure::Superseded));
        assert_eq!(stage.served(), None);
    }
}

#[tokio::test]
async fn a_connection_to_an_endpoint_that_was_replaced_is_served_while_it_passes_its_checks() {
    let (mut stage, first) = Stage::connected();
    let (fleet, east) = stage.parts();
    stage.upsert();
    let mut checking = pin!(fleet.check(&east));
    begin(checking.as_mut());
    stage.prove().succeed();
    assert_eq!(end(checking).unwrap(), first);
    assert_eq!(stage.served(), Some(first));
}

#[tokio::test]
async fn a_replaced_endpoint_ends_the_check_that_follows_a_failed_reconnect_and_frees_the_turn() {
    let (mut stage, first) = Stage::connected();
    let (fleet, east) = stage.parts();
    let mut reconnecting = pin!(fleet.reconnect(&east));
    begin(reconnecting.as_mut());
    stage.open().fail();
    begin(reconnecting.as_mut());
    let _unanswered = stage.prove();

    stage.upsert();
    let mut connecting = pin!(fleet.connect(&east));
    begin(connecting.as_mut());
    assert!(matches!(end(reconnecting).unwrap_err().failure(), ConnectFailure::Superseded));
    assert_eq!(stage.served(), Some(first), "nothing is known against it");
    begin(connecting.as_mut());
    stage.open().succeed();
    assert!(end(connecting).unwrap() > first);
}

#[tokio::test]
async fn a_removal_ends_the_check_that_follows_a_failed_reconnect() {
    let (mut stage, _) = Stage::connected();
    let (fleet, east) = stage.parts();
    let mut reconnecting = pin!(fleet.reconnect(&east));
    begin(reconnecting.as_mut());
    stage.open().fail();
    begin(reconnecting.as_mut());
    let _unanswered = stage.prove();
    fleet.remove(&east);
    assert!(matches!(end(reconnecting).unwrap_err().failure(), ConnectFailure::Removed));
}

#[tokio::test]
async fn a_check_ends_when_its_cluster_is_removed_or_gets_another_endpoint() {
    for removed in [true, false] {
        let (mut stage, first) = Stage::connected();
        let (fleet, east) = stage.parts();
        let mut checking = pin!(fleet.check(&east));
        begin(checking.as_mut());
        let _unanswered = stage.prove();
        let expected = if removed {
            fleet.remove(&east);
            None
        } else {
            stage.upsert();
            Some(first)
        };
        let error = end(checking).unwrap_err();
        assert_eq!(matches!(error.failure(), ConnectFailure::Removed), removed, "{error:?}");
        assert_eq!(matches!(error.failure(), ConnectFailure::Superseded), !removed, "{error:?}");
        assert_eq!(stage.served(), expected);
    }
}
