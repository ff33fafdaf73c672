//! What `refresh` returns.

use clientmgr_core::{ClientProvider, Revision};

use super::harness::{Harness, assert_outdated};
use crate::laws::setup::ProviderSetup;
use crate::laws::subject::{Manager, ManagerSetup};

/// `refresh` returns Unchanged for an object that never requested a client, and stores nothing.
pub async fn an_object_without_requests_has_nothing_to_reset<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let old = harness.observe(&harness.east).await;
    let new = harness.replace_east().await;
    for cluster in [&old, &new, &Harness::<M>::without_revision(&harness.east), &old] {
        harness.assert_unchanged(cluster, "the object never requested a client");
    }
    assert_eq!(harness.manager().remembered(), 0, "a refresh alone made the manager remember an object");
}

/// `refresh` returns Unchanged while the cluster object names the connection that the object holds a client of.
pub async fn the_held_client_is_unchanged_while_it_is_observed<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let held = harness.observe(&harness.east).await;
    harness.obtain(&held).await;
    for _ in 0..3 {
        harness.assert_unchanged(&held, "the client of this connection is held");
    }
    harness.replace_east().await;
    harness.assert_unchanged(&held, "the cluster object still names the held connection: it has not changed yet");
}

/// `refresh` returns Reset when the cluster object names another connection than the held one.
pub async fn a_replaced_connection_is_a_reset<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let old = harness.observe(&harness.east).await;
    harness.obtain(&old).await;
    let new = harness.replace_east().await;
    harness.assert_reset(&new, "the client held is of another connection");
    harness.obtain(&new).await;
    harness.assert_unchanged(&new, "the client of this connection is held");
}

/// `refresh` returns Reset when the object holds a client and the cluster object has no revision.
pub async fn a_missing_revision_is_a_reset<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let held = harness.observe(&harness.east).await;
    harness.obtain(&held).await;
    harness.assert_reset(&Harness::<M>::without_revision(&harness.east), "no revision equals none");
}

/// A cluster object that is older than the held client resets nothing. Where revisions are unordered, it is a Reset.
pub async fn an_older_observation_resets_nothing<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let old = harness.observe(&harness.east).await;
    let new = harness.replace_east().await;
    harness.obtain(&new).await;
    let known_older = match (&old.revision, &new.revision) {
        (Some(old), Some(new)) => old.is_older_than(new),
        _ => panic!("the setup connected the cluster, and the provider has no client"),
    };
    if known_older {
        harness.assert_unchanged(&old, "the cluster object is older than the client held");
        harness.assert_unchanged(&new, "the client of this connection is held");
        harness.obtain(&new).await;
    } else {
        harness.assert_reset(&old, "the client held is of another connection, and which is older is not known");
    }
}

/// `refresh` returns Reset again until a client is obtained, also when the cluster object names the held connection
/// again.
pub async fn a_reset_is_repeated_until_a_client_is_obtained<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let old = harness.observe(&harness.east).await;
    harness.obtain(&old).await;
    let new = harness.replace_east().await;
    for cluster in [&new, &new, &old, &Harness::<M>::without_revision(&harness.east), &new] {
        harness.assert_reset(cluster, "a reset was reported, and no client was obtained since");
    }
    assert_outdated::<M>(harness.client(&old).await, &old);
    harness.assert_reset(&new, "a reset was reported, and the client was requested without success");
    harness.provider_setup().fail(&harness.east).await;
    assert!(harness.client(&new).await.is_err(), "the cluster fails");
    harness.assert_reset(&new, "a reset was reported, and the provider had an error since");

    harness.provider_setup().recover(&harness.east).await;
    let recovered = harness.observe(&harness.east).await;
    harness.assert_reset(&recovered, "a reset was reported, and no client was obtained since");
    harness.obtain(&recovered).await;
    harness.assert_unchanged(&recovered, "the client of this connection is held");
}

/// An object whose request failed before it held a client gets a Reset when the cluster has recovered.
pub async fn recovery_is_announced<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let before = harness.observe(&harness.east).await;
    harness.provider_setup().fail(&harness.east).await;
    assert!(harness.client(&before).await.is_err(), "the cluster fails");
    harness.provider_setup().recover(&harness.east).await;
    let after = harness.observe(&harness.east).await;
    harness.assert_reset(&after, "the object requested a client without success, and the cluster recovered");
    harness.obtain(&after).await;
    harness.assert_unchanged(&after, "the recovery was announced and the client obtained");
}

/// An object that requested a client too early gets a Reset when the cluster is connected.
pub async fn a_first_connection_is_announced_after_an_early_request<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let none = Harness::<M>::without_revision(&harness.west);
    assert!(harness.client(&none).await.is_err(), "cluster {:?} is not known yet", harness.west);
    harness.provider_setup().connect(&harness.west).await;
    let west = harness.observe(&harness.west).await;
    harness.assert_reset(&west, "the object requested a client without success before the cluster was known");
    harness.obtain(&west).await;
    harness.assert_unchanged(&west, "the client of this connection is held");

    let none = Harness::<M>::without_revision(&harness.east);
    assert_outdated::<M>(harness.client(&none).await, &none);
    let east = harness.observe(&harness.east).await;
    harness.assert_reset(&east, "the object requested a client without success with an outdated cluster object");
    harness.obtain(&east).await;
    harness.assert_unchanged(&east, "the client of this connection is held");
}

/// `refresh` decides by the cluster object alone. It never asks the provider, and works while the provider hangs.
pub async fn a_refresh_never_asks_the_provider<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let old = harness.observe(&harness.east).await;
    harness.obtain(&old).await;
    let new = harness.replace_east().await;
    let asked = harness.gate().calls(&harness.east);
    let hold = harness.gate().hold(&harness.east);
    harness.assert_unchanged(&old, "the client of this connection is held");
    harness.assert_reset(&new, "the client held is of another connection");
    harness.assert_reset(&new, "no client was obtained");
    assert_eq!(harness.gate().calls(&harness.east), asked, "a refresh asked the provider");
    hold.release();
    assert!(harness.provider_setup().provider().connection(&harness.east).await.is_ok());
}

/// What one object holds on one cluster affects no other object and no other cluster.
pub async fn objects_and_clusters_are_independent<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    harness.provider_setup().connect(&harness.west).await;
    let old_east = harness.observe(&harness.east).await;
    let west = harness.observe(&harness.west).await;
    harness.obtain(&old_east).await;
    harness.obtain(&west).await;
    harness.obtain_for(&harness.other_object, &old_east).await;

    let new_east = harness.replace_east().await;
    harness.assert_reset(&new_east, "the client held is of another connection");
    harness.obtain(&new_east).await;
    harness.assert_unchanged(&west, "the connection of the other cluster was replaced, not this one");
    harness.assert_unchanged(&new_east, "the client of this connection is held");
    assert!(
        harness.manager().refresh(&harness.other_object, &new_east).is_reset(),
        "one object obtained the new client, and the other got no Reset"
    );
    harness.obtain_for(&harness.other_object, &new_east).await;
    assert!(
        !harness.manager().refresh(&harness.other_object, &new_east).is_reset(),
        "both objects hold the new client"
    );
}
