//! The status of the cluster objects: what the fleet knows of each cluster. The one thing that a user of a fleet with
//! cluster objects writes.

use std::collections::BTreeMap;

use clientmgr_kube::{ClusterChanges, ClusterSnapshot, Fleet, NamespacedName};
use futures::StreamExt as _;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::Mutex;

use crate::api::{Cluster, ClusterStatus};
use crate::chain;
use crate::journal::{Event, Journal};

pub(crate) fn key(cluster: &str) -> NamespacedName {
    NamespacedName::new("default", cluster)
}

/// Writes each change of the fleet into the status of its cluster object. Waits while `gate` is held. Runs until it
/// is dropped, or the fleet is.
pub(crate) async fn publish(fleet: Fleet, hub: Client, journal: Journal, gate: &Mutex<()>) {
    let clusters = Api::<Cluster>::default_namespaced(hub);
    let (mut events, mut written) = (fleet.events(), BTreeMap::new());
    while let Some(changes) = events.next().await {
        let _open = gate.lock().await;
        let changed = match changes {
            ClusterChanges::Changed(changed) => changed,
            _ => fleet.clusters(),
        };
        for snapshot in changed.iter().filter_map(|cluster| fleet.snapshot(cluster)) {
            let (cluster, status) = (snapshot.cluster.name().to_owned(), status_of(&snapshot));
            if written.get(&cluster) == Some(&status) {
                continue;
            }
            let patch = Patch::Merge(json!({ "status": status }));
            match clusters.patch_status(&cluster, &PatchParams::default(), &patch).await {
                Ok(_) => {
                    let ClusterStatus { connected_at, error } = status.clone();
                    journal.tell(Event::Published { cluster: cluster.clone(), connected_at, error });
                    written.insert(cluster, status);
                }
                Err(error) => journal.tell(Event::Unpublished { cluster, error: chain(&error) }),
            }
        }
    }
}

/// The revision stays in the status through an outage, so that an outage resets no object.
fn status_of(snapshot: &ClusterSnapshot) -> ClusterStatus {
    let error = snapshot.error.as_ref().filter(|_| !snapshot.is_connected());
    ClusterStatus { connected_at: snapshot.connected_at, error: error.map(|error| chain(error)) }
}
