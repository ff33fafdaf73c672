//! What a greeting keeps on its cluster: a client to write with, and a watch of what was written.

use clientmgr_kube::{BoundState, BoundTask};
use futures::channel::mpsc;
use futures::{StreamExt as _, future};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};

pub(crate) struct Member {
    pub(crate) client: Client,
    pub(crate) task: BoundTask,
}

impl Member {
    /// Watches the config map of this name, and sends a message when it changed.
    pub(crate) fn start(client: Client, name: &str, changed: mpsc::UnboundedSender<()>) -> Self {
        let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let changes = watcher(maps, config).default_backoff().touched_objects();
        let task = BoundTask::spawn(changes.for_each(move |change| {
            if change.is_ok() {
                _ = changed.unbounded_send(());
            }
            future::ready(())
        }));
        Self { client, task }
    }
}

impl BoundState for Member {
    fn teardown(&self) {
        self.task.teardown();
    }

    async fn ended(&self) {
        self.task.ended().await;
    }
}
