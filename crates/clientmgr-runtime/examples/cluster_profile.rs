//! Clusters of the cluster inventory API, each by the credential plugin that the operator configures.
//!
//! - `cargo run --example cluster_profile`: a hub and a member in this process; a shell script is the plugin
//! - `cargo run --example cluster_profile -- --kubeconfig PATH PROVIDERS`: the hub of that file's current context, and the
//!   file of the providers, until Ctrl-C

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clientmgr_fake::apiserver::TestServer;
use clientmgr_kube::{ClusterSnapshot, Fleet, read_kubeconfig_from};
use clientmgr_runtime::source::{AccessProviders, ClusterProfiles, RunningSources, Sources, SourcesStatus};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, ..) => in_process().await,
        (Some("--kubeconfig"), Some(path), Some(providers)) => {
            let kubeconfig = read_kubeconfig_from(path)?;
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
            let mut fed = Fed::by(Client::try_from(config)?, AccessProviders::read(providers)?);
            tokio::select! {
                watched = fed.until(|_| false) => watched,
                interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
            }
        }
        _ => Err("usage: cargo run --example cluster_profile [-- --kubeconfig PATH PROVIDERS]".into()),
    }
}

/// A fleet and what feeds it.
struct Fed {
    fleet: Fleet,
    sources: RunningSources,
}

impl Fed {
    /// The fleet of the profiles on `hub`.
    fn by(hub: Client, providers: AccessProviders) -> Self {
        let fleet = Fleet::new();
        let sources =
            Sources::new(fleet.clone()).source("profiles", ClusterProfiles::new(hub, providers).watch()).spawn();
        Self { fleet, sources }
    }

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

/// What issues tokens: any program that speaks the protocol of credential plugins. This one prints its environment's.
const PLUGIN: &str = r#"printf '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "%s"}}' "$TOKEN""#;

async fn in_process() -> Result<(), Box<dyn Error>> {
    let (hub, member) =
        (TestServer::builder().install(definition()).start().await?, TestServer::start_default().await?);
    let client = hub.client().await?;
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "fleet"}}))?;
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;

    // The operator's file: which plugins may run, and what a profile may add.
    let providers = json!({"providers": [{
        "name": "tokens",
        "execConfig": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", PLUGIN],
            "provideClusterInfo": true,
        },
        "profileSourcedEnvVarsPolicy": "AppendIfNotExists",
    }]});
    let mut fed = Fed::by(client.clone(), AccessProviders::from_json(providers.to_string().as_bytes())?);

    // What a cluster manager writes.
    let token = member.issue_token("controller");
    let profile = json!({
        "apiVersion": "multicluster.x-k8s.io/v1alpha2", "kind": "ClusterProfile", "metadata": {"name": "east"},
        "status": {"accessProviders": [{"name": "tokens", "cluster": {
            "server": member.url(),
            "certificate-authority-data": member.ca_pem().map(|pem| STANDARD.encode(pem)),
            "extensions": [{
                "name": "clusterprofiles.multicluster.x-k8s.io/exec/additional-envs",
                "extension": {"TOKEN": token.token()},
            }],
        }}]},
    });
    let profiles = ApiResource {
        group: "multicluster.x-k8s.io".to_owned(),
        version: "v1alpha2".to_owned(),
        api_version: "multicluster.x-k8s.io/v1alpha2".to_owned(),
        kind: "ClusterProfile".to_owned(),
        plural: "clusterprofiles".to_owned(),
    };
    let profiles: Api<DynamicObject> = Api::namespaced_with(client, "fleet", &profiles);
    profiles.create(&PostParams::default(), &serde_json::from_value(profile)?).await?;
    fed.until(|clusters| clusters.iter().any(ClusterSnapshot::is_connected)).await?;
    fed.fleet.shutdown().await;
    Ok(())
}

/// The definition that the cluster inventory API installs, without its schema.
fn definition() -> serde_json::Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "clusterprofiles.multicluster.x-k8s.io"},
        "spec": {
            "group": "multicluster.x-k8s.io", "scope": "Namespaced",
            "names": {
                "kind": "ClusterProfile", "listKind": "ClusterProfileList",
                "plural": "clusterprofiles", "singular": "clusterprofile",
            },
            "versions": [{"name": "v1alpha2", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            }}}],
        },
    })
}

#[cfg(all(test, unix))]
#[tokio::test]
async fn a_profile_connects_by_the_operators_plugin() {
    let played = tokio::time::timeout(std::time::Duration::from_secs(60), in_process()).await;
    played.expect("the example does not end").unwrap();
}
