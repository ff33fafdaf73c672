//! A station: the state of a beacon on its cluster. A watch, and the client to write with.

use std::convert::Infallible;

use clientmgr_kube::{BoundState, BoundTask, ConnectedAt, Revoked};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use serde_json::json;

use crate::journal::{Event, Journal};

/// A beacon and its connection: what a station's lines in the journal name.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) beacon: String,
    pub(crate) cluster: String,
    pub(crate) connected_at: Option<ConnectedAt>,
}

pub(crate) struct Station {
    post: Post,
    maps: Api<ConfigMap>,
    watch: BoundTask,
    journal: Journal,
}

impl Station {
    pub(crate) fn start(client: Client, post: Post, journal: Journal) -> std::future::Ready<Result<Self, Infallible>> {
        let maps = Api::<ConfigMap>::default_namespaced(client);
        let watch = BoundTask::spawn(watch(maps.clone(), post.clone(), journal.clone()));
        let Post { beacon, cluster, connected_at } = post.clone();
        journal.tell(Event::Built { beacon, cluster, connected_at });
        std::future::ready(Ok(Self { post, maps, watch, journal }))
    }

    /// Writes the beacon's message, unless the cluster has it.
    pub(crate) async fn write(&self, message: &str) -> kube::Result<()> {
        let Post { beacon, cluster, .. } = self.post.clone();
        let stored = self.maps.get_opt(&beacon).await?.and_then(|map| map.data?.remove("message"));
        if stored.as_deref() == Some(message) {
            return Ok(());
        }
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": beacon }, "data": { "message": message },
        });
        self.maps.patch(&beacon, &PatchParams::apply("clientmgr-demo"), &Patch::Apply(&map)).await?;
        self.journal.tell(Event::Wrote { beacon, cluster, message: message.to_owned() });
        Ok(())
    }

    /// Deletes what was written.
    pub(crate) async fn erase(&self) -> kube::Result<()> {
        match self.maps.delete(&self.post.beacon, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            other => other.map(|_| ()),
        }
    }
}

/// Follows the beacon's ConfigMap. After an error the watcher resumes by itself, unless the client was revoked: then the
/// next reconcile builds another station.
async fn watch(maps: Api<ConfigMap>, post: Post, journal: Journal) {
    let own = watcher::Config::default().fields(&format!("metadata.name={}", post.beacon));
    let mut seen = watcher(maps, own).default_backoff().applied_objects().boxed();
    while let Some(map) = seen.next().await {
        let Post { beacon, cluster, .. } = post.clone();
        match map {
            Ok(map) => {
                if let Some(message) = map.data.and_then(|mut data| data.remove("message")) {
                    journal.tell(Event::Saw { beacon, cluster, message });
                }
            }
            Err(error) => {
                if let Some(revoked) = Revoked::find(&error) {
                    return journal.tell(Event::Revoked { beacon, cluster, error: revoked.to_string() });
                }
            }
        }
    }
}

impl BoundState for Station {
    fn teardown(&self) {
        self.watch.teardown();
        let Post { beacon, cluster, connected_at } = self.post.clone();
        self.journal.tell(Event::TornDown { beacon, cluster, connected_at });
    }

    async fn ended(&self) {
        self.watch.ended().await;
    }
}
