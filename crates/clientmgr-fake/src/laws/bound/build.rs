//! How builds go: one at a time, and nothing left of those that came to nothing.

use std::pin::pin;
use std::sync::Arc;

use clientmgr_core::BoundError;

use super::stage::Stage;
use crate::laws::polling::poll_once;
use crate::laws::setup::{BoundSetup, ProviderSetup, States};

/// Why the build of a law failed.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("refused")]
struct Refused;

/// One build runs at a time for an object on a cluster: a second call waits for it and shares what it made.
pub async fn one_build_runs_at_a_time<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    let cluster = stage.observe(&stage.east).await;
    let hold = stage.gate().hold(&stage.east);
    let mut first = pin!(stage.get_or_build(&stage.object, &cluster));
    assert!(poll_once(first.as_mut()).await.is_none(), "the provider is held, yet something was built");
    let mut second = pin!(stage.get_or_build(&stage.object, &cluster));
    assert!(poll_once(second.as_mut()).await.is_none(), "a second call did not wait for the first");
    assert_eq!(stage.gate().calls(&stage.east), 1, "a second call asked the provider beside the first");
    hold.release();
    let (Ok(first), Ok(second)) = (first.await, second.await) else { panic!("the cluster is connected") };
    assert!(Arc::ptr_eq(&first, &second), "two calls at once built two states");
    stage.assert_counts(1, 1, "two calls at once share one");
}

/// While one object's build hangs, other objects on the cluster, and the same object on other clusters, have theirs.
pub async fn nobody_waits_for_the_build_of_another<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    stage.steering().connect(&stage.west).await;
    let east = stage.observe(&stage.east).await;
    let west = stage.observe(&stage.west).await;
    let mut hanging = pin!(stage.build_forever(&stage.object, &east));
    assert!(poll_once(hanging.as_mut()).await.is_none(), "the build never ends, yet there is a state");
    stage.state_of(&stage.other_object, &east).await;
    stage.state(&west).await;
    stage.assert_counts(2, 2, "one build hangs");
}

/// Of a build that is dropped halfway nothing is left, and the next call builds anew.
pub async fn a_dropped_build_leaves_nothing<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    let cluster = stage.observe(&stage.east).await;
    for _ in 0..2 {
        let answer = poll_once(pin!(stage.build_forever(&stage.object, &cluster))).await;
        assert!(answer.is_none(), "the build never ends, yet there is a state");
    }
    let built = stage.state(&cluster).await;
    stage.assert_counts(1, 1, "the builds before were dropped");
    assert!(Arc::ptr_eq(&built, &stage.state(&cluster).await), "the state does not stand");
}

/// A call that is dropped while the provider is asked leaves what it found; what it tore down stays so.
pub async fn a_call_dropped_while_the_provider_is_asked_leaves_nothing<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    let old = stage.observe(&stage.east).await;
    let ask_and_drop = async |cluster: &_| {
        let _hold = stage.gate().hold(&stage.east);
        let answer = poll_once(pin!(stage.get_or_build(&stage.object, cluster))).await;
        assert!(answer.is_none(), "the provider is held, yet there is a state");
    };
    ask_and_drop(&old).await;
    assert_eq!(stage.states().remembered(), 0, "the only call was dropped, and the object is remembered");
    stage.state(&old).await;
    let new = stage.replace_east().await;
    ask_and_drop(&new).await;
    stage.assert_counts(1, 0, "the old one was torn down before the call was dropped");
    stage.state(&new).await;
    stage.assert_counts(2, 1, "the next call built anew");
}

/// A call that waited for a build which was dropped or failed builds for itself.
pub async fn who_waited_for_a_build_in_vain_builds_itself<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    let cluster = stage.observe(&stage.east).await;
    let mut waiting = pin!(stage.get_or_build(&stage.object, &cluster));
    {
        let mut dropped = pin!(stage.build_forever(&stage.object, &cluster));
        assert!(poll_once(dropped.as_mut()).await.is_none(), "the build never ends, yet there is a state");
        assert!(poll_once(waiting.as_mut()).await.is_none(), "a second call did not wait for the first");
    }
    assert!(waiting.await.is_ok(), "the build waited for was dropped, and the call that waited built nothing");
    stage.assert_counts(1, 1, "the call that waited built");
}

/// Where a build fails nothing stands, its error is handed on, and the next call builds again.
pub async fn a_failed_build_leaves_nothing_standing<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    let old = stage.observe(&stage.east).await;
    let refuse = |_| std::future::ready(Err(Refused));
    let assert_refused = |answer| match answer {
        Err(BoundError::Build(Refused)) => {}
        other => panic!("the build failed, and the answer is {other:?}"),
    };
    assert_refused(stage.states().get_or_build(&stage.object, &old, refuse).await);
    stage.state(&old).await;
    stage.assert_counts(1, 1, "the build before it failed");

    let new = stage.replace_east().await;
    for _ in 0..2 {
        assert_refused(stage.states().get_or_build(&stage.object, &new, refuse).await);
        stage.assert_counts(1, 0, "the old one was torn down, and the next could not be built");
    }
    stage.state(&new).await;
    stage.assert_counts(2, 1, "the builds before it failed");
}
