//! A station: the state of a beacon on its cluster. A watch, and the client to write with.

use std::convert::Infallible;

use clientmgr_kube::{BoundState, ConnectedAt};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde_json::json;
use tokio::task::AbortHandle;

use crate::journal::{Event, Journal};

/// Which beacon on which connection: what a station's lines in the journal tell.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) beacon: String,
    pub(crate) cluster: String,
    pub(crate) connected_at: Option<ConnectedAt>,
}

pub(crate) struct Station {
    post: Post,
    maps: Api<ConfigMap>,
    watch: AbortHandle,
    journal: Journal,
}

impl Station {
    /// Starts the watch. It finds its way back after an error by itself, as long as its connection is the right one.
    pub(crate) fn start(client: Client, post: Post, journal: Journal) -> std::future::Ready<Result<Self, Infallible>> {
        let maps = Api::<ConfigMap>::default_namespaced(client);
        let own = watcher::Config::default().fields(&format!("metadata.name={}", post.beacon));
        let seen = watcher(maps.clone(), own).default_backoff().applied_objects();
        let watch = tokio::spawn({
            let (post, journal) = (post.clone(), journal.clone());
            seen.for_each(move |map| {
                if let Some(message) = map.ok().and_then(|map| map.data?.remove("message")) {
                    let Post { beacon, cluster, .. } = post.clone();
                    journal.tell(Event::Saw { beacon, cluster, message });
                }
                std::future::ready(())
            })
        });
        let Post { beacon, cluster, connected_at } = post.clone();
        journal.tell(Event::Built { beacon, cluster, connected_at });
        std::future::ready(Ok(Self { post, maps, watch: watch.abort_handle(), journal }))
    }

    /// Writes the beacon's message, if it is not what stands there.
    pub(crate) async fn write(&self, message: &str) -> kube::Result<()> {
        let Post { beacon, cluster, .. } = self.post.clone();
        let standing = self.maps.get_opt(&beacon).await?.and_then(|map| map.data?.remove("message"));
        if standing.as_deref() == Some(message) {
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

    /// Takes back what was written.
    pub(crate) async fn erase(&self) -> kube::Result<()> {
        match self.maps.delete(&self.post.beacon, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            other => other.map(|_| ()),
        }
    }
}

impl BoundState for Station {
    fn teardown(&self) {
        self.watch.abort();
        let Post { beacon, cluster, connected_at } = self.post.clone();
        self.journal.tell(Event::TornDown { beacon, cluster, connected_at });
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
