//! [`Reader`]: reads a Cluster as a controller does, and checks what it sees.

use std::sync::{Arc, Mutex};

use clientmgr_kube::kube::runtime::{WatchStreamExt as _, watcher};
use clientmgr_kube::kube::{Api, Client};
use clientmgr_kube::{ClusterObject as _, ConnectedAt};
use clientmgr_runtime::cluster::Cluster;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use tokio::task::JoinHandle;

use super::fixture::{NAMESPACE, Running, holds, key};

/// Follows one Cluster by a watch of its own. After each event it refreshes and asks for a client.
pub(crate) struct Reader {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

/// What a reader saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// How many versions of the object.
    pub(crate) versions: usize,
    /// How many resets it saw.
    pub(crate) resets: usize,
    /// The revision of the client that it got last.
    client_of: Option<ConnectedAt>,
    /// The revisions that the status named while the provider of the writer served an earlier one.
    unserved: Vec<ConnectedAt>,
}

impl Reader {
    /// Starts a reader in the process of `running`, which writes the status.
    pub(crate) fn start(hub: &Client, running: &Running, name: &str) -> Self {
        let (provider, clients) = (running.provider.clone(), Arc::clone(&running.clients));
        let (seen, key) = (Arc::new(Mutex::new(Seen::default())), key(name));
        let clusters: Api<Cluster> = Api::namespaced(hub.clone(), NAMESPACE);
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut events = watcher(clusters, config).default_backoff().applied_objects().boxed();
        let shared = Arc::clone(&seen);
        // An object of its own: resets are counted for each object.
        let mut object = ConfigMap::default();
        object.metadata.name = Some("reader".into());
        let task = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let Ok(cluster) = event else { continue };
                let named = cluster.connected_at();
                let served = provider.fleet().snapshot(&key).and_then(|snapshot| snapshot.connected_at);
                let is_reset = clients.refresh(&object, &cluster).is_reset();
                let has_client = clients.client(&object, &cluster).await.is_ok();
                let mut seen = shared.lock().unwrap();
                seen.versions += 1;
                seen.resets += usize::from(is_reset);
                // A watch lags: the provider may be ahead, or serve nothing because what was named is fenced by now.
                seen.unserved.extend(named.filter(|_| served.is_some() && named > served));
                if has_client {
                    seen.client_of = named;
                }
            }
        });
        Self { seen, task }
    }

    /// Waits until the reader got a client of this revision.
    pub(crate) async fn has_a_client_of(&self, revision: Option<ConnectedAt>) {
        assert!(revision.is_some());
        holds("the reader gets a client", || self.seen.lock().unwrap().client_of == revision).await;
    }

    /// Ends the reader. Asserts that the status was never ahead of the provider.
    pub(crate) async fn stop(self) -> Seen {
        self.task.abort();
        // It was aborted.
        let _ = self.task.await;
        let seen = self.seen.lock().unwrap().clone();
        assert_eq!(seen.unserved, [], "the status named what was not served");
        seen
    }
}
