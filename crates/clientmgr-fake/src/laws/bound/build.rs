//! Builds: one at a time, and failed or dropped ones leave nothing.

use std::pin::pin;
use std::sync::Arc;

use clientmgr_core::BoundError;

use super::harness::Harness;
use crate::laws::polling::poll_once;
use crate::laws::setup::ProviderSetup;
use crate::laws::subject::{BoundSetup, States};

/// Why the build of a law failed.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("refused")]
struct Refused;

/// One build runs at a time for an object on a cluster. A second call waits for it and shares its state.
pub async fn one_build_runs_at_a_time<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    let cluster = harness.observe(&harness.east).await;
    let hold = harness.gate().hold(&harness.east);
    let mut first = pin!(harness.get_or_build(&harness.object, &cluster));
    assert!(poll_once(first.as_mut()).await.is_none(), "the provider is held, yet something was built");
    let mut second = pin!(harness.get_or_build(&harness.object, &cluster));
    assert!(poll_once(second.as_mut()).await.is_none(), "a second call did not wait for the first");
    assert_eq!(harness.gate().calls(&harness.east), 1, "a second call asked the provider beside the first");
    hold.release();
    let (Ok(first), Ok(second)) = (first.await, second.await) else { panic!("the cluster is connected") };
    assert!(Arc::ptr_eq(&first, &second), "two calls at once built two states");
    harness.assert_counts(1, 1, "two calls at once share one");
}

/// A hanging build delays neither other objects on the cluster nor the same object on other clusters.
pub async fn a_hanging_build_delays_no_other<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    harness.provider_setup().connect(&harness.west).await;
    let east = harness.observe(&harness.east).await;
    let west = harness.observe(&harness.west).await;
    let mut hanging = pin!(harness.build_forever(&harness.object, &east));
    assert!(poll_once(hanging.as_mut()).await.is_none(), "the build never ends, but there is a state");
    harness.state_of(&harness.other_object, &east).await;
    harness.state(&west).await;
    harness.assert_counts(2, 2, "one build hangs");
}

/// A build that is dropped halfway leaves nothing, and the next call builds.
pub async fn a_dropped_build_leaves_nothing<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    let cluster = harness.observe(&harness.east).await;
    for _ in 0..2 {
        let answer = poll_once(pin!(harness.build_forever(&harness.object, &cluster))).await;
        assert!(answer.is_none(), "the build never ends, but there is a state");
    }
    let built = harness.state(&cluster).await;
    harness.assert_counts(1, 1, "the builds before were dropped");
    assert!(Arc::ptr_eq(&built, &harness.state(&cluster).await), "the state is not the current one");
}

/// A call that is dropped while the provider is asked stores nothing. A state that it tore down stays torn down.
pub async fn a_call_dropped_while_the_provider_is_asked_leaves_nothing<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    let old = harness.observe(&harness.east).await;
    let request_and_drop = async |cluster: &_| {
        let _hold = harness.gate().hold(&harness.east);
        let answer = poll_once(pin!(harness.get_or_build(&harness.object, cluster))).await;
        assert!(answer.is_none(), "the provider is held, but there is a state");
    };
    request_and_drop(&old).await;
    assert_eq!(harness.states().remembered(), 0, "the only call was dropped, and the object is remembered");
    harness.state(&old).await;
    let new = harness.replace_east().await;
    request_and_drop(&new).await;
    harness.assert_counts(1, 0, "the old one was torn down before the call was dropped");
    harness.state(&new).await;
    harness.assert_counts(2, 1, "the next call built a state");
}

/// A call that waited for a build which is dropped builds by itself.
pub async fn a_call_that_waited_for_a_dropped_build_builds<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    let cluster = harness.observe(&harness.east).await;
    let mut waiting = pin!(harness.get_or_build(&harness.object, &cluster));
    {
        let mut dropped = pin!(harness.build_forever(&harness.object, &cluster));
        assert!(poll_once(dropped.as_mut()).await.is_none(), "the build never ends, but there is a state");
        assert!(poll_once(waiting.as_mut()).await.is_none(), "a second call did not wait for the first");
    }
    assert!(waiting.await.is_ok(), "the build waited for was dropped, and the call that waited built nothing");
    harness.assert_counts(1, 1, "the call that waited built");
}

/// A failed build leaves no state and passes its error on. The next call builds again.
pub async fn a_failed_build_leaves_no_state<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    let old = harness.observe(&harness.east).await;
    let refuse = |_| std::future::ready(Err(Refused));
    let assert_refused = |answer| match answer {
        Err(BoundError::Build(Refused)) => {}
        other => panic!("the build failed, and the result is {other:?}"),
    };
    assert_refused(harness.states().get_or_build(&harness.object, &old, refuse).await);
    harness.state(&old).await;
    harness.assert_counts(1, 1, "the build before it failed");

    let new = harness.replace_east().await;
    for _ in 0..2 {
        assert_refused(harness.states().get_or_build(&harness.object, &new, refuse).await);
        harness.assert_counts(1, 0, "the old one was torn down, and the next could not be built");
    }
    harness.state(&new).await;
    harness.assert_counts(2, 1, "the builds before it failed");
}
