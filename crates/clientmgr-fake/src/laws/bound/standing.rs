//! When the standing state is returned, and when it goes.

use std::pin::pin;
use std::sync::Arc;

use clientmgr_core::{BoundError, ClientError, ClientProvider, Revision};

use super::stage::{Built, Cluster, Stage};
use crate::laws::handed_on::assert_handed_on;
use crate::laws::polling::poll_once;
use crate::laws::setup::{BoundSetup, ProviderSetup, States};

/// A standing state is returned while the cluster object tells of its connection, and the provider is not even asked.
pub async fn a_standing_state_is_returned_without_asking_the_provider<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    let cluster = stage.observe(&stage.east).await;
    let first = stage.state(&cluster).await;
    let asked = stage.gate().calls(&stage.east);
    stage.steering().fail(&stage.east).await;
    for _ in 0..3 {
        assert!(Arc::ptr_eq(&first, &stage.state(&cluster).await), "another state than the standing one was returned");
    }
    assert_eq!(stage.gate().calls(&stage.east), asked, "the provider was asked while the right state stands");
    stage.assert_counts(1, 1, "one was built, and it stands");
}

/// A cluster object that is known to be older than the state comes from a lagging cache: the state stands. Where
/// revisions have no order it cannot be known, and the state goes.
pub async fn an_older_observation_tears_nothing_down<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    let old = stage.observe(&stage.east).await;
    let new = stage.replace_east().await;
    let standing = stage.state(&new).await;
    let known_older = match (&old.revision, &new.revision) {
        (Some(old), Some(new)) => old.is_older_than(new),
        _ => panic!("the set-up connected the cluster, and the provider has no client"),
    };
    let answer = stage.get_or_build(&stage.object, &old).await;
    if known_older {
        assert!(
            answer.is_ok_and(|same| Arc::ptr_eq(&same, &standing)),
            "the standing state was not returned on {old:?}"
        );
        stage.assert_counts(1, 1, "the cluster object is older than the state");
    } else {
        assert!(answer.is_err(), "{old:?} is outdated");
        stage.assert_counts(1, 0, "which connection is older is not known");
    }
}

/// The next state is built only when the old one has ended, also if the call that tore it down was dropped.
pub async fn the_next_is_built_only_when_the_old_has_ended<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    stage.state(&stage.observe(&stage.east).await).await;
    let new = stage.replace_east().await;
    stage.counts.hold_ends();
    for _ in 0..2 {
        let answer = poll_once(pin!(stage.get_or_build(&stage.object, &new))).await;
        assert!(answer.is_none(), "the old state has not ended, and the next was built");
        stage.assert_counts(1, 0, "the old state was torn down and has not ended");
    }
    stage.state_of(&stage.other_object, &new).await;
    let mut waiting = pin!(stage.get_or_build(&stage.object, &new));
    assert!(poll_once(waiting.as_mut()).await.is_none(), "the old state has not ended, and the next was built");
    stage.counts.release_ends();
    assert!(waiting.await.is_ok(), "the old state has ended, and the next was not built");
    stage.assert_counts(3, 2, "the old state has ended");
}

/// The old state is torn down before the client for the next is even asked for, so there are never two.
pub async fn the_old_state_is_torn_down_before_the_next_is_built<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    let mut last = stage.state(&stage.observe(&stage.east).await).await;
    for built in 1..4 {
        let new = stage.replace_east().await;
        let counts = Arc::clone(&stage.counts);
        let build = |_| {
            assert_eq!(counts.standing(), 0, "the old state stands while the next is built");
            std::future::ready(Ok::<_, std::convert::Infallible>(counts.build()))
        };
        let next = match stage.states().get_or_build(&stage.object, &new, build).await {
            Ok(next) => next,
            Err(error) => panic!("{new:?} tells of the current connection, yet nothing was built: {error:?}"),
        };
        assert!(!Arc::ptr_eq(&last, &next), "the connection was replaced, and the old state was returned");
        stage.assert_counts(built + 1, 1, "one was built for each connection, and the last stands");
        last = next;
    }
}

/// A state whose connection is gone is torn down even where no client has come for a new one.
pub async fn a_state_whose_connection_is_gone_is_torn_down<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    stage.state(&stage.observe(&stage.east).await).await;
    stage.steering().fail(&stage.east).await;
    let gone = Stage::<B>::without_revision(&stage.east);
    for _ in 0..2 {
        match stage.get_or_build(&stage.object, &gone).await {
            Err(BoundError::Client(_)) => {}
            other => panic!("the cluster fails, and the answer is {other:?}"),
        }
        stage.assert_counts(1, 0, "the cluster object tells of no connection any more");
    }

    stage.steering().recover(&stage.east).await;
    stage.state(&stage.observe(&stage.east).await).await;
    stage.assert_counts(2, 1, "the cluster recovered");
}

