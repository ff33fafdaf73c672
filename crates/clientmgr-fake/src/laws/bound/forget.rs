//! What forgetting and discarding tear down.

use std::pin::pin;
use std::sync::Arc;

use clientmgr_core::{BoundError, ClientError};

use super::stage::{Built, Stage};
use crate::laws::polling::poll_once;
use crate::laws::setup::{BoundSetup, ProviderSetup, States};

/// Forgetting an object tears down its states on all clusters, and no one else's. No trace remains.
pub async fn forgetting_an_object_tears_down_its_states<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    stage.steering().connect(&stage.west).await;
    let east = stage.observe(&stage.east).await;
    stage.state(&east).await;
    stage.state(&stage.observe(&stage.west).await).await;
    let of_other = stage.state_of(&stage.other_object, &east).await;
    stage.states().forget(&stage.object);
    stage.assert_counts(3, 1, "one object of two was forgotten");
    assert_eq!(stage.states().remembered(), 1, "one object of two was forgotten");
    let again = stage.state_of(&stage.other_object, &east).await;
    assert!(Arc::ptr_eq(&of_other, &again), "another object was forgotten, and this one's state went");

    stage.state(&east).await;
    stage.assert_counts(4, 2, "the object came back and starts from nothing");
    stage.states().forget(&stage.object);
    stage.states().forget(&stage.other_object);
    stage.assert_counts(4, 0, "everything was forgotten");
    assert_eq!(stage.states().remembered(), 0, "everything was forgotten");
}

/// A forgotten state ends before another one of its object and cluster is built. Nobody else waits for it.
pub async fn a_forgotten_state_ends_before_the_next_is_built<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    let east = stage.observe(&stage.east).await;
    stage.state(&east).await;
    stage.counts.hold_ends();
    stage.states().forget(&stage.object);
    stage.assert_counts(1, 0, "the object was forgotten");
    assert_eq!(stage.states().remembered(), 0, "the object was forgotten");
    {
        let mut waiting = pin!(stage.get_or_build(&stage.object, &east));
        assert!(
            poll_once(waiting.as_mut()).await.is_none(),
            "the forgotten state has not ended, and another was built"
        );
        stage.states().forget(&stage.object);
        assert_forgotten::<B>(&waiting.await);
    }
    stage.state_of(&stage.other_object, &east).await;
    let mut waiting = pin!(stage.get_or_build(&stage.object, &east));
    assert!(poll_once(waiting.as_mut()).await.is_none(), "the forgotten state has not ended, and another was built");
    stage.counts.release_ends();
    assert!(waiting.await.is_ok(), "the forgotten state has ended, and nothing was built");
    stage.assert_counts(3, 2, "the forgotten state has ended");
}

/// Retaining some objects forgets the others and tears down their states.
pub async fn retaining_objects_tears_down_the_states_of_the_others<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    let east = stage.observe(&stage.east).await;
    stage.state(&east).await;
    let of_other = stage.state_of(&stage.other_object, &east).await;
    stage.states().retain_objects(|_| true);
    stage.assert_counts(2, 2, "all objects were retained");
    stage.states().retain_objects(|object| *object == stage.other_object);
    stage.assert_counts(2, 1, "one object of two was retained");
    assert_eq!(stage.states().remembered(), 1, "one object of two was retained");
    let again = stage.state_of(&stage.other_object, &east).await;
    assert!(Arc::ptr_eq(&of_other, &again), "the state of the retained object went");
}

/// Forgetting a cluster tears down the states of all objects on it, and on no other.
pub async fn forgetting_a_cluster_tears_down_the_states_on_it<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    stage.steering().connect(&stage.west).await;
    let east = stage.observe(&stage.east).await;
    let west = stage.observe(&stage.west).await;
    stage.state(&east).await;
    stage.state_of(&stage.other_object, &east).await;
    let of_west = stage.state(&west).await;
    stage.states().forget_cluster(&stage.east);
    stage.assert_counts(3, 1, "one cluster of two was forgotten");
    assert_eq!(stage.states().remembered(), 1, "one object still has a state");
    assert!(Arc::ptr_eq(&of_west, &stage.state(&west).await), "another cluster was forgotten");
}

/// Retaining an object on some clusters tears down its states on the others, and no one else's.
pub async fn retaining_clusters_tears_down_the_states_on_the_others<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    stage.steering().connect(&stage.west).await;
    let east = stage.observe(&stage.east).await;
    let west = stage.observe(&stage.west).await;
    stage.state(&east).await;
    let of_west = stage.state(&west).await;
    let of_other = stage.state_of(&stage.other_object, &east).await;
    stage.states().retain(&stage.object, |cluster| *cluster == stage.west);
    stage.assert_counts(3, 2, "one object retained one cluster of two");
    assert!(Arc::ptr_eq(&of_west, &stage.state(&west).await), "the state on the retained cluster went");
    let again = stage.state_of(&stage.other_object, &east).await;
    assert!(Arc::ptr_eq(&of_other, &again), "another object retained its clusters, and this one's state went");

    stage.state(&east).await;
    stage.assert_counts(4, 3, "the object names the cluster once more and starts from nothing");
    stage.states().retain(&stage.object, |_| true);
    stage.assert_counts(4, 3, "everything was retained");
    stage.states().retain(&stage.object, |_| false);
    stage.assert_counts(4, 1, "nothing was retained");
    assert_eq!(stage.states().remembered(), 1, "one object of two retained nothing");
}

