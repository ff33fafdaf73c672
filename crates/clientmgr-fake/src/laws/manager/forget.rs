//! Forgetting leaves nothing.

use std::pin::pin;

use clientmgr_core::ClientError;

use super::harness::{Cluster, Harness, expect_client};
use crate::laws::polling::poll_once;
use crate::laws::setup::ProviderSetup;
use crate::laws::subject::{Manager, ManagerSetup};

/// Obtains clients of both clusters for the object, and of the first for the other object. Returns the second cluster
/// object.
async fn hold_on_both<M: ManagerSetup>(harness: &Harness<M>) -> Cluster<M> {
    harness.provider_setup().connect(&harness.west).await;
    let east = harness.observe(&harness.east).await;
    let west = harness.observe(&harness.west).await;
    harness.obtain(&east).await;
    harness.obtain(&west).await;
    harness.obtain_for(&harness.other_object, &east).await;
    west
}

/// Nothing of a forgotten object remains: an object with the same key starts as absent.
pub async fn a_forgotten_object_leaves_no_trace<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let old = harness.observe(&harness.east).await;
    harness.obtain(&old).await;
    assert!(harness.client(&Harness::<M>::without_revision(&harness.west)).await.is_err(), "the cluster is not known");
    assert_eq!(harness.manager().remembered(), 1, "one object asked for clients");
    harness.manager().forget(&harness.object);
    assert_eq!(harness.manager().remembered(), 0, "the only object was forgotten");

    harness.provider_setup().connect(&harness.west).await;
    let west = harness.observe(&harness.west).await;
    harness.assert_unchanged(&west, "the object whose request failed was forgotten");
    let new = harness.replace_east().await;
    harness.assert_unchanged(&new, "the object that held another client was forgotten");
    harness.obtain(&new).await;

    harness.manager().forget(&harness.object);
    let newer = harness.replace_east().await;
    harness.obtain(&newer).await;
    harness.manager().forget(&harness.object);
    harness.manager().forget(&harness.object);
    assert_eq!(harness.manager().remembered(), 0, "the only object was forgotten");
}

/// Forgetting an object affects no other object.
pub async fn forgetting_an_object_keeps_the_others<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let old = harness.observe(&harness.east).await;
    harness.obtain(&old).await;
    harness.obtain_for(&harness.other_object, &old).await;
    harness.manager().forget(&harness.other_object);
    assert_eq!(harness.manager().remembered(), 1, "one of two objects was forgotten");
    harness.assert_unchanged(&old, "another object was forgotten");
    let new = harness.replace_east().await;
    harness.assert_reset(&new, "another object was forgotten, and this one holds an old client");
}

/// `retain_objects` forgets the objects that are not retained.
pub async fn retaining_objects_forgets_the_others<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let old = harness.observe(&harness.east).await;
    harness.obtain(&old).await;
    harness.obtain_for(&harness.other_object, &old).await;
    harness.manager().retain_objects(|_| true);
    assert_eq!(harness.manager().remembered(), 2, "all objects were retained");
    harness.manager().retain_objects(|object| *object == harness.object);
    assert_eq!(harness.manager().remembered(), 1, "one object of two was retained");
    let new = harness.replace_east().await;
    harness.assert_reset(&new, "the object was retained, and it holds an old client");
}

/// A forgotten cluster is forgotten for all objects. No other cluster is.
pub async fn a_forgotten_cluster_is_forgotten_for_all_objects<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let west = hold_on_both(&harness).await;
    harness.manager().forget_cluster(&harness.east);
    assert_eq!(harness.manager().remembered(), 1, "only one object has anything on a cluster that was not forgotten");

    harness.assert_unchanged(&west, "another cluster was forgotten");
    harness.assert_reset(&Harness::<M>::without_revision(&harness.west), "another cluster was forgotten");
    let new = harness.replace_east().await;
    harness.assert_unchanged(&new, "the cluster was forgotten");
    harness.obtain(&new).await;
    harness.obtain_for(&harness.other_object, &new).await;
}

