//! What forgetting leaves: nothing.

use std::pin::pin;

use clientmgr_core::ClientError;

use super::stage::{Cluster, Stage, expect_client};
use crate::laws::polling::poll_once;
use crate::laws::setup::{Manager, ManagerSetup, ProviderSetup};

/// Has the object obtain clients of both clusters, and the other object one of the first. Hands out what was seen of the
/// second.
async fn hold_on_both<M: ManagerSetup>(stage: &Stage<M>) -> Cluster<M> {
    stage.steering().connect(&stage.west).await;
    let east = stage.observe(&stage.east).await;
    let west = stage.observe(&stage.west).await;
    stage.obtain(&east).await;
    stage.obtain(&west).await;
    stage.obtain_for(&stage.other_object, &east).await;
    west
}

/// Of a forgotten object no trace remains, whatever it held: one with the same key starts from nothing.
pub async fn a_forgotten_object_leaves_no_trace<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let old = stage.observe(&stage.east).await;
    stage.obtain(&old).await;
    assert!(stage.client(&Stage::<M>::without_revision(&stage.west)).await.is_err(), "the cluster is not known");
    assert_eq!(stage.manager().remembered(), 1, "one object asked for clients");
    stage.manager().forget(&stage.object);
    assert_eq!(stage.manager().remembered(), 0, "the only object was forgotten");

    stage.steering().connect(&stage.west).await;
    let west = stage.observe(&stage.west).await;
    stage.assert_unchanged(&west, "the object that asked in vain was forgotten");
    let new = stage.replace_east().await;
    stage.assert_unchanged(&new, "the object that held another client was forgotten");
    stage.obtain(&new).await;

    stage.manager().forget(&stage.object);
    let newer = stage.replace_east().await;
    stage.obtain(&newer).await;
    stage.manager().forget(&stage.object);
    stage.manager().forget(&stage.object);
    assert_eq!(stage.manager().remembered(), 0, "the only object was forgotten");
}

/// Forgetting an object concerns no other object.
pub async fn forgetting_an_object_keeps_the_others<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let old = stage.observe(&stage.east).await;
    stage.obtain(&old).await;
    stage.obtain_for(&stage.other_object, &old).await;
    stage.manager().forget(&stage.other_object);
    assert_eq!(stage.manager().remembered(), 1, "one of two objects was forgotten");
    stage.assert_unchanged(&old, "another object was forgotten");
    let new = stage.replace_east().await;
    stage.assert_reset(&new, "another object was forgotten, and this one holds an old client");
}

/// Retaining some objects forgets all others.
pub async fn retaining_objects_forgets_the_others<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let old = stage.observe(&stage.east).await;
    stage.obtain(&old).await;
    stage.obtain_for(&stage.other_object, &old).await;
    stage.manager().retain_objects(|_| true);
    assert_eq!(stage.manager().remembered(), 2, "all objects were retained");
    stage.manager().retain_objects(|object| *object == stage.object);
    assert_eq!(stage.manager().remembered(), 1, "one object of two was retained");
    let new = stage.replace_east().await;
    stage.assert_reset(&new, "the object was retained, and it holds an old client");
}

/// A forgotten cluster is forgotten for all objects, and for no other cluster.
pub async fn a_forgotten_cluster_is_forgotten_for_all_objects<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let west = hold_on_both(&stage).await;
    stage.manager().forget_cluster(&stage.east);
    assert_eq!(stage.manager().remembered(), 1, "only one object has anything on a cluster that was not forgotten");

    stage.assert_unchanged(&west, "another cluster was forgotten");
    stage.assert_reset(&Stage::<M>::without_revision(&stage.west), "another cluster was forgotten");
    let new = stage.replace_east().await;
    stage.assert_unchanged(&new, "the cluster was forgotten");
    stage.obtain(&new).await;
    stage.obtain_for(&stage.other_object, &new).await;
}

