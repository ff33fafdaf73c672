//! When the current state is returned, and when it is torn down.

use std::pin::pin;
use std::sync::Arc;

use clientmgr_core::{BoundError, ClientError, ClientProvider, Revision};

use super::harness::{Built, Cluster, Harness};
use crate::laws::passed_on::assert_passed_on;
use crate::laws::polling::poll_once;
use crate::laws::setup::ProviderSetup;
use crate::laws::subject::{BoundSetup, States};

/// While the cluster object names the connection of the state, the state is returned without asking the provider.
pub async fn a_current_state_is_returned_without_asking_the_provider<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    let cluster = harness.observe(&harness.east).await;
    let first = harness.state(&cluster).await;
    let asked = harness.gate().calls(&harness.east);
    harness.provider_setup().fail(&harness.east).await;
    for _ in 0..3 {
        assert!(Arc::ptr_eq(&first, &harness.state(&cluster).await), "another state than the current one was returned");
    }
    assert_eq!(harness.gate().calls(&harness.east), asked, "the provider was asked while the state is current");
    harness.assert_counts(1, 1, "one state was built, and it is current");
}

/// A cluster object that is older than the state tears nothing down. Where revisions are unordered, it does.
pub async fn an_older_observation_tears_nothing_down<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    let old = harness.observe(&harness.east).await;
    let new = harness.replace_east().await;
    let current = harness.state(&new).await;
    let known_older = match (&old.revision, &new.revision) {
        (Some(old), Some(new)) => old.is_older_than(new),
        _ => panic!("the setup connected the cluster, and the provider has no client"),
    };
    let answer = harness.get_or_build(&harness.object, &old).await;
    if known_older {
        assert!(answer.is_ok_and(|same| Arc::ptr_eq(&same, &current)), "the current state was not returned on {old:?}");
        harness.assert_counts(1, 1, "the cluster object is older than the state");
    } else {
        assert!(answer.is_err(), "{old:?} is outdated");
        harness.assert_counts(1, 0, "which connection is older is not known");
    }
}

/// The next state is built after the old one has ended, also if the call that tore it down was dropped.
pub async fn the_next_state_is_built_after_the_old_one_has_ended<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    harness.state(&harness.observe(&harness.east).await).await;
    let new = harness.replace_east().await;
    harness.counts.hold_ends();
    for _ in 0..2 {
        let answer = poll_once(pin!(harness.get_or_build(&harness.object, &new))).await;
        assert!(answer.is_none(), "the old state has not ended, and the next was built");
        harness.assert_counts(1, 0, "the old state was torn down and has not ended");
    }
    harness.state_of(&harness.other_object, &new).await;
    let mut waiting = pin!(harness.get_or_build(&harness.object, &new));
    assert!(poll_once(waiting.as_mut()).await.is_none(), "the old state has not ended, and the next was built");
    harness.counts.release_ends();
    assert!(waiting.await.is_ok(), "the old state has ended, and the next was not built");
    harness.assert_counts(3, 2, "the old state has ended");
}

/// The old state is torn down before a client for the next one is requested.
pub async fn the_old_state_is_torn_down_before_the_next_is_built<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    let mut last = harness.state(&harness.observe(&harness.east).await).await;
    for built in 1..4 {
        let new = harness.replace_east().await;
        let counts = Arc::clone(&harness.counts);
        let build = |_| {
            assert_eq!(counts.current(), 0, "the old state is current while the next is built");
            std::future::ready(Ok::<_, std::convert::Infallible>(counts.build()))
        };
        let next = match harness.states().get_or_build(&harness.object, &new, build).await {
            Ok(next) => next,
            Err(error) => panic!("{new:?} names the current connection, but nothing was built: {error:?}"),
        };
        assert!(!Arc::ptr_eq(&last, &next), "the connection was replaced, and the old state was returned");
        harness.assert_counts(built + 1, 1, "one was built for each connection, and the last is current");
        last = next;
    }
}

/// A state whose connection is gone is torn down, also if there is no client for a new one.
pub async fn a_state_whose_connection_is_gone_is_torn_down<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    harness.state(&harness.observe(&harness.east).await).await;
    harness.provider_setup().fail(&harness.east).await;
    let gone = Harness::<B>::without_revision(&harness.east);
    for _ in 0..2 {
        match harness.get_or_build(&harness.object, &gone).await {
            Err(BoundError::Client(_)) => {}
            other => panic!("the cluster fails, and the result is {other:?}"),
        }
        harness.assert_counts(1, 0, "the cluster object no longer names a connection");
    }

    harness.provider_setup().recover(&harness.east).await;
    harness.state(&harness.observe(&harness.east).await).await;
    harness.assert_counts(2, 1, "the cluster recovered");
}

