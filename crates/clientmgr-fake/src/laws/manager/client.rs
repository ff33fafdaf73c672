//! What `client` returns and stores.

use std::pin::pin;

use clientmgr_core::{ClientError, ClientProvider};

use super::harness::{Harness, assert_outdated, expect_client};
use crate::laws::passed_on::assert_passed_on;
use crate::laws::polling::poll_once;
use crate::laws::setup::ProviderSetup;
use crate::laws::subject::{Manager, ManagerSetup};

/// A returned client uses the current connection, which is the one that the cluster object names.
pub async fn a_client_uses_the_observed_connection<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let mut cluster = harness.observe(&harness.east).await;
    for _ in 0..3 {
        let _ = harness.refresh(&cluster);
        let client = harness.obtain(&cluster).await;
        harness.assert_current(&client, &harness.east).await;
        cluster = harness.replace_east().await;
    }
}

/// While the connection is current, every call returns a client of it, with or without a refresh in between.
pub async fn a_client_is_returned_again_while_its_connection_is_current<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let cluster = harness.observe(&harness.east).await;
    for turn in 0..4 {
        let client = harness.obtain(&cluster).await;
        harness.assert_current(&client, &harness.east).await;
        if turn % 2 == 1 {
            harness.assert_unchanged(&cluster, "the connection is current and its client is held");
        }
    }
}

/// Every call asks the provider once. The manager caches no connections.
pub async fn every_call_asks_the_provider_once<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let cluster = harness.observe(&harness.east).await;
    for calls in 1..4 {
        harness.obtain(&cluster).await;
        assert_eq!(harness.gate().calls(&harness.east), calls, "questions to the provider after {calls} calls");
    }
}

/// A cluster that the provider does not know is `NotFound`, and the error names it.
pub async fn an_unknown_cluster_is_not_found<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let unknown = harness.provider_setup().unknown_cluster();
    let mut cluster = harness.observe(&harness.east).await;
    cluster.key = unknown.clone();
    match harness.client(&cluster).await {
        Err(ClientError::NotFound { cluster }) => assert_eq!(cluster, unknown, "the error names another cluster"),
        Err(error) => panic!("cluster {unknown:?} is unknown, and the error is {error:?}"),
        Ok(_) => panic!("cluster {unknown:?} is unknown, and a client was returned"),
    }
}

/// The provider's error is passed on with its type, its source and its retry hint.
pub async fn a_provider_error_is_passed_on<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let cluster = harness.observe(&harness.east).await;
    harness.provider_setup().fail(&harness.east).await;
    let Err(reported) = harness.provider_setup().provider().connection(&harness.east).await else {
        panic!("the setup made cluster {:?} fail, and the provider has a client", harness.east);
    };
    let Err(passed_on) = harness.client(&cluster).await else {
        panic!("cluster {:?} fails with {reported:?}, and a client was returned", harness.east);
    };
    assert_passed_on(&reported, &passed_on, &harness.east);
}

/// A cluster object that names another connection than the current one is `ClusterOutdated`. The error contains both
/// revisions.
pub async fn a_cluster_object_of_another_connection_is_outdated<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let old = harness.observe(&harness.east).await;
    let new = harness.replace_east().await;
    let answer = harness.client(&old).await;
    if let Err(ClientError::ClusterOutdated { current, .. }) = &answer {
        assert_eq!(Some(current), new.revision.as_ref(), "the error contains another current revision");
    }
    assert_outdated::<M>(answer, &old);
}

/// A cluster object without a revision is `ClusterOutdated`: a missing revision equals no other, not even a missing
/// one.
pub async fn a_cluster_object_without_a_revision_is_outdated<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let none = Harness::<M>::without_revision(&harness.east);
    for _ in 0..2 {
        assert_outdated::<M>(harness.client(&none).await, &none);
    }
    let cluster = harness.observe(&harness.east).await;
    harness.obtain(&cluster).await;
    assert_outdated::<M>(harness.client(&none).await, &none);
}

/// An object that holds a client of another connection gets `RefreshRequired` until it refreshes.
pub async fn a_client_of_another_connection_needs_a_refresh_first<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let old = harness.observe(&harness.east).await;
    harness.obtain(&old).await;
    let new = harness.replace_east().await;
    for _ in 0..2 {
        match harness.client(&new).await {
            Err(ClientError::RefreshRequired { cluster, held, current }) => {
                assert_eq!(cluster, harness.east, "the error names another cluster");
                assert_eq!((Some(held), Some(current)), (old.revision.clone(), new.revision.clone()));
            }
            Err(error) => panic!("the object holds a client of {old:?}, and the error on {new:?} is {error:?}"),
            Ok(_) => panic!("the object holds a client of {old:?} and got one of {new:?} without a refresh"),
        }
    }
    harness.assert_reset(&new, "the client held is of another connection");
    harness.obtain(&new).await;
}

