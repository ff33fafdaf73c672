//! What forgetting and discarding tear down.

use std::pin::pin;
use std::sync::Arc;

use clientmgr_core::{BoundError, ClientError};

use super::harness::{Built, Harness};
use crate::laws::polling::poll_once;
use crate::laws::setup::ProviderSetup;
use crate::laws::subject::{BoundSetup, States};

/// Forgetting an object tears down its states on all clusters. It affects no other object.
pub async fn forgetting_an_object_tears_down_its_states<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    harness.provider_setup().connect(&harness.west).await;
    let east = harness.observe(&harness.east).await;
    harness.state(&east).await;
    harness.state(&harness.observe(&harness.west).await).await;
    let of_other = harness.state_of(&harness.other_object, &east).await;
    harness.states().forget(&harness.object);
    harness.assert_counts(3, 1, "one object of two was forgotten");
    assert_eq!(harness.states().remembered(), 1, "one object of two was forgotten");
    let again = harness.state_of(&harness.other_object, &east).await;
    assert!(Arc::ptr_eq(&of_other, &again), "another object was forgotten, and this one's state went");

    harness.state(&east).await;
    harness.assert_counts(4, 2, "the object came back and starts from nothing");
    harness.states().forget(&harness.object);
    harness.states().forget(&harness.other_object);
    harness.assert_counts(4, 0, "everything was forgotten");
    assert_eq!(harness.states().remembered(), 0, "everything was forgotten");
}

/// A forgotten state ends before another one of its object and cluster is built. Other objects do not wait.
pub async fn a_forgotten_state_ends_before_the_next_is_built<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    let east = harness.observe(&harness.east).await;
    harness.state(&east).await;
    harness.counts.hold_ends();
    harness.states().forget(&harness.object);
    harness.assert_counts(1, 0, "the object was forgotten");
    assert_eq!(harness.states().remembered(), 0, "the object was forgotten");
    {
        let mut waiting = pin!(harness.get_or_build(&harness.object, &east));
        assert!(
            poll_once(waiting.as_mut()).await.is_none(),
            "the forgotten state has not ended, and another was built"
        );
        harness.states().forget(&harness.object);
        assert_forgotten::<B>(&waiting.await);
    }
    harness.state_of(&harness.other_object, &east).await;
    let mut waiting = pin!(harness.get_or_build(&harness.object, &east));
    assert!(poll_once(waiting.as_mut()).await.is_none(), "the forgotten state has not ended, and another was built");
    harness.counts.release_ends();
    assert!(waiting.await.is_ok(), "the forgotten state has ended, and nothing was built");
    harness.assert_counts(3, 2, "the forgotten state has ended");
}

/// `retain_objects` tears down the states of the objects that are not retained.
pub async fn retaining_objects_tears_down_the_states_of_the_others<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    let east = harness.observe(&harness.east).await;
    harness.state(&east).await;
    let of_other = harness.state_of(&harness.other_object, &east).await;
    harness.states().retain_objects(|_| true);
    harness.assert_counts(2, 2, "all objects were retained");
    harness.states().retain_objects(|object| *object == harness.other_object);
    harness.assert_counts(2, 1, "one object of two was retained");
    assert_eq!(harness.states().remembered(), 1, "one object of two was retained");
    let again = harness.state_of(&harness.other_object, &east).await;
    assert!(Arc::ptr_eq(&of_other, &again), "the state of the retained object went");
}

/// Forgetting a cluster tears down the states of all objects on it, and no others.
pub async fn forgetting_a_cluster_tears_down_the_states_on_it<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    harness.provider_setup().connect(&harness.west).await;
    let east = harness.observe(&harness.east).await;
    let west = harness.observe(&harness.west).await;
    harness.state(&east).await;
    harness.state_of(&harness.other_object, &east).await;
    let of_west = harness.state(&west).await;
    harness.states().forget_cluster(&harness.east);
    harness.assert_counts(3, 1, "one cluster of two was forgotten");
    assert_eq!(harness.states().remembered(), 1, "one object still has a state");
    assert!(Arc::ptr_eq(&of_west, &harness.state(&west).await), "another cluster was forgotten");
}

/// `retain` tears down the object's states on the clusters that are not retained. It affects no other object.
pub async fn retaining_clusters_tears_down_the_states_on_the_others<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    harness.provider_setup().connect(&harness.west).await;
    let east = harness.observe(&harness.east).await;
    let west = harness.observe(&harness.west).await;
    harness.state(&east).await;
    let of_west = harness.state(&west).await;
    let of_other = harness.state_of(&harness.other_object, &east).await;
    harness.states().retain(&harness.object, |cluster| *cluster == harness.west);
    harness.assert_counts(3, 2, "one object retained one cluster of two");
    assert!(Arc::ptr_eq(&of_west, &harness.state(&west).await), "the state on the retained cluster went");
    let again = harness.state_of(&harness.other_object, &east).await;
    assert!(Arc::ptr_eq(&of_other, &again), "another object retained its clusters, and this one's state went");

    harness.state(&east).await;
    harness.assert_counts(4, 3, "the object names the cluster once more and starts from nothing");
    harness.states().retain(&harness.object, |_| true);
    harness.assert_counts(4, 3, "everything was retained");
    harness.states().retain(&harness.object, |_| false);
    harness.assert_counts(4, 1, "nothing was retained");
    assert_eq!(harness.states().remembered(), 1, "one object of two retained nothing");
}