/// The provider's error is passed on with its type, its source and its retry hint.
pub async fn a_provider_error_is_passed_on<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    let none = Harness::<B>::without_revision(&harness.west);
    match harness.get_or_build(&harness.object, &none).await {
        Err(BoundError::Client(ClientError::NotFound { cluster })) => assert_eq!(cluster, harness.west),
        other => panic!("cluster {:?} is not known, and the result is {other:?}", harness.west),
    }
    let outdated = Harness::<B>::without_revision(&harness.east);
    match harness.get_or_build(&harness.object, &outdated).await {
        Err(BoundError::Client(ClientError::ClusterOutdated { cluster, observed: None, .. })) => {
            assert_eq!(cluster, harness.east);
        }
        other => panic!("the cluster object names no connection, and the result is {other:?}"),
    }
    let failing = harness.observe(&harness.east).await;
    harness.provider_setup().fail(&harness.east).await;
    let Err(reported) = harness.provider_setup().provider().connection(&harness.east).await else {
        panic!("the setup made cluster {:?} fail, and the provider has a client", harness.east);
    };
    match harness.get_or_build(&harness.object, &failing).await {
        Err(BoundError::Client(passed_on)) => assert_passed_on(&reported, &passed_on, &harness.east),
        other => panic!("cluster {:?} fails with {reported:?}, and the result is {other:?}", harness.east),
    }
    harness.assert_counts(0, 0, "there was no client to build on");
    harness.provider_setup().recover(&harness.east).await;
    harness.state(&harness.observe(&harness.east).await).await;
}

/// A state is built on a client of the connection that the cluster object names.
pub async fn a_state_is_built_on_the_observed_connection<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    let mut cluster = harness.observe(&harness.east).await;
    for _ in 0..3 {
        let mut built_on = None;
        let build = |client| {
            built_on = Some(client);
            std::future::ready(Ok::<_, std::convert::Infallible>(harness.counts.build()))
        };
        if let Err(error) = harness.states().get_or_build(&harness.object, &cluster, build).await {
            panic!("{cluster:?} names the current connection, but nothing was built: {error:?}");
        }
        let Some(built_on) = built_on else { panic!("the connection is a new one, and nothing was built on it") };
        let Ok(current) = harness.provider_setup().provider().connection(&harness.east).await else {
            panic!("cluster {:?} is connected, but the provider has no client", harness.east);
        };
        let identities = [
            harness.provider_setup().identify(&built_on).await,
            harness.provider_setup().identify(&current.client).await,
        ];
        assert_eq!(identities[0], identities[1], "the state was built on a client of another connection");
        cluster = harness.replace_east().await;
    }
}

/// A cluster object that names another connection than the current one is `ClusterOutdated`, and nothing is built.
pub async fn an_outdated_cluster_object_builds_nothing<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    let old = harness.observe(&harness.east).await;
    let new = harness.replace_east().await;
    for _ in 0..2 {
        let answer = harness.get_or_build(&harness.object, &old).await;
        assert_outdated::<B>(&answer, &old, &new);
        harness.assert_counts(0, 0, "the cluster object names a replaced connection");
    }
    harness.state(&new).await;
    let newer = harness.replace_east().await;
    harness.provider_setup().replace(&harness.east).await;
    let newest = harness.observe(&harness.east).await;
    let answer = harness.get_or_build(&harness.object, &newer).await;
    assert_outdated::<B>(&answer, &newer, &newest);
    harness.assert_counts(
        1,
        0,
        "the connection was replaced twice, and the cluster object names the first replacement",
    );
    harness.state(&newest).await;
    harness.assert_counts(2, 1, "the cluster object names the current connection");
}

/// A build is decided by the connection that is current when the provider answers, not when the call begins.
pub async fn a_build_is_decided_by_what_is_current_when_the_provider_answers<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    let old = harness.observe(&harness.east).await;
    let hold = harness.gate().hold(&harness.east);
    let mut call = pin!(harness.get_or_build(&harness.object, &old));
    assert!(poll_once(call.as_mut()).await.is_none(), "the provider is held, but there is a state");
    let new = harness.replace_east().await;
    hold.release();
    assert_outdated::<B>(&call.await, &old, &new);
    harness.assert_counts(0, 0, "the connection was replaced while the provider was asked");
    harness.state(&new).await;
    harness.assert_counts(1, 1, "the cluster object names the current connection");
}

/// The state of one object on one cluster affects no other object and no other cluster.
pub async fn objects_and_clusters_are_independent<B: BoundSetup>(setup: B) {
    let harness = Harness::new(setup).await;
    harness.provider_setup().connect(&harness.west).await;
    let east = harness.observe(&harness.east).await;
    let west = harness.observe(&harness.west).await;
    let of_east = harness.state(&east).await;
    let of_west = harness.state(&west).await;
    let of_other = harness.state_of(&harness.other_object, &east).await;
    harness.assert_counts(3, 3, "each object on each cluster has a state of its own");

    let new_east = harness.replace_east().await;
    assert!(!Arc::ptr_eq(&of_east, &harness.state(&new_east).await), "the connection was replaced");
    harness.assert_counts(4, 3, "only one object saw the new connection");
    assert!(Arc::ptr_eq(&of_west, &harness.state(&west).await), "the connection of another cluster was replaced");
    assert!(
        Arc::ptr_eq(&of_other, &harness.state_of(&harness.other_object, &east).await),
        "another object saw the new connection"
    );
}

/// Asserts that a call with `cluster` failed because the connection is the one that `current` names.
#[track_caller]
fn assert_outdated<B: BoundSetup>(answer: &Built<B>, cluster: &Cluster<B>, current: &Cluster<B>) {
    match answer {
        Err(BoundError::Client(ClientError::ClusterOutdated { cluster: key, observed, current: named })) => {
            assert_eq!((key, observed), (&cluster.key, &cluster.revision), "the error is about another cluster");
            assert_eq!(Some(named), current.revision.as_ref(), "the error contains another current revision");
        }
        other => panic!("{cluster:?} is outdated, and the result is {other:?}"),
    }
}
