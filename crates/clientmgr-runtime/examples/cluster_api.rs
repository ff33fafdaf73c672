//! Clusters that Cluster API manages: each is connected once its control plane is initialized, and its rotated kubeconfig
//! is taken up.
//!
//! - `cargo run --example cluster_api`: a hub and a workload cluster in this process
//! - `cargo run --example cluster_api -- --kubeconfig PATH`: the management cluster of that file's current context, until
//!   Ctrl-C

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;

use clientmgr_fake::apiserver::TestServer;
use clientmgr_kube::{ClusterSnapshot, Fleet, read_kubeconfig_from};
use clientmgr_runtime::source::{ClusterApi, RunningSources, Sources, SourcesStatus};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => in_process().await,
        (Some("--kubeconfig"), Some(path)) => {
            let kubeconfig = read_kubeconfig_from(path)?;
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
            let mut fed = fleet_of(Client::try_from(config)?);
            tokio::select! {
                watched = fed.until(|_| false) => watched,
                interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
            }
        }
        _ => Err("usage: cargo run --example cluster_api [-- --kubeconfig PATH]".into()),
    }
}

/// A fleet and what feeds it.
struct Fed {
    fleet: Fleet,
    sources: RunningSources,
}

/// The fleet of the clusters on the management cluster `hub`.
fn fleet_of(hub: Client) -> Fed {
    let fleet = Fleet::new();
    let sources = Sources::new(fleet.clone()).source("cluster-api", ClusterApi::new(hub).watch()).spawn();
    Fed { fleet, sources }
}

impl Fed {
    /// Prints what changed, until `is_done` of all clusters.
    async fn until(&mut self, is_done: impl Fn(&[ClusterSnapshot]) -> bool) -> Result<(), Box<dyn Error>> {
        let (mut changes, mut shown) = (self.fleet.events(), String::new());
        loop {
            let clusters = self.fleet.snapshots();
            let text = text(&clusters, &self.sources.status())?;
            if text != shown {
                writeln!(std::io::stdout(), "{text}")?;
                shown = text;
            }
            if is_done(&clusters) {
                return Ok(());
            }
            tokio::select! {
                _ = changes.next() => {}
                true = self.sources.changed() => {}
            }
        }
    }
}

fn text(clusters: &[ClusterSnapshot], status: &SourcesStatus) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for cluster in clusters {
        let user = cluster.user.as_deref().unwrap_or("unknown");
        writeln!(text, "{} is {:?}, as {user}", cluster.cluster, cluster.state)?;
        if let Some(error) = &cluster.error {
            writeln!(text, "  {error}")?;
        }
    }
    for source in &status.sources {
        if let Some(error) = &source.error {
            writeln!(text, "source {}: {error}", source.name)?;
        }
    }
    Ok(text)
}

async fn in_process() -> Result<(), Box<dyn Error>> {
    let clusters = ApiResource {
        group: "cluster.x-k8s.io".to_owned(),
        version: "v1beta2".to_owned(),
        api_version: "cluster.x-k8s.io/v1beta2".to_owned(),
        kind: "Cluster".to_owned(),
        plural: "clusters".to_owned(),
    };
    let (hub, workload) =
        (TestServer::builder().install(definition()).start().await?, TestServer::start_default().await?);
    let client = hub.client().await?;
    let create = PostParams::default();
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "fleet"}}))?;
    Api::all(client.clone()).create(&create, &namespace).await?;
    let clusters: Api<DynamicObject> = Api::namespaced_with(client.clone(), "fleet", &clusters);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "fleet");
    let mut fed = fleet_of(client);

    // What Cluster API and the control plane provider do.
    let cluster = json!({
        "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster", "metadata": {"name": "east"},
        "status": {"initialization": {"controlPlaneInitialized": true}},
    });
    clusters.create(&create, &serde_json::from_value(cluster)?).await?;
    let kubeconfig = |user: &str| workload.kubeconfig_yaml(&workload.issue_token(user));
    let secret = json!({
        "metadata": {"name": "east-kubeconfig", "labels": {"cluster.x-k8s.io/cluster-name": "east"}},
        "type": "cluster.x-k8s.io/secret",
        "stringData": {"value": kubeconfig("first")},
    });
    secrets.create(&create, &serde_json::from_value(secret)?).await?;
    let is_user = |user: &'static str| {
        move |clusters: &[ClusterSnapshot]| {
            clusters.iter().any(|cluster| cluster.is_connected() && cluster.user.as_deref() == Some(user))
        }
    };
    fed.until(is_user("first")).await?;

    let patch = Patch::Merge(json!({"stringData": {"value": kubeconfig("second")}}));
    secrets.patch("east-kubeconfig", &PatchParams::default(), &patch).await?;
    fed.until(is_user("second")).await?;
    fed.fleet.shutdown().await;
    Ok(())
}

/// The definition that Cluster API installs, without its schema.
fn definition() -> serde_json::Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "clusters.cluster.x-k8s.io"},
        "spec": {
            "group": "cluster.x-k8s.io", "scope": "Namespaced",
            "names": {"kind": "Cluster", "listKind": "ClusterList", "plural": "clusters", "singular": "cluster"},
            "versions": [{"name": "v1beta2", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            }}}],
        },
    })
}

#[cfg(test)]
#[tokio::test]
async fn a_cluster_connects_and_its_rotated_kubeconfig_is_taken_up() {
    let played = tokio::time::timeout(std::time::Duration::from_secs(60), in_process()).await;
    played.expect("the example does not end").unwrap();
}
