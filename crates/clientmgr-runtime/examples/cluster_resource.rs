//! A controller that uses the clusters that `Cluster` objects declare: it lists the namespaces of each.
//!
//! - `cargo run -p clientmgr-runtime --example cluster_resource`: a hub and a remote cluster in this process. A Cluster is
//!   applied and connects, the controller uses it, its credentials are rotated, and nothing breaks.
//! - `… --example cluster_resource -- --kubeconfig PATH`: your hub, by its current context. Install the definition first,
//!   with `kubectl apply -f deploy/crds`. It only lists namespaces on your clusters, until Ctrl-C.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]
#![expect(clippy::needless_pass_by_value, reason = "kube hands the object over")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clientmgr_fake::apiserver::{Requests, TestServer};
use clientmgr_kube::{
    ClientError, ClientManager, ClusterConfig, ConnectedAt, ErrorAction as _, Fleet, read_kubeconfig_from,
};
use clientmgr_runtime::cluster::{Cluster, ClusterSpec, ConditionType, Connection, SecretKeyRef, find_condition};
use clientmgr_runtime::controller::{ClusterController, StatusWriter};
use clientmgr_runtime::k8s_openapi::api::core::v1::{Namespace, Secret};
use clientmgr_runtime::kube::api::{ListParams, Patch, PatchParams, PostParams};
use clientmgr_runtime::kube::runtime::controller::{self, Action};
use clientmgr_runtime::kube::runtime::reflector::ObjectRef;
use clientmgr_runtime::kube::runtime::{wait, watcher};
use clientmgr_runtime::kube::{self, Api, Client, CustomResourceExt as _, ResourceExt as _};
use futures::StreamExt as _;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// Servers in this process need a second or two. More than this is an error.
const LONGEST: Duration = Duration::from_secs(60);

/// How long a request to a cluster may take: a reconcile that hangs would keep the program from ending.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// The whole controller: it uses the client of each Cluster. A controller of your own objects does the same, with the
/// Cluster that the object names, from `ClusterController::clusters`.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the cluster cannot be listed")]
    Kube(#[from] kube::Error),
    #[error("the cluster did not answer within {REQUEST_DEADLINE:?}")]
    TimedOut(#[from] Elapsed),
}

async fn reconcile(cluster: Arc<Cluster>, clients: Arc<ClientManager>) -> Result<Action, Failure> {
    if !cluster.is_connected() {
        return Ok(Action::await_change()); // its connection brings it back
    }
    if clients.refresh(&*cluster, &*cluster).is_reset() {
        println!("   controller: {} is reset: build anew what belongs to its client", cluster.name_any());
    }
    let client = clients.client(&*cluster, &*cluster).await?;
    let (namespaces, parameters) = (Api::<Namespace>::all(client), ListParams::default());
    let namespaces = timeout(REQUEST_DEADLINE, namespaces.list(&parameters)).await??;
    println!("   controller: {} has {} namespaces", cluster.name_any(), namespaces.items.len());
    Ok(Action::requeue(Duration::from_secs(300)))
}

fn retry(cluster: Arc<Cluster>, failure: &Failure, _: Arc<ClientManager>) -> Action {
    if let Failure::Client(error) = failure {
        return error.action(Duration::from_secs(5)); // mostly a status that is behind the connection
    }
    let cause = failure.source().map(ToString::to_string).unwrap_or_default();
    println!("   controller: {}: {failure}: {cause}", cluster.name_any());
    Action::requeue(Duration::from_secs(5))
}

/// How the reconciles ended.
#[derive(Default)]
struct Counts {
    succeeded: usize,
    failed_requests: usize,
}

impl Counts {
    fn add<T, Q>(&mut self, outcome: &Result<(T, Action), controller::Error<Failure, Q>>)
    where
        Q: Error + 'static,
    {
        match outcome {
            Ok((_, action)) => self.succeeded += usize::from(*action != Action::await_change()),
            Err(controller::Error::ReconcilerFailed(Failure::Kube(_) | Failure::TimedOut(_), _)) => {
                self.failed_requests += 1;
            }
            // The status may be newer than the connection, or older.
            Err(_) => {}
        }
    }
}

/// Runs the controller of Clusters and the one above, whose reconciles are counted.
async fn run(hub: Client, counts: watch::Sender<Counts>, stop: impl Future<Output = ()> + Send + Sync + 'static) {
    let clusters = ClusterController::builder(hub.clone(), StatusWriter::Always).build();
    let user = clusters
        .controller(Api::all(hub), watcher::Config::default(), |cluster: &Cluster| [ObjectRef::from_obj(cluster)])
        .graceful_shutdown_on(stop)
        .run(reconcile, retry, clusters.client_manager())
        .for_each(async |outcome| counts.send_modify(|counts| counts.add(&outcome)));
    clusters.run(user).await;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => timeout(LONGEST, story()).await?,
        ["--kubeconfig", path] => real(Path::new(path)).await,
        _ => Err("usage: cargo run -p clientmgr-runtime --example cluster_resource [-- --kubeconfig PATH]".into()),
    }
}

