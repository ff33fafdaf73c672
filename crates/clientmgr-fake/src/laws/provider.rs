//! The laws of [`ClientProvider`]: what every manager relies on.

use std::error::Error;
use std::fmt::Debug;
use std::pin::pin;

use clientmgr_core::{ClientProvider, Connection, ProviderError, Revision};

use super::polling::poll_once;
use super::setup::{ClientOf, KeyOf, ProviderSetup, RevisionOf};

/// A cluster that the provider does not know is `NotFound`, whatever else is connected.
pub async fn an_unknown_cluster_is_not_found<S: ProviderSetup>(setup: S) {
    let [east, west] = setup.clusters();
    assert_not_found(&setup, &east, "before anything is connected").await;
    setup.connect(&east).await;
    assert_not_found(&setup, &west, "while another cluster is connected").await;
    assert_not_found(&setup, &setup.unknown_cluster(), "while another cluster is connected").await;
}

/// While a connection is current, every call returns its revision and a client of it.
pub async fn an_unchanged_connection_keeps_its_revision<S: ProviderSetup>(setup: S) {
    let [east, west] = setup.clusters();
    setup.connect(&east).await;
    let first = connected(&setup, &east).await;
    let identity = setup.identify(&first.client).await;
    setup.connect(&west).await;
    for _ in 0..3 {
        let again = connected(&setup, &east).await;
        assert_eq!(again.revision, first.revision, "nothing happened to cluster {east:?}, but its revision changed");
        assert_eq!(
            setup.identify(&again.client).await,
            identity,
            "cluster {east:?} still has revision {:?}, but the client is another one",
            first.revision
        );
    }
}

/// A connection that replaces another has a revision that no earlier connection of the cluster had.
pub async fn a_replacement_has_a_new_revision<S: ProviderSetup>(setup: S) {
    let [east, _] = setup.clusters();
    setup.connect(&east).await;
    let mut seen = vec![connected(&setup, &east).await.revision];
    for _ in 0..4 {
        setup.replace(&east).await;
        note_new_revision(&setup, &east, &mut seen).await;
    }
}

/// A cluster that is removed and connected again has a revision that it never had before.
pub async fn a_cluster_added_again_has_a_new_revision<S: ProviderSetup>(setup: S) {
    let [east, _] = setup.clusters();
    setup.connect(&east).await;
    let mut seen = vec![connected(&setup, &east).await.revision];
    for _ in 0..2 {
        setup.remove(&east).await;
        setup.connect(&east).await;
        note_new_revision(&setup, &east, &mut seen).await;
    }
}

/// Where revisions are ordered, a later connection never has the older one.
pub async fn a_later_connection_never_has_an_older_revision<S: ProviderSetup>(setup: S) {
    let [east, _] = setup.clusters();
    setup.connect(&east).await;
    let mut last = connected(&setup, &east).await.revision;
    for step in ["replaced", "recovered", "replaced", "connected again"] {
        match step {
            "recovered" => {
                setup.fail(&east).await;
                setup.recover(&east).await;
            }
            "connected again" => {
                setup.remove(&east).await;
                setup.connect(&east).await;
            }
            _ => setup.replace(&east).await,
        }
        let next = connected(&setup, &east).await.revision;
        assert!(
            !next.is_older_than(&last),
            "cluster {east:?} was {step}, but its revision {next:?} is older than {last:?}: if order means nothing \
             here, use unordered revisions"
        );
        last = next;
    }
}

/// A call returns the connection that is current when it completes, not the one of when it began.
pub async fn a_call_returns_the_connection_that_is_current_when_it_completes<S: ProviderSetup>(setup: S) {
    let [east, _] = setup.clusters();
    setup.connect(&east).await;
    for polls in 0..4 {
        let mut call = pin!(setup.provider().connection(&east));
        let mut answer = None;
        for _ in 0..polls {
            answer = poll_once(call.as_mut()).await;
            if answer.is_some() {
                break;
            }
        }
        let (answer, change) = if let Some(answer) = answer {
            (answer, "no change")
        } else {
            setup.replace(&east).await;
            (call.await, "the connection was replaced")
        };
        let answered = expect_connection(answer, &east);
        let current = connected(&setup, &east).await;
        assert_eq!(
            answered.revision, current.revision,
            "a call for cluster {east:?} that was polled {polls} times completed after {change}, and answered with \
             another revision than the current one"
        );
        let identities = [setup.identify(&answered.client).await, setup.identify(&current.client).await];
        assert_eq!(identities[0], identities[1], "revision {:?} of cluster {east:?} has two clients", current.revision);
    }
}

/// A client belongs to one cluster, also after connections were replaced or have recovered.
pub async fn clusters_do_not_share_clients<S: ProviderSetup>(setup: S) {
    let [east, west] = setup.clusters();
    setup.connect(&east).await;
    setup.connect(&west).await;
    assert_apart(&setup, &east, &west).await;
    setup.replace(&west).await;
    assert_apart(&setup, &east, &west).await;
    setup.fail(&east).await;
    setup.recover(&east).await;
    assert_apart(&setup, &east, &west).await;
}

/// A failing cluster is `Unavailable` or `Incompatible`, with a source. It is not `NotFound`.
pub async fn a_failing_cluster_has_an_error_with_a_source<S: ProviderSetup>(setup: S) {
    let [east, _] = setup.clusters();
    setup.connect(&east).await;
    setup.fail(&east).await;
    let error = expect_error(setup.provider().connection(&east).await, &east);
    assert!(
        error.source().is_some_and(|source| !source.to_string().is_empty()),
        "cluster {east:?} fails, and the error `{error}` does not say why"
    );
}

