//! [`Writes`]: the requests that change the hub: statuses by apply, and Events. Decides nothing.

use std::fmt;
use std::sync::Arc;

use clientmgr_kube::{NamespacedName, ResourceName as _};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, Recorder, Reporter};
use kube::{Api, Client, Resource as _};
use serde_json::json;

use super::transitions::{Transition, transitions};
use crate::cluster::{Cluster, ClusterStatus};
use crate::watching::{Failure, within};

/// The field manager of the status, and the reporter of the Events.
pub(super) const MANAGER: &str = "clientmgr-cluster-controller";

/// So many bytes does the note of an Event have at most.
const NOTE: usize = 1_024;

/// How a write ended.
pub(super) struct Written {
    pub(super) cluster: NamespacedName,
    /// The object that it was based on.
    pub(super) before: Arc<Cluster>,
    /// What was sent.
    pub(super) status: ClusterStatus,
    pub(super) outcome: Outcome,
}

pub(super) enum Outcome {
    Stored(Box<Cluster>),
    /// The object has changed meanwhile, or is gone: its watch says how.
    Outdated,
    Failed(kube::Error),
}

/// The writes under way.
pub(super) struct Writes {
    client: Client,
    recorder: Recorder,
    statuses: FuturesUnordered<BoxFuture<'static, Written>>,
    events: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl Writes {
    pub(super) fn new(client: Client, instance: Option<String>) -> Self {
        let reporter = Reporter { controller: MANAGER.to_owned(), instance };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            statuses: FuturesUnordered::new(),
            events: FuturesUnordered::new(),
        }
    }

    pub(super) fn under_way(&self) -> usize {
        self.statuses.len()
    }

    /// Applies a status to this very version of `cluster`: where it has changed meanwhile, the server refuses it.
    pub(super) fn apply(&mut self, cluster: &Arc<Cluster>, status: &ClusterStatus) {
        let key = cluster.namespaced_name();
        let api: Api<Cluster> = Api::namespaced(self.client.clone(), key.namespace());
        let (before, sent) = (Arc::clone(cluster), status.clone());
        let patch = json!({
            "apiVersion": Cluster::api_version(&()),
            "kind": Cluster::kind(&()),
            "metadata": { "name": key.name(), "namespace": key.namespace(), "resourceVersion": cluster.metadata.resource_version },
            "status": status,
        });
        let write = async move {
            let parameters = PatchParams::apply(MANAGER).force();
            let outcome = match within(api.patch_status(key.name(), &parameters, &Patch::Apply(&patch))).await {
                Ok(stored) => Outcome::Stored(Box::new(stored)),
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Outcome::Outdated,
                Err(error) => Outcome::Failed(error),
            };
            Written { cluster: key, before, status: sent, outcome }
        };
        self.statuses.push(write.boxed());
    }

    /// Publishes the Events of a step from one status to the next.
    pub(super) fn publish(&mut self, before: Option<&ClusterStatus>, after: &Cluster) {
        let Some(status) = &after.status else { return };
        let events = transitions(before, status);
        if events.is_empty() {
            return;
        }
        let (recorder, regarding) = (self.recorder.clone(), after.object_ref(&()));
        let publish = async move {
            for Transition { type_, reason, note } in events {
                let event =
                    Event { type_, reason, note: Some(short(note)), action: "Connect".to_owned(), secondary: None };
                if let Err(error) = within(recorder.publish(&event, &regarding)).await {
                    // The status says the same; an Event is only a notice.
                    tracing::warn!(error = %Failure::of(&error), "publishing an Event failed");
                }
            }
        };
        self.events.push(publish.boxed());
    }

    /// Waits until a status write has ended. It never ends where there is none.
    ///
    /// # Cancel safety
    ///
    /// A dropped future loses nothing.
    pub(super) async fn written(&mut self) -> Written {
        loop {
            tokio::select! {
                Some(written) = self.statuses.next() => return written,
                Some(()) = self.events.next() => {}
                else => std::future::pending().await,
            }
        }
    }

    /// Waits until all Events are published.
    pub(super) async fn published(&mut self) {
        while self.events.next().await.is_some() {}
    }
}

/// Cuts what an Event cannot hold.
fn short(mut note: String) -> String {
    while note.len() > NOTE {
        note.pop();
    }
    note
}

impl fmt::Debug for Writes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writes").field("under_way", &self.under_way()).finish_non_exhaustive()
    }
}
