//! Contexts of a kubeconfig only: no resource on any cluster, the fleet's snapshot is the cluster object.
//!
//! - `cargo run --example contexts`: two API servers in this process, one of which gets a new credential
//! - `cargo run --example contexts -- --kubeconfig PATH`: every context of that file, until Ctrl-C
//!
//! Each object here gets one Reset, at its first client. It asked before the cluster was connected and got an error.
//! Recovery is announced: after a first request that failed, the next client comes with a Reset, so that a controller
//! which acts on Resets continues. An object that first asks when its cluster is connected gets no Reset.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};

use clientmgr_fake::apiserver::TestServer;
use clientmgr_kube::{ClientManager, ClusterChanges, ClusterSnapshot, Fleet};
use clientmgr_runtime::source::{KubeconfigFiles, Sources};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{ListParams, ObjectMeta};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => in_process().await,
        (Some("--kubeconfig"), Some(path)) => {
            tokio::select! {
                watched = watch(Path::new(&path), |_| false) => watched,
                interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
            }
        }
        _ => Err("usage: cargo run --example contexts [-- --kubeconfig PATH]".into()),
    }
}

/// Connects every context of the file, and works on each cluster when it changes, until `is_done` of all of them.
async fn watch(kubeconfig: &Path, is_done: impl Fn(&[ClusterSnapshot]) -> bool) -> Result<(), Box<dyn Error>> {
    let fleet = Fleet::new();
    let sources = Sources::new(fleet.clone()).source("contexts", KubeconfigFiles::new([kubeconfig]).watch()).spawn();
    let clients = ClientManager::new(fleet.clone());
    let mut changes = fleet.events();
    while let Some(change) = changes.next().await {
        let changed = match change {
            ClusterChanges::Changed(clusters) => clusters.iter().filter_map(|key| fleet.snapshot(key)).collect(),
            _ => fleet.snapshots(),
        };
        for cluster in changed {
            reconcile(&clients, &cluster).await?;
        }
        if is_done(&fleet.snapshots()) {
            break;
        }
    }
    sources.shutdown().await;
    fleet.shutdown().await;
    Ok(())
}

/// What a controller does on one cluster. Its object stands in for the custom resource of a real one.
async fn reconcile(clients: &ClientManager<Fleet>, cluster: &ClusterSnapshot) -> Result<(), Box<dyn Error>> {
    let metadata = ObjectMeta { name: Some("an-object".to_owned()), ..ObjectMeta::default() };
    let object = ConfigMap { metadata, ..ConfigMap::default() };
    if clients.refresh(&object, cluster).is_reset() {
        say(&format!("{}: reset: build anew what belongs to this cluster", cluster.cluster))?;
    }
    match clients.client(&object, cluster).await {
        Ok(client) => {
            let user = cluster.user.as_deref().unwrap_or("unknown");
            match Api::<Namespace>::all(client).list(&ListParams::default()).await {
                Ok(list) => say(&format!("{}: {} namespaces, as {user}", cluster.cluster, list.items.len())),
                Err(error) => say(&format!("{}: {error}", cluster.cluster)),
            }
        }
        Err(error) => say(&format!("{}: {error}", cluster.cluster)),
    }
}

async fn in_process() -> Result<(), Box<dyn Error>> {
    let (east, west) =
        (TestServer::builder().name("east").start().await?, TestServer::builder().name("west").start().await?);
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("config");
    let contexts = |user: &str| east.kubeconfig_for(&east.issue_token(user)).merge(west.kubeconfig());
    let write = |user: &str| -> Result<PathBuf, Box<dyn Error>> {
        let new = directory.path().join("new");
        std::fs::write(&new, serde_json::to_string(&contexts(user)?)?)?;
        std::fs::rename(&new, &path)?;
        Ok(path.clone())
    };
    let is_connected =
        |clusters: &[ClusterSnapshot]| clusters.len() == 2 && clusters.iter().all(ClusterSnapshot::is_connected);
    let path = write("first")?;
    watch(&path, |clusters| {
        let is_second = clusters.iter().any(|cluster| cluster.user.as_deref() == Some("second"));
        if is_connected(clusters) && !is_second {
            // The file is watched: a new credential is in use a moment later, under the same revision.
            write("second").expect("the directory is writable");
        }
        is_connected(clusters) && is_second
    })
    .await
}

fn say(line: &str) -> Result<(), Box<dyn Error>> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

#[cfg(test)]
#[tokio::test]
async fn two_contexts_connect_and_a_new_credential_is_taken_up() {
    let played = tokio::time::timeout(std::time::Duration::from_secs(60), in_process()).await;
    played.expect("the example does not end").unwrap();
}