/// An object that retains some clusters is forgotten on the others. That concerns no other object.
pub async fn retaining_clusters_forgets_the_others<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let west = hold_on_both(&stage).await;
    stage.manager().retain(&stage.object, |cluster| *cluster == stage.west);
    assert_eq!(stage.manager().remembered(), 2, "one object retained one cluster, and the other object all it has");

    let new = stage.replace_east().await;
    stage.assert_unchanged(&new, "the cluster was not retained");
    assert!(
        stage.manager().refresh(&stage.other_object, &new).is_reset(),
        "another object retained its clusters, and this one holds an old client"
    );
    stage.assert_unchanged(&west, "the cluster was retained");
    stage.assert_reset(&Stage::<M>::without_revision(&stage.west), "the cluster was retained, and its client is held");

    stage.obtain(&new).await;
    stage.manager().retain(&stage.object, |_| true);
    stage.assert_unchanged(&new, "everything was retained");
    stage.assert_reset(&west, "everything was retained, also a reset that is due");
    stage.manager().retain(&stage.object, |_| false);
    assert_eq!(stage.manager().remembered(), 1, "one object of two retained nothing");
    stage.assert_unchanged(&west, "nothing was retained");
}

/// A call on a cluster that is not retained ends as one whose object is forgotten; one on a retained cluster goes on.
pub async fn a_call_on_a_cluster_that_is_not_retained_leaves_no_trace<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    stage.steering().connect(&stage.west).await;
    let east = stage.observe(&stage.east).await;
    let west = stage.observe(&stage.west).await;
    let holds = [stage.gate().hold(&stage.east), stage.gate().hold(&stage.west)];
    let mut on_east = pin!(stage.client(&east));
    let mut on_west = pin!(stage.client(&west));
    assert!(poll_once(on_east.as_mut()).await.is_none(), "the provider is held, yet the call was answered");
    assert!(poll_once(on_west.as_mut()).await.is_none(), "the provider is held, yet the call was answered");
    stage.manager().retain(&stage.object, |cluster| *cluster == stage.west);
    drop(holds);
    assert!(
        matches!(on_east.await, Err(ClientError::Forgotten { .. })),
        "the cluster was not retained during the call, and the call did not end as forgotten"
    );
    expect_client(on_west.await, "the cluster was retained during the call");
    stage.assert_unchanged(&west, "the client of this connection is held");
    stage.assert_unchanged(&Stage::<M>::without_revision(&stage.east), "the only call on the cluster was forgotten");
}

/// A call whose object is forgotten while the provider is asked ends in [`ClientError::Forgotten`] and leaves no trace.
pub async fn a_call_whose_object_is_forgotten_leaves_no_trace<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let cluster = stage.observe(&stage.east).await;
    let none = Stage::<M>::without_revision(&stage.east);
    for observed in [&cluster, &none] {
        let hold = stage.gate().hold(&stage.east);
        let mut call = pin!(stage.client(observed));
        assert!(poll_once(call.as_mut()).await.is_none(), "the provider is held, yet the call was answered");
        stage.manager().forget(&stage.object);
        hold.release();
        match call.await {
            Err(ClientError::Forgotten { cluster }) => {
                assert_eq!(cluster, stage.east, "the error names another cluster");
            }
            Err(error) => panic!("the object was forgotten during the call, and the error is {error:?}"),
            Ok(_) => panic!("the object was forgotten during the call, and a client was handed out"),
        }
        assert_eq!(stage.manager().remembered(), 0, "a late answer brought a forgotten object back");
    }
}

/// A call whose cluster is forgotten while the provider is asked leaves no trace either.
pub async fn a_call_whose_cluster_is_forgotten_leaves_no_trace<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let cluster = stage.observe(&stage.east).await;
    let hold = stage.gate().hold(&stage.east);
    let mut call = pin!(stage.client(&cluster));
    assert!(poll_once(call.as_mut()).await.is_none(), "the provider is held, yet the call was answered");
    stage.manager().forget_cluster(&stage.east);
    hold.release();
    assert!(
        matches!(call.await, Err(ClientError::Forgotten { .. })),
        "the cluster was forgotten during the call, and the call did not end as forgotten"
    );
    assert_eq!(stage.manager().remembered(), 0, "a late answer brought a forgotten cluster back");
}

/// A recreated object, which has another key, inherits nothing.
pub async fn a_recreated_object_inherits_nothing<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let old = stage.observe(&stage.east).await;
    stage.obtain(&old).await;
    let new = stage.replace_east().await;
    assert!(
        !stage.manager().refresh(&stage.other_object, &new).is_reset(),
        "an object that never asked was told to reset what another one holds"
    );
    let client = stage.obtain_for(&stage.other_object, &new).await;
    stage.assert_current(&client, &stage.east).await;
}
