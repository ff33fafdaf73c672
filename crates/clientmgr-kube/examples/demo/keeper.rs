//! The keeper: connects the clusters, checks them, and writes into each cluster object what the fleet says of it.

use std::sync::Arc;
use std::time::Duration;

use clientmgr_kube::{ClusterStatus as Standing, ConnectError, Endpoint, Fleet, NamespacedName, to_micro_time};
use futures::future::join_all;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::{RwLock, RwLockWriteGuard};
use tokio::time::{MissedTickBehavior, interval};

use crate::api::{Cluster, ClusterStatus};
use crate::chain;
use crate::journal::{Event, Journal};

const PERIOD: Duration = Duration::from_millis(200);

pub(crate) struct Keeper {
    fleet: Fleet,
    clusters: Api<Cluster>,
    /// Shared by rounds, so that whoever has it alone keeps rounds from beginning.
    gate: RwLock<()>,
    journal: Journal,
}

/// While it is held, nothing is checked and no status is written.
pub(crate) struct Pause<'a> {
    _alone: RwLockWriteGuard<'a, ()>,
}

impl Keeper {
    pub(crate) fn new(fleet: Fleet, hub: Client, journal: Journal) -> Arc<Self> {
        Arc::new(Self { fleet, clusters: Api::default_namespaced(hub), gate: RwLock::default(), journal })
    }

    pub(crate) fn key(cluster: &str) -> NamespacedName {
        NamespacedName::new("default", cluster)
    }

    /// Connects a cluster, or replaces its connection. The status trails until the next round.
    pub(crate) async fn connect(&self, cluster: &str, endpoint: Endpoint) -> Result<(), ConnectError> {
        self.fleet.upsert(Self::key(cluster), endpoint);
        self.fleet.connect(&Self::key(cluster)).await.map(|_| ())
    }

    /// Waits for the rounds under way, and keeps further ones from beginning.
    pub(crate) async fn pause(&self) -> Pause<'_> {
        Pause { _alone: self.gate.write().await }
    }

    /// Keeps the clusters, each at its own pace: one that hangs delays no other. Runs until it is dropped.
    pub(crate) async fn run(self: Arc<Self>, clusters: impl IntoIterator<Item = &'static str>) {
        join_all(clusters.into_iter().map(|cluster| self.keep(Self::key(cluster)))).await;
    }

    async fn keep(&self, cluster: NamespacedName) {
        let mut published = None;
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let _round = self.gate.read().await;
            if self.fleet.status(&cluster).is_none() {
                continue;
            }
            // A check asks the connection that is there; only a connect takes up what is new. What comes of either is
            // in the fleet's status.
            if self.fleet.check(&cluster).await.is_err() {
                let _ = self.fleet.connect(&cluster).await;
            }
            let status = self.fleet.status(&cluster).map(status_of).unwrap_or_default();
            // A status that could not be written is written in the next round.
            if published.as_ref() != Some(&status) && self.publish(&cluster, &status).await.is_ok() {
                published = Some(status);
            }
        }
    }

    async fn publish(&self, cluster: &NamespacedName, status: &ClusterStatus) -> kube::Result<()> {
        let patch = Patch::Merge(json!({ "status": status }));
        let written = self.clusters.patch_status(cluster.name(), &PatchParams::default(), &patch).await?;
        self.journal.tell(Event::Published {
            cluster: cluster.name().to_owned(),
            connected_at: clientmgr_kube::ClusterObject::connected_at(&written),
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