/// Why there is no client is handed on as the manager hands it on: typed, with its source and its retry hint.
pub async fn an_error_of_the_provider_is_handed_on<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    let none = Stage::<B>::without_revision(&stage.west);
    match stage.get_or_build(&stage.object, &none).await {
        Err(BoundError::Client(ClientError::NotFound { cluster })) => assert_eq!(cluster, stage.west),
        other => panic!("cluster {:?} is not known, and the answer is {other:?}", stage.west),
    }
    let outdated = Stage::<B>::without_revision(&stage.east);
    match stage.get_or_build(&stage.object, &outdated).await {
        Err(BoundError::Client(ClientError::ClusterOutdated { cluster, observed: None, .. })) => {
            assert_eq!(cluster, stage.east);
        }
        other => panic!("the cluster object tells of no connection, and the answer is {other:?}"),
    }
    let failing = stage.observe(&stage.east).await;
    stage.steering().fail(&stage.east).await;
    let Err(reported) = stage.steering().provider().connection(&stage.east).await else {
        panic!("the set-up made cluster {:?} fail, and the provider has a client", stage.east);
    };
    match stage.get_or_build(&stage.object, &failing).await {
        Err(BoundError::Client(handed_on)) => assert_handed_on(&reported, &handed_on, &stage.east),
        other => panic!("cluster {:?} fails with {reported:?}, and the answer is {other:?}", stage.east),
    }
    stage.assert_counts(0, 0, "there was no client to build on");
    stage.steering().recover(&stage.east).await;
    stage.state(&stage.observe(&stage.east).await).await;
}

/// A state is built on a client of the connection that the cluster object tells of.
pub async fn a_state_is_built_on_the_connection_that_was_observed<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    let mut cluster = stage.observe(&stage.east).await;
    for _ in 0..3 {
        let mut built_on = None;
        let build = |client| {
            built_on = Some(client);
            std::future::ready(Ok::<_, std::convert::Infallible>(stage.counts.build()))
        };
        if let Err(error) = stage.states().get_or_build(&stage.object, &cluster, build).await {
            panic!("{cluster:?} tells of the current connection, yet nothing was built: {error:?}");
        }
        let Some(built_on) = built_on else { panic!("the connection is a new one, and nothing was built on it") };
        let Ok(current) = stage.steering().provider().connection(&stage.east).await else {
            panic!("cluster {:?} is connected, yet the provider has no client", stage.east);
        };
        let identities = [stage.steering().identify(&built_on).await, stage.steering().identify(&current.client).await];
        assert_eq!(identities[0], identities[1], "the state was built on a client of another connection");
        cluster = stage.replace_east().await;
    }
}

/// On a cluster object that tells of another connection than the current one nothing is built: it is
/// [outdated](ClientError::ClusterOutdated), and the error tells both.
pub async fn on_a_cluster_object_of_another_connection_nothing_is_built<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    let old = stage.observe(&stage.east).await;
    let new = stage.replace_east().await;
    for _ in 0..2 {
        let answer = stage.get_or_build(&stage.object, &old).await;
        assert_outdated::<B>(&answer, &old, &new);
        stage.assert_counts(0, 0, "the cluster object tells of a connection that was replaced");
    }
    stage.state(&new).await;
    let newer = stage.replace_east().await;
    stage.steering().replace(&stage.east).await;
    let newest = stage.observe(&stage.east).await;
    let answer = stage.get_or_build(&stage.object, &newer).await;
    assert_outdated::<B>(&answer, &newer, &newest);
    stage.assert_counts(1, 0, "the connection was replaced twice, and the cluster object tells of it once");
    stage.state(&newest).await;
    stage.assert_counts(2, 1, "the cluster object tells of the current connection");
}

/// Whether something is built is decided by the connection that is current when the provider answers, not when the call
/// was made.
pub async fn a_build_is_decided_by_what_is_current_when_the_provider_answers<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    let old = stage.observe(&stage.east).await;
    let hold = stage.gate().hold(&stage.east);
    let mut call = pin!(stage.get_or_build(&stage.object, &old));
    assert!(poll_once(call.as_mut()).await.is_none(), "the provider is held, yet there is a state");
    let new = stage.replace_east().await;
    hold.release();
    assert_outdated::<B>(&call.await, &old, &new);
    stage.assert_counts(0, 0, "the connection was replaced while the provider was asked");
    stage.state(&new).await;
    stage.assert_counts(1, 1, "the cluster object tells of the current connection");
}

/// What one object keeps on one cluster concerns no other object and no other cluster.
pub async fn objects_and_clusters_do_not_disturb_each_other<B: BoundSetup>(setup: B) {
    let stage = Stage::new(setup).await;
    stage.steering().connect(&stage.west).await;
    let east = stage.observe(&stage.east).await;
    let west = stage.observe(&stage.west).await;
    let of_east = stage.state(&east).await;
    let of_west = stage.state(&west).await;
    let of_other = stage.state_of(&stage.other_object, &east).await;
    stage.assert_counts(3, 3, "each object on each cluster has a state of its own");

    let new_east = stage.replace_east().await;
    assert!(!Arc::ptr_eq(&of_east, &stage.state(&new_east).await), "the connection was replaced");
    stage.assert_counts(4, 3, "only one object saw the new connection");
    assert!(Arc::ptr_eq(&of_west, &stage.state(&west).await), "the connection of another cluster was replaced");
    assert!(
        Arc::ptr_eq(&of_other, &stage.state_of(&stage.other_object, &east).await),
        "another object saw the new connection"
    );
}

/// That a call with `cluster` was refused because the connection is the one that `current` tells of.
#[track_caller]
fn assert_outdated<B: BoundSetup>(answer: &Built<B>, cluster: &Cluster<B>, current: &Cluster<B>) {
    match answer {
        Err(BoundError::Client(ClientError::ClusterOutdated { cluster: key, observed, current: told })) => {
            assert_eq!((key, observed), (&cluster.key, &cluster.revision), "the error is about another cluster");
            assert_eq!(Some(told), current.revision.as_ref(), "the error tells another current revision");
        }
        other => panic!("{cluster:?} is outdated, and the answer is {other:?}"),
    }
}
