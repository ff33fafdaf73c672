//! A resource of your own as cluster object: a controller of `Member`s connects each, writes the revision to its status,
//! and uses its clients. No other resource is needed.
//!
//! `cargo run -p clientmgr-runtime --example own_crd`: servers in this process. With `-- --kubeconfig PATH` it connects
//! every context of that file, each as a Member that lives in memory only, and lists its namespaces.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::path::Path;

use clientmgr_fake::apiserver::TestServer;
use clientmgr_kube::{
    ClientManager, ClusterConfig, ClusterObject, ConnectedAt, Fleet, Incarnation, ResourceName as _, contexts,
    read_kubeconfig_from,
};
use clientmgr_runtime::k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use clientmgr_runtime::kube::api::{ListParams, Patch, PatchParams, PostParams};
use clientmgr_runtime::kube::config::Kubeconfig;
use clientmgr_runtime::kube::{Api, CustomResource, CustomResourceExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A member of a federation: yours, with the fields that you need.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Member", namespaced, status = "MemberStatus")]
struct MemberSpec {
    context: String,
}

#[derive(Serialize, Deserialize, Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct MemberStatus {
    /// An `Option<ConnectedAt>` has the schema and the text of a `MicroTime`.
    connected_at: Option<ConnectedAt>,
    /// Which cluster it is. With it the revision is adopted after a restart.
    identity: Option<String>,
}

impl MemberStatus {
    fn incarnation(&self) -> Option<Incarnation> {
        Some(Incarnation { identity: self.identity.as_deref()?.parse().ok()?, revision: self.connected_at? })
    }
}

/// This is all that makes it a cluster object.
impl ClusterObject for Member {
    fn cluster_name(&self) -> (&str, &str) {
        self.namespace_and_name()
    }

    fn connected_at(&self) -> Option<ConnectedAt> {
        self.status.as_ref()?.connected_at
    }
}

/// What the writer of the status does: connect the cluster, and say under which revision.
async fn connect(fleet: &Fleet, kubeconfig: &Kubeconfig, member: &Member) -> Result<MemberStatus, Box<dyn Error>> {
    let key = member.cluster_key();
    let config = ClusterConfig::from_kubeconfig(kubeconfig, &member.spec.context);
    // What the status names is adopted: a restart resets nothing.
    let config = match member.status.as_ref().and_then(MemberStatus::incarnation) {
        Some(known) => config.with_incarnation(known),
        None => config,
    };
    fleet.upsert(key.clone(), config);
    let connected_at = Some(fleet.wait_connected(&key).await?);
    let identity = fleet.snapshot(&key).and_then(|snapshot| snapshot.identity).map(|identity| identity.to_string());
    Ok(MemberStatus { connected_at, identity })
}

/// What any controller does with it.
async fn count(clients: &ClientManager<Fleet>, object: &ConfigMap, member: &Member) -> Result<usize, Box<dyn Error>> {
    if clients.refresh(object, member).is_reset() {
        println!("drop all state on {}", member.cluster_key());
    }
    let client = clients.client(object, member).await?;
    Ok(Api::<Namespace>::all(client).list(&ListParams::default()).await?.items.len())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => in_process().await,
        ["--kubeconfig", path] => real(Path::new(path)).await,
        _ => Err("usage: cargo run -p clientmgr-runtime --example own_crd [-- --kubeconfig PATH]".into()),
    }
}

async fn in_process() -> Result<(), Box<dyn Error>> {
    let hub = TestServer::builder().name("hub").install(Member::crd()).start().await?;
    let east = TestServer::builder().name("east").start().await?;
    let members: Api<Member> = Api::default_namespaced(hub.client().await?);
    let spec = MemberSpec { context: "east".to_owned() };
    let member = members.create(&PostParams::default(), &Member::new("east", spec)).await?;

    let fleet = Fleet::new();
    let status = connect(&fleet, &east.kubeconfig(), &member).await?;
    let patch = Patch::Merge(json!({ "status": status }));
    let member = members.patch_status("east", &PatchParams::default(), &patch).await?;
    let clients = ClientManager::new(fleet.clone());
    println!("{}: {} namespaces", member.cluster_key(), count(&clients, &ConfigMap::default(), &member).await?);
    fleet.shutdown().await;

    // After a restart it is the same revision.
    let restarted = Fleet::new();
    let again = connect(&restarted, &east.kubeconfig(), &member).await?;
    let is_adopted = again.connected_at == member.connected_at();
    println!("after a restart: {}", if is_adopted { "adopted" } else { "reset" });
    restarted.shutdown().await;
    if is_adopted { Ok(()) } else { Err("the restart was noticed".into()) }
}

async fn real(path: &Path) -> Result<(), Box<dyn Error>> {
    let kubeconfig = read_kubeconfig_from(path)?;
    let fleet = Fleet::new();
    let clients = ClientManager::new(fleet.clone());
    for (index, context) in contexts(&kubeconfig).enumerate() {
        let mut member = Member::new(&format!("member-{index}"), MemberSpec { context: context.to_owned() });
        match connect(&fleet, &kubeconfig, &member).await {
            Err(error) => println!("{context}: {error}"),
            Ok(status) => {
                member.status = Some(status);
                println!("{context}: {} namespaces", count(&clients, &ConfigMap::default(), &member).await?);
            }
        }
    }
    fleet.shutdown().await;
    Ok(())
}

#[cfg(test)]
#[tokio::test]
async fn a_resource_of_its_own_is_a_cluster_object_and_a_restart_adopts_it() {
    in_process().await.unwrap();
}
