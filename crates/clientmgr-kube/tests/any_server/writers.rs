//! Writers on a connection that the server ends: a kube-apiserver does after each 401, with every other request that is on
//! its way.
#![cfg(unix)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use clientmgr_kube::kube::api::{ListParams, ObjectMeta, PostParams};
use clientmgr_kube::kube::{self, Api, Client};
use clientmgr_kube::{Fleet, k8s_openapi::api::core::v1::ConfigMap};
use futures::future::try_join_all;

use crate::cluster::{Cluster, PATIENCE, east};
use crate::users::{holds, list, served, within};

const WRITERS: usize = 20;
const ROTATIONS: usize = 3;

/// Creates one object after the other until `stop`.
async fn write(client: Client, stop: Arc<AtomicBool>, written: Arc<AtomicUsize>) -> kube::Result<()> {
    let metadata = ObjectMeta {
        generate_name: Some("written-".into()),
        labels: Some([("written".into(), "yes".into())].into()),
        ..ObjectMeta::default()
    };
    let map = ConfigMap { metadata, ..ConfigMap::default() };
    let maps = Api::<ConfigMap>::default_namespaced(client.clone());
    while !stop.load(Ordering::Relaxed) {
        maps.create(&PostParams::default(), &map).await?;
        written.fetch_add(1, Ordering::Relaxed);
        list(&client).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_writers_none_fails_and_none_writes_twice_when_the_server_refuses_the_old_token() {
    let (cluster, directory) = (Cluster::start().await, tempfile::tempdir().unwrap());
    let printed = directory.path().join("printed");
    let mut token = cluster.issue().await;
    Cluster::print(&token, &printed);
    let fleet = Fleet::builder().probe_interval(Duration::from_secs(3_600)).build();
    fleet.upsert(east(), cluster.config_with_plugin(&printed));
    let revision = within(fleet.wait_connected(&east())).await.unwrap();
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let client = served(&fleet).await;
    let writers: Vec<_> =
        (0..WRITERS).map(|_| tokio::spawn(write(client.clone(), Arc::clone(&stop), Arc::clone(&written)))).collect();

    for _ in 0..ROTATIONS {
        // Only a 401 makes the plugin run again. A real server believes the old token for some seconds more.
        let next = cluster.issue().await;
        Cluster::print(&next, &printed);
        cluster.revoke(&token).await;
        let before = fleet.explain(east()).unwrap().to_string();
        let rotated = || {
            fleet.explain(east()).unwrap().to_string() != before
                || writers.iter().any(tokio::task::JoinHandle::is_finished)
        };
        holds("the new token is in use", rotated).await;
        let reached = written.load(Ordering::Relaxed) + WRITERS;
        let goes_on =
            || written.load(Ordering::Relaxed) >= reached || writers.iter().any(tokio::task::JoinHandle::is_finished);
        holds("the writers go on", goes_on).await;
        token = next;
    }
    stop.store(true, Ordering::Relaxed);
    let ended = tokio::time::timeout(PATIENCE, try_join_all(writers)).await.expect("in time").unwrap();
    for ended in ended {
        ended.expect("no request fails");
    }
    let maps = Api::<ConfigMap>::default_namespaced(client);
    let stored = maps.list(&ListParams::default().labels("written=yes")).await.unwrap().items.len();
    assert_eq!(stored, written.load(Ordering::Relaxed), "an object was written twice, or lost");
    assert_eq!(fleet.wait_connected(&east()).await.unwrap(), revision);
    fleet.shutdown().await;
}
