//! What `client` answers, and what it leaves behind.

use std::pin::pin;

use clientmgr_core::{ClientError, ClientProvider};

use super::stage::{Stage, assert_outdated, expect_client};
use crate::laws::handed_on::assert_handed_on;
use crate::laws::polling::poll_once;
use crate::laws::setup::{Manager, ManagerSetup, ProviderSetup};

/// A client handed out is one of the current connection, which is the one that the cluster object tells of.
pub async fn a_client_is_of_the_connection_that_was_observed<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let mut cluster = stage.observe(&stage.east).await;
    for _ in 0..3 {
        let _ = stage.refresh(&cluster);
        let client = stage.obtain(&cluster).await;
        stage.assert_current(&client, &stage.east).await;
        cluster = stage.replace_east().await;
    }
}

/// While the connection stands, a client of it is handed out as often as asked, with or without a refresh between.
pub async fn a_client_is_handed_out_again_while_its_connection_stands<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let cluster = stage.observe(&stage.east).await;
    for turn in 0..4 {
        let client = stage.obtain(&cluster).await;
        stage.assert_current(&client, &stage.east).await;
        if turn % 2 == 1 {
            stage.assert_unchanged(&cluster, "the connection stands and its client is held");
        }
    }
}

/// Every call asks the provider once: the manager caches no answers.
pub async fn every_call_asks_the_provider_once<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let cluster = stage.observe(&stage.east).await;
    for calls in 1..4 {
        stage.obtain(&cluster).await;
        assert_eq!(stage.gate().calls(&stage.east), calls, "questions to the provider after {calls} calls");
    }
}

/// A cluster that the provider does not know is [not found](ClientError::NotFound), and the error names it.
pub async fn an_unknown_cluster_is_not_found<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let unknown = stage.steering().unknown_cluster();
    let mut cluster = stage.observe(&stage.east).await;
    cluster.key = unknown.clone();
    match stage.client(&cluster).await {
        Err(ClientError::NotFound { cluster }) => assert_eq!(cluster, unknown, "the error names another cluster"),
        Err(error) => panic!("cluster {unknown:?} is unknown, and the error is {error:?}"),
        Ok(_) => panic!("cluster {unknown:?} is unknown, and a client was handed out"),
    }
}

/// An error of the provider is handed on typed, with its source and its retry hint.
pub async fn an_error_of_the_provider_is_handed_on<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let cluster = stage.observe(&stage.east).await;
    stage.steering().fail(&stage.east).await;
    let Err(reported) = stage.steering().provider().connection(&stage.east).await else {
        panic!("the set-up made cluster {:?} fail, and the provider has a client", stage.east);
    };
    let Err(handed_on) = stage.client(&cluster).await else {
        panic!("cluster {:?} fails with {reported:?}, and a client was handed out", stage.east);
    };
    assert_handed_on(&reported, &handed_on, &stage.east);
}

/// A cluster object that tells of another connection than the current one is
/// [outdated](ClientError::ClusterOutdated), and the error tells both.
pub async fn a_cluster_object_of_another_connection_is_outdated<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let old = stage.observe(&stage.east).await;
    let new = stage.replace_east().await;
    let answer = stage.client(&old).await;
    if let Err(ClientError::ClusterOutdated { current, .. }) = &answer {
        assert_eq!(Some(current), new.revision.as_ref(), "the error tells another current revision");
    }
    assert_outdated::<M>(answer, &old);
}

/// A cluster object that tells of no connection is outdated: no revision equals none.
pub async fn a_cluster_object_without_a_revision_is_outdated<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let none = Stage::<M>::without_revision(&stage.east);
    for _ in 0..2 {
        assert_outdated::<M>(stage.client(&none).await, &none);
    }
    let cluster = stage.observe(&stage.east).await;
    stage.obtain(&cluster).await;
    assert_outdated::<M>(stage.client(&none).await, &none);
}

/// An object that holds a client of another connection, and was not told to drop it, gets no new one:
/// [a refresh is required](ClientError::RefreshRequired). It stays so until it refreshes.
pub async fn a_client_of_another_connection_needs_a_refresh_first<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let old = stage.observe(&stage.east).await;
    stage.obtain(&old).await;
    let new = stage.replace_east().await;
    for _ in 0..2 {
        match stage.client(&new).await {
            Err(ClientError::RefreshRequired { cluster, held, current }) => {
                assert_eq!(cluster, stage.east, "the error names another cluster");
                assert_eq!((Some(held), Some(current)), (old.revision.clone(), new.revision.clone()));
            }
            Err(error) => panic!("the object holds a client of {old:?}, and the error on {new:?} is {error:?}"),
            Ok(_) => panic!("the object holds a client of {old:?} and got one of {new:?} without a refresh"),
        }
    }
    stage.assert_reset(&new, "the client held is of another connection");
    stage.obtain(&new).await;
}

