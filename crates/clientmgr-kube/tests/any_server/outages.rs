//! Outages: handle and revision stay, readers get an error at once, and all resumes by itself.

use clientmgr_core::ClientManager;
use clientmgr_kube::k8s_openapi::api::core::v1::ConfigMap;
use clientmgr_kube::kube::runtime::{WatchStreamExt, watcher};
use clientmgr_kube::kube::{Api, ResourceExt};
use clientmgr_kube::{ClientProvider, ClusterSnapshot, ConnectError, Incarnation, ProviderError};
use futures::{FutureExt, StreamExt};

use crate::cluster::{Cluster, builder, east, fleet};
use crate::users::{list, served, snapshot, until, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_resets_nothing_fails_fast_and_a_watcher_resumes() {
    let (cluster, fleet) = (Cluster::start().await, fleet());
    fleet.upsert(east(), cluster.config(&cluster.issue().await));
    let revision = within(fleet.wait_connected(&east())).await.unwrap();
    let client = served(&fleet).await;
    let manager = ClientManager::<_, u8>::new(fleet.clone());
    manager.client(&0, &snapshot(&fleet)).await.unwrap();
    let maps = Api::<ConfigMap>::default_namespaced(client.clone());
    let mut watched = watcher(maps, watcher::Config::default()).default_backoff().applied_objects().boxed();

    for round in 0..2 {
        cluster.forwarder.close();
        let down = until(&fleet, |now| !now.is_connected()).await;
        assert_eq!(down.connected_at, Some(revision));
        match fleet.connection(&east()).now_or_never().expect("without waiting") {
            Err(ProviderError::Unavailable { source, .. }) => assert!(source.downcast_ref::<ConnectError>().is_some()),
            other => panic!("not unavailable: {:?}", other.map(|connection| connection.revision)),
        }
        assert!(!manager.refresh(&0, &snapshot(&fleet)).is_reset());
        list(&client).await.unwrap_err();

        // What happens meanwhile is not lost.
        let name = format!("during-{round}");
        cluster.create(&name).await;
        cluster.forwarder.lead_to(cluster.address());
        let up = until(&fleet, ClusterSnapshot::is_connected).await;
        assert_eq!(up.connected_at, Some(revision));
        assert!(!manager.refresh(&0, &up).is_reset());
        list(&client).await.unwrap();
        let resumed = async {
            loop {
                match watched.next().await {
                    Some(Ok(map)) if map.name_any() == name => return,
                    None => panic!("the watcher ended"),
                    // What was cut, or an older object.
                    Some(_) => {}
                }
            }
        };
        within(resumed).await;
    }
    fleet.shutdown().await;
}

/// A real server answers before it has loaded its roles: it refuses all but administrators for a moment.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_started_again_resets_nothing() {
    let (cluster, fleet) = (Cluster::start().await, fleet());
    let config = cluster.config(&cluster.issue().await);
    fleet.upsert(east(), config.clone());
    let revision = within(fleet.wait_connected(&east())).await.unwrap();
    let client = served(&fleet).await;
    let identity = snapshot(&fleet).identity.unwrap();
    let mut running = Vec::new();
    for _ in 0..3 {
        running.extend(cluster.restart().await);
        if !running.is_empty() {
            until(&fleet, |now| !now.is_connected()).await;
        }
        // A process that starts meanwhile adopts the revision too.
        let other = builder().build();
        let known = Incarnation { identity: identity.clone(), revision };
        other.upsert(east(), config.clone().with_incarnation(known));
        let up = until(&fleet, ClusterSnapshot::is_connected).await;
        assert_eq!(up.connected_at, Some(revision));
        assert_eq!(until(&other, ClusterSnapshot::is_connected).await.connected_at, Some(revision));
        list(&client).await.unwrap();
        other.shutdown().await;
    }
    fleet.shutdown().await;
}
