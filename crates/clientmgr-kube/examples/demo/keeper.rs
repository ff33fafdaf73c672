//! The keeper: connects the clusters, checks them, and writes into each cluster object what the fleet says of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use clientmgr_kube::{ClusterStatus as Standing, ConnectError, Endpoint, Fleet, NamespacedName, to_micro_time};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{MissedTickBehavior, interval};

use crate::api::{Cluster, ClusterStatus};
use crate::chain;
use crate::journal::{Event, Journal};

const PERIOD: Duration = Duration::from_millis(200);

pub(crate) struct Keeper {
    fleet: Fleet,
    clusters: Api<Cluster>,
    /// What was written last. Held while a round runs, so that whoever holds it keeps rounds from beginning.
    published: Mutex<HashMap<NamespacedName, ClusterStatus>>,
    journal: Journal,
}

/// While it is held, no status is written.
pub(crate) struct Pause<'a>(
    #[expect(dead_code, reason = "holds the lock")] MutexGuard<'a, HashMap<NamespacedName, ClusterStatus>>,
);

impl Keeper {
    pub(crate) fn new(fleet: Fleet, hub: Client, journal: Journal) -> Arc<Self> {
        Arc::new(Self { fleet, clusters: Api::default_namespaced(hub), published: Mutex::default(), journal })
    }

    pub(crate) fn key(cluster: &str) -> NamespacedName {
        NamespacedName::new("default", cluster)
    }

    /// Connects a cluster, or replaces its connection. The status trails until the next round.
    pub(crate) async fn connect(&self, cluster: &str, endpoint: Endpoint) -> Result<(), ConnectError> {
        self.fleet.upsert(Self::key(cluster), endpoint);
        self.fleet.connect(&Self::key(cluster)).await.map(|_| ())
    }

    pub(crate) async fn pause(&self) -> Pause<'_> {
        Pause(self.published.lock().await)
    }

    /// Checks every cluster, again and again. Runs until it is dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let mut published = self.published.lock().await;
            for cluster in self.fleet.clusters() {
                // What it says is in the fleet's status too.
                let _ = self.fleet.check(&cluster).await;
                let status = self.fleet.status(&cluster).map(status_of).unwrap_or_default();
                if published.get(&cluster) == Some(&status) {
                    continue;
                }
                // A status that could not be written is written in the next round.
                if self.publish(&cluster, &status).await.is_ok() {
                    published.insert(cluster, status);
                }
            }
        }
    }

    async fn publish(&self, cluster: &NamespacedName, status: &ClusterStatus) -> kube::Result<()> {
        let patch = Patch::Merge(json!({ "status": status }));
        let written = self.clusters.patch_status(cluster.name(), &PatchParams::default(), &patch).await?;
        self.journal.tell(Event::Published {
            cluster: cluster.name().to_owned(),
            connected_at: clientmgr_kube::ClusterResource::connected_at(&written),
            error: status.error.clone(),
        });
        Ok(())
    }
}

fn status_of(standing: Standing) -> ClusterStatus {
    match standing {
        Standing::Connected { connected_at, .. } => {
            ClusterStatus { connected_at: Some(to_micro_time(connected_at)), error: None }
        }
        Standing::Failing { error } => ClusterStatus { connected_at: None, error: Some(chain(&error)) },
        _ => ClusterStatus::default(),
    }
}
