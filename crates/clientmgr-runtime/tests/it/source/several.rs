//! Several sources for one fleet.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use clientmgr_fake::apiserver::TestServer;
use clientmgr_kube::{ClusterConfig, Fleet, NamespacedName};
use clientmgr_runtime::source::{NotSynced, SourceError, SourceEvent, Sources, local_cluster, static_clusters};
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::{StreamExt, stream};
use tokio::time::timeout;

use super::fixture::Fed;

/// Long enough for a machine under load: for what is expected to happen.
const PATIENCE: Duration = Duration::from_secs(20);

fn east() -> NamespacedName {
    NamespacedName::cluster_scoped("east")
}

async fn server(name: &str) -> (TestServer, ClusterConfig) {
    let server = TestServer::builder().name(name).start().await.unwrap();
    let config = ClusterConfig::from_kubeconfig(&server.kubeconfig(), name);
    (server, config)
}

type Steered = (UnboundedSender<SourceEvent>, UnboundedReceiver<SourceEvent>);

#[tokio::test]
async fn the_first_source_wins_a_conflict_that_shows_and_the_next_takes_over() {
    let ((a, of_a), (_b, of_b)) = (server("a").await, server("b").await);
    let as_other = ClusterConfig::from_kubeconfig(&a.kubeconfig_for(&a.issue_token("other")), "a");
    let ((first, first_events), (second, second_events)): (Steered, Steered) = (unbounded(), unbounded());
    let mut fed = Fed::by(|sources| sources.source("first", first_events).source("second", second_events));

    second.unbounded_send(SourceEvent::upsert("east", Ok(as_other.clone()))).unwrap();
    let revision = fed.connected(&east()).await;
    assert_eq!(fed.user(&east()).await, "other");
    first.unbounded_send(SourceEvent::upsert("east", Ok(of_a))).unwrap();
    fed.until("the first source takes over", |fleet, status| {
        let conflict = status.conflicts.first();
        conflict.is_some_and(|it| it.cluster == east() && &*it.used == "first" && it.ignored == [Arc::from("second")])
            && fleet.snapshot(east()).unwrap().user.as_deref() == Some("admin")
    })
    .await;
    assert_eq!(fed.revision(&east()), revision, "it is the same cluster");

    second.unbounded_send(SourceEvent::upsert("east", Ok(of_b))).unwrap();
    first.unbounded_send(SourceEvent::Restarted).unwrap();
    first.unbounded_send(SourceEvent::Synced).unwrap();
    fed.until("the second source takes over with another cluster", |fleet, status| {
        status.conflicts.is_empty() && fleet.snapshot(east()).is_some_and(|it| it.connected_at > Some(revision))
    })
    .await;
    second.unbounded_send(SourceEvent::remove("east")).unwrap();
    fed.gone(&east()).await;
}

#[tokio::test]
async fn a_source_that_ends_fails_or_panics_leaves_its_clusters_and_the_others_alone() {
    let (_server, config) = server("a").await;
    let (sender, events): Steered = unbounded();
    let ending = static_clusters([("ended", config.clone())]);
    let upsert = SourceEvent::upsert("panicked", Ok(config.clone()));
    let panicking = stream::iter([false, true]).map(move |panics| {
        assert!(!panics, "on purpose");
        upsert.clone()
    });
    let mut fed =
        Fed::by(|sources| sources.source("ending", ending).source("panicking", panicking).source("steered", events));
    sender.unbounded_send(SourceEvent::upsert("east", Ok(config))).unwrap();
    let error = SourceError::Missing { field: "everything".into() };
    sender.unbounded_send(SourceEvent::Failed(error)).unwrap();
    fed.until("all is reported", |_, status| {
        let [ending, panicking, steered] = &status.sources[..] else { panic!("three sources") };
        (ending.ended && ending.synced && ending.error.is_none())
            && (panicking.ended && !panicking.synced && matches!(panicking.error, Some(SourceError::Panicked)))
            && (!steered.ended && matches!(steered.error, Some(SourceError::Missing { .. })))
            && !status.is_synced()
    })
    .await;
    for cluster in ["ended", "panicked", "east"] {
        fed.connected(&cluster.into()).await;
    }
}

#[tokio::test]
async fn a_wait_for_lists_fails_when_a_source_ends_before_and_ends_with_the_last_source() {
    let error = SourceError::Missing { field: "everything".into() };
    let ending = stream::iter([SourceEvent::Restarted, SourceEvent::Failed(error)]);
    let mut sources = Sources::new(Fleet::new()).source("ending", ending).source("silent", stream::pending()).spawn();
    let failed = timeout(PATIENCE, sources.wait_synced()).await.expect("it does not hang").unwrap_err();
    assert_eq!(failed.to_string(), "the source \"ending\" ended before it had listed its clusters");
    assert_eq!(failed.source().unwrap().to_string(), "everything: it is missing");

    let mut sources = Sources::new(Fleet::new()).source("list", stream::iter([SourceEvent::Synced])).spawn();
    timeout(PATIENCE, sources.wait_synced()).await.expect("it does not hang").unwrap();
    let to_the_end = async { while sources.changed().await {} };
    timeout(PATIENCE, to_the_end).await.expect("nothing will change any more");
    timeout(PATIENCE, sources.wait_synced()).await.expect("it does not hang").unwrap();
}

#[test]
fn a_wait_for_sources_whose_runtime_is_gone_ends() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let theirs = runtime();
    let mut sources = theirs.block_on(async { Sources::new(Fleet::new()).source("silent", stream::pending()).spawn() });
    drop(theirs);
    let wait = async { timeout(PATIENCE, sources.wait_synced()).await.expect("it does not hang") };
    assert!(matches!(runtime().block_on(wait), Err(NotSynced::Stopped)));
}

#[test]
#[should_panic(expected = "another source is named \"list\": give each its own name")]
fn two_sources_of_one_name_panic() {
    let list = || stream::iter([SourceEvent::Synced]);
    drop(Sources::new(Fleet::new()).source("list", list()).source("list", list()));
}

#[tokio::test]
async fn sources_end_when_their_handle_is_dropped_and_the_clusters_stay() {
    let (_server, config) = server("a").await;
    for dropped in [true, false] {
        let fleet = Fleet::new();
        let (sender, events): Steered = unbounded();
        let running = Sources::new(fleet.clone()).source("steered", events).spawn();
        sender.unbounded_send(SourceEvent::upsert("east", Ok(config.clone()))).unwrap();
        let connected = async {
            let mut changes = fleet.events();
            while !fleet.snapshot(east()).is_some_and(|it| it.is_connected()) {
                changes.next().await;
            }
        };
        timeout(PATIENCE, connected).await.unwrap();
        if dropped {
            drop(running);
        } else {
            running.shutdown().await;
        }
        let closed = async {
            while !sender.is_closed() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, closed).await.expect("the source is still polled");
        assert_eq!(fleet.clusters(), [east()]);
    }
}

#[tokio::test]
async fn outside_a_pod_the_local_cluster_says_what_is_missing() {
    let mut fed = Fed::by(|sources| sources.source("local", local_cluster("hub")));
    fed.broken(&"hub".into(), "KUBERNETES_SERVICE_HOST").await;
}

#[tokio::test]
async fn a_ready_configuration_is_a_local_cluster() {
    let server = TestServer::start_default().await.unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(server.kubeconfig(), &options).await.unwrap();
    let mut fed = Fed::by(|sources| sources.source("local", static_clusters([("hub", config.into())])));
    fed.connected(&"hub".into()).await;
}