/// A build on a cluster that is not retained ends as `Forgotten`, and its state is torn down. Others continue.
pub async fn a_build_on_a_cluster_that_is_not_retained_is_torn_down<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    harness.provider_setup().connect(&harness.west).await;
    let east = harness.observe(&harness.east).await;
    let west = harness.observe(&harness.west).await;
    let holds = [harness.gate().hold(&harness.east), harness.gate().hold(&harness.west)];
    let mut on_east = pin!(harness.get_or_build(&harness.object, &east));
    let mut on_west = pin!(harness.get_or_build(&harness.object, &west));
    assert!(poll_once(on_east.as_mut()).await.is_none(), "the provider is held, but there is a state");
    assert!(poll_once(on_west.as_mut()).await.is_none(), "the provider is held, but there is a state");
    harness.states().retain(&harness.object, |cluster| *cluster == harness.west);
    drop(holds);
    assert_forgotten::<B>(&on_east.await);
    assert!(on_west.await.is_ok(), "the cluster was retained while its state was asked for, and nothing was built");
    harness.assert_counts(1, 1, "one cluster of two was retained");

    let build = async |_| {
        harness.states().retain(&harness.object, |cluster| *cluster == harness.west);
        Ok(harness.counts.build())
    };
    assert_forgotten::<B>(&harness.states().get_or_build(&harness.object, &east, build).await);
    harness.assert_counts(2, 1, "the cluster was not retained while the state was built");
}

/// A build whose object is forgotten ends as `Forgotten`, and its state is torn down.
pub async fn a_build_whose_object_is_forgotten_is_torn_down<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    let cluster = harness.observe(&harness.east).await;

    let hold = harness.gate().hold(&harness.east);
    let mut asking = pin!(harness.get_or_build(&harness.object, &cluster));
    assert!(poll_once(asking.as_mut()).await.is_none(), "the provider is held, but there is a state");
    harness.states().forget(&harness.object);
    hold.release();
    assert_forgotten::<B>(&asking.await);
    harness.assert_counts(0, 0, "the object was forgotten before its build began");

    let build = async |_| {
        harness.states().forget(&harness.object);
        Ok(harness.counts.build())
    };
    assert_forgotten::<B>(&harness.states().get_or_build(&harness.object, &cluster, build).await);
    harness.assert_counts(1, 0, "the object was forgotten while its state was built");
    assert_eq!(harness.states().remembered(), 0, "a late build brought a forgotten object back");
}

/// A build whose cluster is forgotten ends as `Forgotten`, and its state is torn down.
pub async fn a_build_whose_cluster_is_forgotten_is_torn_down<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    let cluster = harness.observe(&harness.east).await;
    let build = async |_| {
        harness.states().forget_cluster(&harness.east);
        Ok(harness.counts.build())
    };
    assert_forgotten::<B>(&harness.states().get_or_build(&harness.object, &cluster, build).await);
    harness.assert_counts(1, 0, "the cluster was forgotten while the state was built");
    assert_eq!(harness.states().remembered(), 0, "a late build brought a forgotten cluster back");
}

/// Discarding a state tears it down, and the next call builds a new one. A late discard does not affect the successor.
pub async fn a_discarded_state_is_torn_down_and_built_again<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    let cluster = harness.observe(&harness.east).await;
    let first = harness.state(&cluster).await;
    let of_other = harness.state_of(&harness.other_object, &cluster).await;
    assert!(harness.states().discard(&harness.object, &harness.east, &first), "the current state can be discarded");
    assert!(!harness.states().discard(&harness.object, &harness.east, &first), "it was discarded already");
    harness.assert_counts(2, 1, "one object's state was discarded");
    let successor = harness.state(&cluster).await;
    assert!(!Arc::ptr_eq(&first, &successor), "the discarded state was returned");
    harness.assert_counts(3, 2, "a new state was built after the discard");
    assert!(!harness.states().discard(&harness.object, &harness.east, &first), "the successor is another state");
    assert!(Arc::ptr_eq(&successor, &harness.state(&cluster).await), "a late discard took the successor");
    let again = harness.state_of(&harness.other_object, &cluster).await;
    assert!(Arc::ptr_eq(&of_other, &again), "another object's state was discarded");
}

/// Dropping the map tears down all its states.
pub async fn dropping_the_map_tears_down_all_states<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    let east = harness.observe(&harness.east).await;
    let _kept = [harness.state(&east).await, harness.state_of(&harness.other_object, &east).await];
    harness.assert_counts(2, 2, "nothing was dropped yet");
    let counts = Arc::clone(&harness.counts);
    drop(harness);
    assert_eq!(counts.current(), 0, "states are current after their map was dropped");
}

#[track_caller]
fn assert_forgotten<B: BoundSetup>(answer: &Built<B>) {
    match answer {
        Err(BoundError::Client(ClientError::Forgotten { .. })) => {}
        other => panic!("the build was forgotten under way, and the result is {other:?}"),
    }
}