/// An error leaves a client that is held as it is: nothing is reset by it.
pub async fn an_error_leaves_what_is_held<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let held = stage.observe(&stage.east).await;
    stage.obtain(&held).await;
    let none = Stage::<M>::without_revision(&stage.east);
    assert_outdated::<M>(stage.client(&none).await, &none);
    stage.assert_unchanged(&held, "an outdated cluster object was met, and the connection stands");
    stage.steering().fail(&stage.east).await;
    assert!(stage.client(&held).await.is_err(), "the cluster fails");
    stage.assert_unchanged(&held, "the provider had an error, and the cluster object tells of the connection held");
}

/// A call asks for the connection that is current when the provider answers, not when the call was made.
pub async fn a_call_is_decided_by_what_is_current_when_the_provider_answers<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let old = stage.observe(&stage.east).await;
    let hold = stage.gate().hold(&stage.east);
    let mut call = pin!(stage.client(&old));
    assert!(poll_once(call.as_mut()).await.is_none(), "the provider is held, yet the call was answered");
    let new = stage.replace_east().await;
    hold.release();
    assert_outdated::<M>(call.await, &old);
    stage.assert_reset(&new, "the object met an error before it held a client");
    stage.obtain(&new).await;
}

/// A call is decided by what the object holds when the provider answers, too: what another call of the object did in the
/// meantime counts.
pub async fn a_call_is_decided_by_what_is_held_when_the_provider_answers<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let old = stage.observe(&stage.east).await;
    let none = Stage::<M>::without_revision(&stage.east);

    let hold = stage.gate().hold(&stage.east);
    let mut in_vain = pin!(stage.client(&none));
    let mut obtaining = pin!(stage.client(&old));
    assert!(poll_once(in_vain.as_mut()).await.is_none(), "the provider is held, yet the call was answered");
    assert!(poll_once(obtaining.as_mut()).await.is_none(), "the provider is held, yet the call was answered");
    hold.release();
    expect_client(obtaining.await, "the cluster object tells of the current connection");
    assert_outdated::<M>(in_vain.await, &none);
    stage.assert_unchanged(&old, "one call obtained a client before another one ended in vain");

    let new = stage.replace_east().await;
    let hold = stage.gate().hold(&stage.east);
    let mut call = pin!(stage.client(&new));
    assert!(poll_once(call.as_mut()).await.is_none(), "the provider is held, yet the call was answered");
    stage.assert_reset(&new, "the client held is of another connection");
    hold.release();
    expect_client(call.await, "the object refreshed before the provider answered");
    stage.assert_unchanged(&new, "the client of this connection is held");
}

/// A call that is dropped while the provider is asked leaves the object as it was: absent, holding, or with a reset due.
pub async fn a_dropped_call_changes_nothing<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let cluster = stage.observe(&stage.east).await;
    let ask_and_drop = async |cluster: &_| {
        let _hold = stage.gate().hold(&stage.east);
        let answer = poll_once(pin!(stage.client(cluster))).await;
        assert!(answer.is_none(), "the provider is held, yet the call was answered");
    };

    ask_and_drop(&cluster).await;
    stage.assert_unchanged(&cluster, "the only call was dropped, so the object never asked");
    assert_eq!(stage.manager().remembered(), 0, "the only call was dropped, and the object is remembered");

    stage.obtain(&cluster).await;
    ask_and_drop(&Stage::<M>::without_revision(&stage.east)).await;
    stage.assert_unchanged(&cluster, "a call was dropped, and the client is held as before");

    let new = stage.replace_east().await;
    stage.assert_reset(&new, "the client held is of another connection");
    ask_and_drop(&new).await;
    stage.assert_reset(&new, "the call that was to obtain the new client was dropped");
    expect_client(stage.client(&new).await, "the object refreshed");
    stage.assert_unchanged(&new, "the client of this connection is held");
}

/// A call that was dropped before its first poll never was.
pub async fn a_call_that_was_never_polled_changes_nothing<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let cluster = Stage::<M>::without_revision(&stage.east);
    drop(stage.client(&cluster));
    stage.assert_unchanged(&cluster, "the only call was never polled, so the object never asked");
    assert_eq!(stage.manager().remembered(), 0, "the only call was never polled, and the object is remembered");
    assert_eq!(stage.gate().calls(&stage.east), 0, "the only call was never polled, and the provider was asked");
}