/// A build on a cluster that is not retained ends as one whose object is forgotten; one on a retained cluster goes on.
pub async fn a_build_on_a_cluster_that_is_not_retained_is_torn_down<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    stage.steering().connect(&stage.west).await;
    let east = stage.observe(&stage.east).await;
    let west = stage.observe(&stage.west).await;
    let holds = [stage.gate().hold(&stage.east), stage.gate().hold(&stage.west)];
    let mut on_east = pin!(stage.get_or_build(&stage.object, &east));
    let mut on_west = pin!(stage.get_or_build(&stage.object, &west));
    assert!(poll_once(on_east.as_mut()).await.is_none(), "the provider is held, yet there is a state");
    assert!(poll_once(on_west.as_mut()).await.is_none(), "the provider is held, yet there is a state");
    stage.states().retain(&stage.object, |cluster| *cluster == stage.west);
    drop(holds);
    assert_forgotten::<B>(&on_east.await);
    assert!(on_west.await.is_ok(), "the cluster was retained while its state was asked for, and nothing was built");
    stage.assert_counts(1, 1, "one cluster of two was retained");

    let build = async |_| {
        stage.states().retain(&stage.object, |cluster| *cluster == stage.west);
        Ok(stage.counts.build())
    };
    assert_forgotten::<B>(&stage.states().get_or_build(&stage.object, &east, build).await);
    stage.assert_counts(2, 1, "the cluster was not retained while the state was built");
}

/// A build whose object is forgotten under way ends in [`ClientError::Forgotten`], and what it made is torn down.
pub async fn a_build_whose_object_is_forgotten_is_torn_down<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    let cluster = stage.observe(&stage.east).await;

    let hold = stage.gate().hold(&stage.east);
    let mut asking = pin!(stage.get_or_build(&stage.object, &cluster));
    assert!(poll_once(asking.as_mut()).await.is_none(), "the provider is held, yet there is a state");
    stage.states().forget(&stage.object);
    hold.release();
    assert_forgotten::<B>(&asking.await);
    stage.assert_counts(0, 0, "the object was forgotten before its build began");

    let build = async |_| {
        stage.states().forget(&stage.object);
        Ok(stage.counts.build())
    };
    assert_forgotten::<B>(&stage.states().get_or_build(&stage.object, &cluster, build).await);
    stage.assert_counts(1, 0, "the object was forgotten while its state was built");
    assert_eq!(stage.states().remembered(), 0, "a late build brought a forgotten object back");
}

/// A build whose cluster is forgotten under way ends the same way.
pub async fn a_build_whose_cluster_is_forgotten_is_torn_down<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    let cluster = stage.observe(&stage.east).await;
    let build = async |_| {
        stage.states().forget_cluster(&stage.east);
        Ok(stage.counts.build())
    };
    assert_forgotten::<B>(&stage.states().get_or_build(&stage.object, &cluster, build).await);
    stage.assert_counts(1, 0, "the cluster was forgotten while the state was built");
    assert_eq!(stage.states().remembered(), 0, "a late build brought a forgotten cluster back");
}

/// Discarding a state tears it down at once, and the next call builds on the connection that stands.
pub async fn a_discarded_state_is_torn_down_and_built_anew<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    let cluster = stage.observe(&stage.east).await;
    let first = stage.state(&cluster).await;
    let of_other = stage.state_of(&stage.other_object, &cluster).await;
    assert!(stage.states().discard(&stage.object, &stage.east, &first), "what stands can be discarded");
    assert!(!stage.states().discard(&stage.object, &stage.east, &first), "it was discarded already");
    stage.assert_counts(2, 1, "one object's state was discarded");
    let successor = stage.state(&cluster).await;
    assert!(!Arc::ptr_eq(&first, &successor), "the discarded state was returned");
    stage.assert_counts(3, 2, "the discarded state was built anew");
    assert!(!stage.states().discard(&stage.object, &stage.east, &first), "the successor is another state");
    assert!(Arc::ptr_eq(&successor, &stage.state(&cluster).await), "a late discard took the successor");
    let again = stage.state_of(&stage.other_object, &cluster).await;
    assert!(Arc::ptr_eq(&of_other, &again), "another object's state was discarded");
}

/// Dropping the map tears down everything in it.
pub async fn dropping_the_map_tears_everything_down<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    let east = stage.observe(&stage.east).await;
    let _kept = [stage.state(&east).await, stage.state_of(&stage.other_object, &east).await];
    stage.assert_counts(2, 2, "nothing was dropped yet");
    let counts = Arc::clone(&stage.counts);
    drop(stage);
    assert_eq!(counts.standing(), 0, "states stand after their map was dropped");
}

#[track_caller]
fn assert_forgotten<B: BoundSetup>(answer: &Built<B>) {
    match answer {
        Err(BoundError::Client(ClientError::Forgotten { .. })) => {}
        other => panic!("the build was forgotten under way, and the answer is {other:?}"),
    }
}
