//! Writes the status of the cluster objects: what the fleet knows of each cluster.

use clientmgr_kube::{ClusterObject as _, Fleet};
use futures::{StreamExt as _, stream};
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use super::cluster::{Cluster, ClusterStatus};
use super::controller::report;
use super::greeting::{Error, within};

/// Writes the status of a cluster object whenever its cluster or the object changes. Runs until it is dropped.
pub(crate) async fn publish(hub: Client, fleet: Fleet) {
    let clusters: Api<Cluster> = Api::all(hub);
    let objects = watcher(clusters.clone(), watcher::Config::default()).default_backoff().touched_objects();
    let mut changes = stream::select(fleet.events().map(drop), objects.map(drop)).boxed();
    while changes.next().await.is_some() {
        if let Err(error) = publish_all(&clusters, &fleet).await {
            report(&error); // the watch resumes when the hub answers again, and brings the next round
        }
    }
}

async fn publish_all(clusters: &Api<Cluster>, fleet: &Fleet) -> Result<(), Error> {
    for cluster in within(clusters.list(&ListParams::default())).await? {
        let Some(snapshot) = fleet.snapshot(cluster.cluster_key()) else { continue };
        let error = snapshot.error.as_ref().filter(|_| !snapshot.is_connected());
        let status = ClusterStatus { connected_at: snapshot.connected_at, error: error.map(ToString::to_string) };
        if cluster.status.as_ref() != Some(&status) {
            let patch = Patch::Merge(json!({ "status": status }));
            within(clusters.patch_status(&cluster.name_any(), &PatchParams::default(), &patch)).await?;
        }
    }
    Ok(())
}