/// Real clusters: the hub is a cluster of a fleet as well.
async fn real(path: &Path) -> Result<(), Box<dyn Error>> {
    let kubeconfig = read_kubeconfig_from(path)?;
    let context = kubeconfig.current_context.clone().ok_or("the kubeconfig has no current-context")?;
    let fleet = Fleet::new();
    fleet.upsert("hub", ClusterConfig::from_kubeconfig(&kubeconfig, &context));
    let hub = fleet.client("hub").await?;
    let first = Api::<Cluster>::all(hub.clone()).list(&ListParams::default().limit(1)).await;
    first.map_err(|error| {
        format!("the hub lists no Clusters ({error}): kubectl apply -f deploy/crds; deploy/rbac has the rights")
    })?;
    println!("apply a Cluster and its Secret, as docs/cluster-resource.md shows; Ctrl-C ends this program");
    run(hub, watch::Sender::default(), async {
        // Without signals it runs until it is killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
    .await;
    fleet.shutdown().await;
    Ok(())
}

/// The same, step by step, on servers in this process.
async fn story() -> Result<(), Box<dyn Error>> {
    let hub_server = TestServer::builder().name("hub").install(Cluster::crd()).start().await?;
    let east = TestServer::builder().name("east").start().await?;
    let hub = hub_server.client().await?;
    let (counted, mut counts) = watch::channel(Counts::default());
    let running = tokio::spawn(run(hub.clone(), counted, std::future::pending()));

    println!("1. apply the Cluster east and its Secret");
    let first = east.issue_token("east-user");
    let secrets: Api<Secret> = Api::default_namespaced(hub.clone());
    write_kubeconfig(&secrets, &east.kubeconfig_yaml(&first)).await?;
    let clusters: Api<Cluster> = Api::default_namespaced(hub);
    let spec = ClusterSpec::new(Connection::by_secret(SecretKeyRef::new("east-kubeconfig")));
    clusters.create(&PostParams::default(), &Cluster::new("east", spec)).await?;

    println!("2. it connects, and the controller uses it");
    let before = wait::await_condition(clusters.clone(), "east", is_ready).await?.ok_or("the Cluster is gone")?;
    print_status(&before);
    counts.wait_for(|counts| counts.succeeded > 0).await?;

    println!("3. rotate its Secret, and revoke the old credentials");
    let marker = east.marker();
    let second = east.issue_token("east-user");
    write_kubeconfig(&secrets, &east.kubeconfig_yaml(&second)).await?;
    east.wait_for(Requests::any().since(marker).with(second.fingerprint()).answered()).await;
    east.revoke(first.fingerprint());

    println!("4. a change of the Cluster makes the controller use it once more");
    let before_rotation = counts.borrow_and_update().succeeded;
    let touch = json!({ "metadata": { "annotations": { "example.com/touched": "yes" } } });
    clusters.patch("east", &PatchParams::default(), &Patch::Merge(touch)).await?;
    east.wait_for(Requests::list("namespaces").since(marker).with(second.fingerprint()).status(200)).await;
    let failed = counts.wait_for(|counts| counts.succeeded > before_rotation).await?.failed_requests;
    let after = clusters.get("east").await?;
    print_status(&after);

    println!("5. what the rotation broke");
    let same = connected_at(&before) == connected_at(&after);
    println!("   requests that failed:     {failed}");
    println!("   revision of the client:   {}", if same { "the same, so nothing was reset" } else { "another one" });
    running.abort();
    hub_server.shutdown().await;
    east.shutdown().await;
    if failed == 0 && same { Ok(()) } else { Err("the rotation was noticed".into()) }
}

fn connected_at(cluster: &Cluster) -> Option<ConnectedAt> {
    cluster.status.as_ref()?.connected_at
}

async fn write_kubeconfig(secrets: &Api<Secret>, kubeconfig: &str) -> Result<(), kube::Error> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "east-kubeconfig" },
        "stringData": { "kubeconfig": kubeconfig },
    });
    secrets.patch("east-kubeconfig", &PatchParams::apply("example").force(), &Patch::Apply(secret)).await?;
    Ok(())
}

fn is_ready(cluster: Option<&Cluster>) -> bool {
    let status = cluster.and_then(|cluster| cluster.status.as_ref());
    let ready = status.and_then(|status| find_condition(&status.conditions, ConditionType::Ready));
    ready.is_some_and(|ready| ready.status == "True")
}

fn print_status(cluster: &Cluster) {
    let Some(status) = &cluster.status else { return };
    let ready = find_condition(&status.conditions, ConditionType::Ready);
    println!(
        "   Cluster {}: Ready={}, connected at {}",
        cluster.name_any(),
        ready.map_or("Unknown", |ready| &ready.status),
        status.connected_at.map(|time| time.to_string()).unwrap_or_default(),
    );
}

#[cfg(test)]
#[tokio::test]
async fn a_cluster_connects_is_used_and_its_rotation_breaks_nothing() {
    timeout(LONGEST, story()).await.expect("the example does not end").unwrap();
}