/// `retain` forgets the object on the clusters that are not retained. It affects no other object.
pub async fn retaining_clusters_forgets_the_others<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let west = hold_on_both(&harness).await;
    harness.manager().retain(&harness.object, |cluster| *cluster == harness.west);
    assert_eq!(harness.manager().remembered(), 2, "one object retained one cluster, and the other object all it has");

    let new = harness.replace_east().await;
    harness.assert_unchanged(&new, "the cluster was not retained");
    assert!(
        harness.manager().refresh(&harness.other_object, &new).is_reset(),
        "another object retained its clusters, and this one holds an old client"
    );
    harness.assert_unchanged(&west, "the cluster was retained");
    harness.assert_reset(
        &Harness::<M>::without_revision(&harness.west),
        "the cluster was retained, and its client is held",
    );

    harness.obtain(&new).await;
    harness.manager().retain(&harness.object, |_| true);
    harness.assert_unchanged(&new, "everything was retained");
    harness.assert_reset(&west, "everything was retained, also a reset that is due");
    harness.manager().retain(&harness.object, |_| false);
    assert_eq!(harness.manager().remembered(), 1, "one object of two retained nothing");
    harness.assert_unchanged(&west, "nothing was retained");
}

/// A call on a cluster that is not retained ends as `Forgotten`. A call on a retained cluster continues.
pub async fn a_call_on_a_cluster_that_is_not_retained_leaves_no_trace<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    harness.provider_setup().connect(&harness.west).await;
    let east = harness.observe(&harness.east).await;
    let west = harness.observe(&harness.west).await;
    let holds = [harness.gate().hold(&harness.east), harness.gate().hold(&harness.west)];
    let mut on_east = pin!(harness.client(&east));
    let mut on_west = pin!(harness.client(&west));
    assert!(poll_once(on_east.as_mut()).await.is_none(), "the provider is held, but the call completed");
    assert!(poll_once(on_west.as_mut()).await.is_none(), "the provider is held, but the call completed");
    harness.manager().retain(&harness.object, |cluster| *cluster == harness.west);
    drop(holds);
    assert!(
        matches!(on_east.await, Err(ClientError::Forgotten { .. })),
        "the cluster was not retained during the call, and the call did not end as forgotten"
    );
    expect_client(on_west.await, "the cluster was retained during the call");
    harness.assert_unchanged(&west, "the client of this connection is held");
    harness
        .assert_unchanged(&Harness::<M>::without_revision(&harness.east), "the only call on the cluster was forgotten");
}

/// A call whose object is forgotten while the provider is asked ends as `Forgotten` and stores nothing.
pub async fn a_call_whose_object_is_forgotten_leaves_no_trace<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let cluster = harness.observe(&harness.east).await;
    let none = Harness::<M>::without_revision(&harness.east);
    for observed in [&cluster, &none] {
        let hold = harness.gate().hold(&harness.east);
        let mut call = pin!(harness.client(observed));
        assert!(poll_once(call.as_mut()).await.is_none(), "the provider is held, but the call completed");
        harness.manager().forget(&harness.object);
        hold.release();
        match call.await {
            Err(ClientError::Forgotten { cluster }) => {
                assert_eq!(cluster, harness.east, "the error names another cluster");
            }
            Err(error) => panic!("the object was forgotten during the call, and the error is {error:?}"),
            Ok(_) => panic!("the object was forgotten during the call, and a client was returned"),
        }
        assert_eq!(harness.manager().remembered(), 0, "a late answer brought a forgotten object back");
    }
}

/// A call whose cluster is forgotten while the provider is asked ends as `Forgotten` and stores nothing.
pub async fn a_call_whose_cluster_is_forgotten_leaves_no_trace<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let cluster = harness.observe(&harness.east).await;
    let hold = harness.gate().hold(&harness.east);
    let mut call = pin!(harness.client(&cluster));
    assert!(poll_once(call.as_mut()).await.is_none(), "the provider is held, but the call completed");
    harness.manager().forget_cluster(&harness.east);
    hold.release();
    assert!(
        matches!(call.await, Err(ClientError::Forgotten { .. })),
        "the cluster was forgotten during the call, and the call did not end as forgotten"
    );
    assert_eq!(harness.manager().remembered(), 0, "a late answer brought a forgotten cluster back");
}

/// A recreated object, which has another key, inherits nothing.
pub async fn a_recreated_object_inherits_nothing<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let old = harness.observe(&harness.east).await;
    harness.obtain(&old).await;
    let new = harness.replace_east().await;
    assert!(
        !harness.manager().refresh(&harness.other_object, &new).is_reset(),
        "an object without requests was reset for what another one holds"
    );
    let client = harness.obtain_for(&harness.other_object, &new).await;
    harness.assert_current(&client, &harness.east).await;
}
