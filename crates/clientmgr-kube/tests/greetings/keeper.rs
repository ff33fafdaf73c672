//! The one task that connects clusters, and writes what came of it into their objects' status.

use std::time::Duration;

use clientmgr_kube::{ClusterObject as _, Fleet, to_micro_time};
use futures::future::join_all;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::time::MissedTickBehavior;

use super::cluster::{Cluster, ClusterStatus};
use super::controller::report;
use super::greeting::{Error, within};

/// Checks, connects and publishes, for all cluster objects of the hub. Runs until it is dropped.
pub(crate) async fn keep_connected(hub: Client, fleet: Fleet, interval: Duration) {
    let clusters: Api<Cluster> = Api::all(hub);
    let mut rounds = tokio::time::interval(interval);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        match within(clusters.list(&ListParams::default())).await {
            Ok(all) => drop(join_all(all.iter().map(|cluster| keep(&clusters, &fleet, cluster))).await),
            Err(error) => report(&error),
        }
    }
}

async fn keep(clusters: &Api<Cluster>, fleet: &Fleet, cluster: &Cluster) {
    let key = cluster.cluster_key();
    if fleet.status(&key).is_some_and(|status| status.connected_at().is_some()) {
        // Takes a dead connection out of service. What it found comes out of `connect`.
        _ = fleet.check(&key).await;
    }
    // The connection that stands, or a new one: with the credentials and to the endpoint of now.
    let status = match fleet.connect(&key).await {
        Ok(connected_at) => ClusterStatus { connected_at: Some(to_micro_time(connected_at)), error: None },
        Err(error) => ClusterStatus { connected_at: None, error: Some(error.to_string()) },
    };
    if cluster.status.as_ref() != Some(&status)
        && let Err(error) = publish(clusters, cluster, &status).await
    {
        report(&error); // the next round tries again
    }
}

async fn publish(clusters: &Api<Cluster>, cluster: &Cluster, status: &ClusterStatus) -> Result<(), Error> {
    // A merge patch: what is none is written as null, and null takes the old time away.
    let patch = Patch::Merge(json!({ "status": status }));
    within(clusters.patch_status(&cluster.name_any(), &PatchParams::default(), &patch)).await?;
    Ok(())
}