/// A cluster that fails or is removed does not change the connection of another one.
pub async fn a_failing_cluster_does_not_affect_others<S: ProviderSetup>(setup: S) {
    let [east, west] = setup.clusters();
    setup.connect(&east).await;
    setup.connect(&west).await;
    let before = connected(&setup, &west).await;
    let identity = setup.identify(&before.client).await;
    for change in ["failed", "was removed"] {
        match change {
            "failed" => setup.fail(&east).await,
            _ => setup.remove(&east).await,
        }
        let after = connected(&setup, &west).await;
        assert_eq!(after.revision, before.revision, "cluster {east:?} {change}, and the revision of {west:?} changed");
        assert_eq!(
            setup.identify(&after.client).await,
            identity,
            "cluster {east:?} {change}, and the client of {west:?} changed"
        );
    }
}

/// A cluster that recovers has a client: of the connection it had before, or of one with a new revision.
pub async fn a_recovered_cluster_has_a_client<S: ProviderSetup>(setup: S) {
    let [east, _] = setup.clusters();
    setup.connect(&east).await;
    let first = connected(&setup, &east).await.revision;
    setup.replace(&east).await;
    for _ in 0..2 {
        setup.fail(&east).await;
        expect_error(setup.provider().connection(&east).await, &east);
        setup.recover(&east).await;
        let recovered = connected(&setup, &east).await;
        assert_ne!(recovered.revision, first, "cluster {east:?} recovered with the revision of a replaced connection");
        setup.identify(&recovered.client).await;
    }
}

/// A removed cluster is `NotFound`, whether it was connected or failing.
pub async fn a_removed_cluster_is_not_found<S: ProviderSetup>(setup: S) {
    let [east, west] = setup.clusters();
    setup.connect(&east).await;
    connected(&setup, &east).await;
    setup.remove(&east).await;
    assert_not_found(&setup, &east, "after it was removed").await;
    setup.connect(&west).await;
    setup.fail(&west).await;
    expect_error(setup.provider().connection(&west).await, &west);
    setup.remove(&west).await;
    assert_not_found(&setup, &west, "after it was removed while it failed").await;
}

/// A call that is dropped, before its first poll or at an await, changes nothing.
pub async fn a_dropped_call_changes_nothing<S: ProviderSetup>(setup: S) {
    let [east, _] = setup.clusters();
    setup.connect(&east).await;
    let before = connected(&setup, &east).await;
    let identity = setup.identify(&before.client).await;
    for _ in 0..3 {
        drop(setup.provider().connection(&east));
        drop(poll_once(pin!(setup.provider().connection(&east))).await);
    }
    let after = connected(&setup, &east).await;
    assert_eq!(after.revision, before.revision, "a dropped call changed the revision of cluster {east:?}");
    assert_eq!(setup.identify(&after.client).await, identity, "a dropped call changed the client of cluster {east:?}");
}

/// Calls that run at the same time return the same connection.
pub async fn concurrent_calls_agree<S: ProviderSetup>(setup: S) {
    let [east, _] = setup.clusters();
    setup.connect(&east).await;
    let mut first = pin!(setup.provider().connection(&east));
    let mut second = pin!(setup.provider().connection(&east));
    let early = [poll_once(first.as_mut()).await, poll_once(second.as_mut()).await];
    let [early_first, early_second] = early;
    // The second call first: it must not depend on another call that is not polled.
    let second = if let Some(answer) = early_second { answer } else { second.await };
    let first = if let Some(answer) = early_first { answer } else { first.await };
    let [first, second] = [first, second].map(|answer| expect_connection(answer, &east).revision);
    assert_eq!(first, second, "two calls for cluster {east:?} at once have different answers");
}

async fn connected<S: ProviderSetup>(setup: &S, cluster: &KeyOf<S>) -> Connection<ClientOf<S>, RevisionOf<S>> {
    expect_connection(setup.provider().connection(cluster).await, cluster)
}

#[track_caller]
fn expect_connection<C, R>(answer: Result<Connection<C, R>, ProviderError>, cluster: &impl Debug) -> Connection<C, R> {
    match answer {
        Ok(connection) => connection,
        Err(error) => panic!("cluster {cluster:?} is connected, but the provider has no client: {error:?}"),
    }
}

#[track_caller]
fn expect_error<C, R: Debug>(answer: Result<Connection<C, R>, ProviderError>, cluster: &impl Debug) -> ProviderError {
    match answer {
        Ok(connection) => panic!("cluster {cluster:?} fails, but it has a client of {:?}", connection.revision),
        Err(error) => error,
    }
}

async fn assert_not_found<S: ProviderSetup>(setup: &S, cluster: &KeyOf<S>, when: &str) {
    match setup.provider().connection(cluster).await {
        Err(ProviderError::NotFound) => {}
        Err(error) => panic!("cluster {cluster:?} must be not found {when}, and the error is {error:?}"),
        Ok(connection) => panic!(
            "cluster {cluster:?} must be not found {when}, and it has a client of revision {:?}",
            connection.revision
        ),
    }
}

async fn assert_apart<S: ProviderSetup>(setup: &S, east: &KeyOf<S>, west: &KeyOf<S>) {
    let of_east = setup.identify(&connected(setup, east).await.client).await;
    let of_west = setup.identify(&connected(setup, west).await.client).await;
    assert_ne!(of_east, of_west, "clusters {east:?} and {west:?} have the same client");
}

async fn note_new_revision<S: ProviderSetup>(setup: &S, cluster: &KeyOf<S>, seen: &mut Vec<RevisionOf<S>>) {
    let revision = connected(setup, cluster).await.revision;
    assert!(
        !seen.contains(&revision),
        "the new connection of cluster {cluster:?} has revision {revision:?}, which an earlier one had: {seen:?}"
    );
    seen.push(revision);
}
