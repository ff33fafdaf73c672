//! What `refresh` says.

use clientmgr_core::{ClientProvider, Revision};

use super::stage::{Stage, assert_outdated};
use crate::laws::setup::{Manager, ManagerSetup, ProviderSetup};

/// An object that never asked has nothing to drop, whatever the cluster object tells. Nor does asking leave a trace.
pub async fn an_object_that_never_asked_has_nothing_to_reset<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let old = stage.observe(&stage.east).await;
    let new = stage.replace_east().await;
    for cluster in [&old, &new, &Stage::<M>::without_revision(&stage.east), &old] {
        stage.assert_unchanged(cluster, "the object never asked for a client");
    }
    assert_eq!(stage.manager().remembered(), 0, "a refresh alone made the manager remember an object");
}

/// While the cluster object tells of the connection whose client is held, nothing is reset.
pub async fn what_is_held_is_unchanged_while_it_is_observed<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let held = stage.observe(&stage.east).await;
    stage.obtain(&held).await;
    for _ in 0..3 {
        stage.assert_unchanged(&held, "the client of this connection is held");
    }
    stage.replace_east().await;
    stage.assert_unchanged(&held, "the cluster object still tells of the connection held: its news are yet to come");
}

/// Another connection than the one whose client is held is announced.
pub async fn a_replaced_connection_is_a_reset<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let old = stage.observe(&stage.east).await;
    stage.obtain(&old).await;
    let new = stage.replace_east().await;
    stage.assert_reset(&new, "the client held is of another connection");
    stage.obtain(&new).await;
    stage.assert_unchanged(&new, "the client of this connection is held");
}

/// A cluster object that tells of no connection any more is a reset for whoever holds a client.
pub async fn a_connection_that_is_no_longer_told_is_a_reset<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let held = stage.observe(&stage.east).await;
    stage.obtain(&held).await;
    stage.assert_reset(&Stage::<M>::without_revision(&stage.east), "no revision equals none");
}

/// A cluster object that is known to be older than what is held comes from a lagging cache and resets nothing. Where
/// revisions have no order it cannot be known, and is a reset.
pub async fn an_older_observation_resets_nothing<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let old = stage.observe(&stage.east).await;
    let new = stage.replace_east().await;
    stage.obtain(&new).await;
    let known_older = match (&old.revision, &new.revision) {
        (Some(old), Some(new)) => old.is_older_than(new),
        _ => panic!("the set-up connected the cluster, and the provider has no client"),
    };
    if known_older {
        stage.assert_unchanged(&old, "the cluster object is older than the client held");
        stage.assert_unchanged(&new, "the client of this connection is held");
        stage.obtain(&new).await;
    } else {
        stage.assert_reset(&old, "the client held is of another connection, and which is older is not known");
    }
}

/// A reset is said again by every refresh until a client was obtained, also where the cluster object tells once more of
/// the connection that was held.
pub async fn a_reset_is_said_until_a_client_was_obtained<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let old = stage.observe(&stage.east).await;
    stage.obtain(&old).await;
    let new = stage.replace_east().await;
    for cluster in [&new, &new, &old, &Stage::<M>::without_revision(&stage.east), &new] {
        stage.assert_reset(cluster, "a reset was said, and no client was obtained since");
    }
    assert_outdated::<M>(stage.client(&old).await, &old);
    stage.assert_reset(&new, "a reset was said, and the client was asked for in vain");
    stage.steering().fail(&stage.east).await;
    assert!(stage.client(&new).await.is_err(), "the cluster fails");
    stage.assert_reset(&new, "a reset was said, and the provider had an error since");

    stage.steering().recover(&stage.east).await;
    let recovered = stage.observe(&stage.east).await;
    stage.assert_reset(&recovered, "a reset was said, and no client was obtained since");
    stage.obtain(&recovered).await;
    stage.assert_unchanged(&recovered, "the client of this connection is held");
}

/// An object that asked in vain before it held a client is told when the client has come.
pub async fn recovery_is_announced<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let before = stage.observe(&stage.east).await;
    stage.steering().fail(&stage.east).await;
    assert!(stage.client(&before).await.is_err(), "the cluster fails");
    stage.steering().recover(&stage.east).await;
    let after = stage.observe(&stage.east).await;
    stage.assert_reset(&after, "the object asked in vain, and the cluster recovered");
    stage.obtain(&after).await;
    stage.assert_unchanged(&after, "the recovery was announced and the client obtained");
}

/// That holds too where the object asked in vain because the cluster was not known yet, or its object outdated.
pub async fn a_first_connection_is_announced_to_who_asked_too_early<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let none = Stage::<M>::without_revision(&stage.west);
    assert!(stage.client(&none).await.is_err(), "cluster {:?} is not known yet", stage.west);
    stage.steering().connect(&stage.west).await;
    let west = stage.observe(&stage.west).await;
    stage.assert_reset(&west, "the object asked in vain before the cluster was known");
    stage.obtain(&west).await;
    stage.assert_unchanged(&west, "the client of this connection is held");

    let none = Stage::<M>::without_revision(&stage.east);
    assert_outdated::<M>(stage.client(&none).await, &none);
    let east = stage.observe(&stage.east).await;
    stage.assert_reset(&east, "the object asked in vain with an outdated cluster object");
    stage.obtain(&east).await;
    stage.assert_unchanged(&east, "the client of this connection is held");
}

/// `refresh` never asks the provider: it decides by what the cluster object tells, also while the provider hangs.
pub async fn a_refresh_never_asks_the_provider<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let old = stage.observe(&stage.east).await;
    stage.obtain(&old).await;
    let new = stage.replace_east().await;
    let asked = stage.gate().calls(&stage.east);
    let hold = stage.gate().hold(&stage.east);
    stage.assert_unchanged(&old, "the client of this connection is held");
    stage.assert_reset(&new, "the client held is of another connection");
    stage.assert_reset(&new, "no client was obtained");
    assert_eq!(stage.gate().calls(&stage.east), asked, "a refresh asked the provider");
    hold.release();
    assert!(stage.steering().provider().connection(&stage.east).await.is_ok());
}

/// What one object holds on one cluster concerns no other object and no other cluster.
pub async fn objects_and_clusters_do_not_disturb_each_other<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    stage.steering().connect(&stage.west).await;
    let old_east = stage.observe(&stage.east).await;
    let west = stage.observe(&stage.west).await;
    stage.obtain(&old_east).await;
    stage.obtain(&west).await;
    stage.obtain_for(&stage.other_object, &old_east).await;

    let new_east = stage.replace_east().await;
    stage.assert_reset(&new_east, "the client held is of another connection");
    stage.obtain(&new_east).await;
    stage.assert_unchanged(&west, "the connection of the other cluster was replaced, not this one");
    stage.assert_unchanged(&new_east, "the client of this connection is held");
    assert!(
        stage.manager().refresh(&stage.other_object, &new_east).is_reset(),
        "one object obtained the new client, and the other was not told to reset"
    );
    stage.obtain_for(&stage.other_object, &new_east).await;
    assert!(!stage.manager().refresh(&stage.other_object, &new_east).is_reset(), "both objects hold the new client");
}