/// An error resets nothing: the object still holds its client.
pub async fn an_error_keeps_the_held_client<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let held = harness.observe(&harness.east).await;
    harness.obtain(&held).await;
    let none = Harness::<M>::without_revision(&harness.east);
    assert_outdated::<M>(harness.client(&none).await, &none);
    harness.assert_unchanged(&held, "the cluster object was outdated, and the connection is current");
    harness.provider_setup().fail(&harness.east).await;
    assert!(harness.client(&held).await.is_err(), "the cluster fails");
    harness.assert_unchanged(&held, "the provider had an error, and the cluster object names the held connection");
}

/// A call is decided by the connection that is current when the provider answers, not when the call begins.
pub async fn a_call_is_decided_by_what_is_current_when_the_provider_answers<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let old = harness.observe(&harness.east).await;
    let hold = harness.gate().hold(&harness.east);
    let mut call = pin!(harness.client(&old));
    assert!(poll_once(call.as_mut()).await.is_none(), "the provider is held, but the call completed");
    let new = harness.replace_east().await;
    hold.release();
    assert_outdated::<M>(call.await, &old);
    harness.assert_reset(&new, "the object got an error before it held a client");
    harness.obtain(&new).await;
}

/// A call is decided by what the object holds when the provider answers, so a concurrent call of the object counts.
pub async fn a_call_is_decided_by_what_is_held_when_the_provider_answers<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let old = harness.observe(&harness.east).await;
    let none = Harness::<M>::without_revision(&harness.east);

    let hold = harness.gate().hold(&harness.east);
    let mut failing = pin!(harness.client(&none));
    let mut obtaining = pin!(harness.client(&old));
    assert!(poll_once(failing.as_mut()).await.is_none(), "the provider is held, but the call completed");
    assert!(poll_once(obtaining.as_mut()).await.is_none(), "the provider is held, but the call completed");
    hold.release();
    expect_client(obtaining.await, "the cluster object names the current connection");
    assert_outdated::<M>(failing.await, &none);
    harness.assert_unchanged(&old, "one call obtained a client before another one failed");

    let new = harness.replace_east().await;
    let hold = harness.gate().hold(&harness.east);
    let mut call = pin!(harness.client(&new));
    assert!(poll_once(call.as_mut()).await.is_none(), "the provider is held, but the call completed");
    harness.assert_reset(&new, "the client held is of another connection");
    hold.release();
    expect_client(call.await, "the object refreshed before the provider answered");
    harness.assert_unchanged(&new, "the client of this connection is held");
}

/// A call that is dropped while the provider is asked leaves the object as it was: absent, holding, or with a Reset
/// due.
pub async fn a_dropped_call_changes_nothing<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let cluster = harness.observe(&harness.east).await;
    let request_and_drop = async |cluster: &_| {
        let _hold = harness.gate().hold(&harness.east);
        let answer = poll_once(pin!(harness.client(cluster))).await;
        assert!(answer.is_none(), "the provider is held, but the call completed");
    };

    request_and_drop(&cluster).await;
    harness.assert_unchanged(&cluster, "the only call was dropped, so the object never requested a client");
    assert_eq!(harness.manager().remembered(), 0, "the only call was dropped, and the object is remembered");

    harness.obtain(&cluster).await;
    request_and_drop(&Harness::<M>::without_revision(&harness.east)).await;
    harness.assert_unchanged(&cluster, "a call was dropped, and the client is held as before");

    let new = harness.replace_east().await;
    harness.assert_reset(&new, "the client held is of another connection");
    request_and_drop(&new).await;
    harness.assert_reset(&new, "the call that was to obtain the new client was dropped");
    expect_client(harness.client(&new).await, "the object refreshed");
    harness.assert_unchanged(&new, "the client of this connection is held");
}

/// A call that is dropped before its first poll changes nothing and does not ask the provider.
pub async fn a_call_that_was_never_polled_changes_nothing<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let cluster = Harness::<M>::without_revision(&harness.east);
    drop(harness.client(&cluster));
    harness.assert_unchanged(&cluster, "the only call was never polled, so the object never requested a client");
    assert_eq!(harness.manager().remembered(), 0, "the only call was never polled, and the object is remembered");
    assert_eq!(harness.gate().calls(&harness.east), 0, "the only call was never polled, and the provider was asked");
}
