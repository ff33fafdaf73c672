//! Users of a client: one request after the other, and an open watch. And waiting with a deadline.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clientmgr_kube::k8s_openapi::api::core::v1::ConfigMap;
use clientmgr_kube::kube::api::{ListParams, WatchEvent, WatchParams};
use clientmgr_kube::kube::{self, Api, Client, ResourceExt};
use clientmgr_kube::{ClientProvider, ClusterSnapshot, Fleet};
use futures::{Stream, StreamExt};

use crate::cluster::{Cluster, PATIENCE, east};

pub(crate) type Watch = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<ConfigMap>>> + Send>>;

/// Opens a watch. The server has it when this returns.
pub(crate) async fn watch(client: &Client) -> Watch {
    let maps = Api::<ConfigMap>::default_namespaced(client.clone());
    let since = maps.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    maps.watch(&WatchParams::default(), &since).await.unwrap().boxed()
}

/// Asserts that a watch goes on: what the administrator creates arrives.
pub(crate) async fn assert_goes_on(cluster: &Cluster, watch: &mut Watch, name: &str) {
    cluster.create(name).await;
    // A watch that is quiet gets bookmarks.
    let event = loop {
        match within(watch.next()).await {
            Some(Ok(WatchEvent::Bookmark(_))) => {}
            event => break event,
        }
    };
    assert_is_added(event, name);
}

pub(crate) fn assert_is_added(event: Option<kube::Result<WatchEvent<ConfigMap>>>, name: &str) {
    match event {
        Some(Ok(WatchEvent::Added(map))) => assert_eq!(map.name_any(), name),
        other => panic!("the watch does not go on: {other:?}"),
    }
}

/// A request.
pub(crate) async fn list(client: &Client) -> kube::Result<()> {
    Api::<ConfigMap>::default_namespaced(client.clone()).list(&ListParams::default()).await.map(drop)
}

/// A user who sends one request after the other.
pub(crate) struct User {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<kube::Result<()>>,
}

impl User {
    pub(crate) fn start(client: Client) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&answered));
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                list(&client).await?;
                counter.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        Self { stop, answered, task }
    }

    /// Waits until a request that began after this call was answered.
    pub(crate) async fn has_asked_again(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        let answered = || self.answered.load(Ordering::Relaxed) >= before + 2 || self.task.is_finished();
        holds("a request is answered", answered).await;
    }

    /// Stops, and asserts that no request failed.
    pub(crate) async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        within(self.task).await.unwrap().expect("no request fails");
    }
}

/// The client that the fleet serves.
pub(crate) async fn served(fleet: &Fleet) -> Client {
    fleet.connection(&east()).await.unwrap().client
}

pub(crate) fn snapshot(fleet: &Fleet) -> ClusterSnapshot {
    fleet.snapshot(east()).expect("the fleet has the cluster")
}

/// Waits until the snapshot is as `expected`.
pub(crate) async fn until(fleet: &Fleet, expected: impl Fn(&ClusterSnapshot) -> bool) -> ClusterSnapshot {
    let mut events = fleet.events();
    let waiting = async {
        loop {
            events.next().await.expect("the fleet is alive");
            if let Some(snapshot) = fleet.snapshot(east()).filter(&expected) {
                return snapshot;
            }
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("not as expected: {:?}", fleet.snapshot(east())))
}

/// Awaits what is expected to happen.
pub(crate) async fn within<T>(expected: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, expected).await.expect("in time")
}

/// Yields until `holds`, for what nothing announces.
pub(crate) async fn holds(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "not in time: {what}");
}
