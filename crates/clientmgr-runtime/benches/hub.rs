//! One hub with 1,000 Clusters and their controller, against a program that lists, connects and writes by hand: start,
//! memory, requests at rest, how soon a changed Secret is in use, and status writes for each transition. Hub and remote
//! servers are a process of their own. Run it by `cargo xtask bench`.

#[path = "hub/by_hand.rs"]
mod by_hand;
#[path = "../../../benches/live_heap.rs"]
mod live_heap;
#[path = "../../../benches/quantile.rs"]
mod quantile;
#[path = "hub/servers.rs"]
mod servers;
#[path = "../../../benches/table.rs"]
mod table;
#[path = "../../../benches/wait.rs"]
mod wait;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clientmgr_kube::{ClientProvider as _, Fleet, NamespacedName};
use clientmgr_runtime::cluster::{Cluster, ClusterSpec, ConditionType, Connection, SecretKeyRef, find_condition};
use clientmgr_runtime::controller::{ClusterController, ClusterProvider, StatusWriter};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::reflector::Store;
use kube::{Api, Client, Config};
use serde_json::json;
use tokio::task::JoinHandle;

use live_heap::live_heap;
use quantile::quantile;
use servers::Servers;
use table::{Row, report};
use wait::comes_true;

const CLUSTERS: usize = 1_000;
const NAMESPACE: &str = "default";
/// How long anything may take at most.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the hub is left alone, and its requests counted.
const REST: Duration = Duration::from_secs(20);
const ROTATIONS: usize = 300;
/// How many remote servers stop, and start again.
const OUTAGES: usize = 50;
/// How many requests of the set-up are under way at a time.
const AT_ONCE: usize = 16;

fn name(number: usize) -> String {
    format!("cluster-{number:04}")
}

fn key(number: usize) -> NamespacedName {
    NamespacedName::new(NAMESPACE, &name(number))
}

async fn client(kubeconfig: &Kubeconfig) -> Client {
    let config = Config::from_custom_kubeconfig(kubeconfig.clone(), &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("a kubeconfig")).expect("a client")
}

fn yaml(kubeconfig: &Kubeconfig) -> String {
    // JSON is YAML.
    serde_json::to_string(kubeconfig).expect("a kubeconfig is JSON")
}

/// Declares every remote server: a Secret and a Cluster each.
async fn declare(hub: &Client, servers: &Servers) {
    let (secrets, clusters) = (Api::<Secret>::default_namespaced(hub.clone()), Api::default_namespaced(hub.clone()));
    let declaring = servers.remotes().iter().enumerate().map(async |(number, kubeconfig)| {
        let mut secret = Secret::default();
        secret.metadata.name = Some(name(number));
        secret.data = Some([("kubeconfig".to_owned(), ByteString(yaml(kubeconfig).into_bytes()))].into());
        secrets.create(&PostParams::default(), &secret).await?;
        let spec = ClusterSpec::new(Connection::by_secret(SecretKeyRef::new(name(number))));
        clusters.create(&PostParams::default(), &Cluster::new(&name(number), spec)).await
    });
    let declared = stream::iter(declaring).buffer_unordered(AT_ONCE).try_for_each(|_| async { Ok(()) });
    declared.await.expect("the hub stores them");
}

/// A controller that runs.
struct Running {
    provider: ClusterProvider,
    clusters: Store<Cluster>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(hub: Client) -> Self {
        let controller = ClusterController::builder(hub, StatusWriter::Always).build();
        Self {
            provider: controller.provider(),
            clusters: controller.clusters(),
            task: tokio::spawn(controller.run(std::future::pending())),
        }
    }

    fn fleet(&self) -> &Fleet {
        self.provider.fleet()
    }

    /// Waits until every cluster has a client.
    async fn until_served(&self) {
        let keys: Vec<_> = (0..CLUSTERS).map(key).collect();
        let mut changes = self.fleet().events();
        let waiting = async {
            for key in &keys {
                while self.provider.connection(key).await.is_err() {
                    changes.next().await;
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("all are served in time");
    }

    /// Waits until the `Ready` of so many Clusters has this status, as the controller's watch has them.
    async fn until_ready(&self, status: &str, count: usize) {
        let is_so = |cluster: &Cluster| {
            let conditions = cluster.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
            find_condition(conditions, ConditionType::Ready).is_some_and(|ready| ready.status == status)
        };
        let all = || self.clusters.state().iter().filter(|cluster| is_so(cluster)).count() == count;
        assert!(comes_true(PATIENCE, all).await, "not {count} Clusters are Ready={status} in time");
    }

    async fn stop(self) {
        self.task.abort();
        // It was aborted.
        let _ = self.task.await;
        self.provider.fleet().shutdown().await;
    }
}

fn status_writes(requests: &BTreeMap<String, usize>) -> usize {
    requests.iter().filter(|(name, _)| name.ends_with("clusters status")).map(|(_, count)| count).sum()
}

fn float(number: usize) -> f64 {
    f64::from(u32::try_from(number).expect("a small number"))
}

/// Changes Secrets, one after another. Returns how long it took each time until a request with the new credential was
/// answered.
async fn rotations(running: &Running, hub: &Client, servers: &mut Servers) -> Vec<f64> {
    let secrets: Api<Secret> = Api::default_namespaced(hub.clone());
    let mut times = Vec::new();
    for turn in 0..ROTATIONS {
        let number = turn * 7 % CLUSTERS;
        let (cluster, user) = (key(number), format!("user-{turn}"));
        let kubeconfig = yaml(&servers.token(number, &user));
        let client = running.fleet().client(cluster.clone()).await.expect("connected");
        let mut changes = running.fleet().events();
        let patch = Patch::Merge(json!({ "stringData": { "kubeconfig": kubeconfig } }));
        let begun = Instant::now();
        secrets.patch(&name(number), &PatchParams::default(), &patch).await.expect("the hub stores it");
        let is_in_use = || running.fleet().snapshot(&cluster).is_some_and(|now| now.user.as_deref() == Some(&user));
        while !is_in_use() {
            changes.next().await.expect("the fleet lives");
        }
        client.apiserver_version().await.expect("the remote server answers");
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        assert_eq!(servers.last_user(number), Some(user), "the request carries the new credential");
    }
    times
}

async fn at_rest(servers: &mut Servers) -> Row {
    servers.mark();
    tokio::time::sleep(REST).await;
    let requests = servers.requests();
    let others = requests.iter().filter(|(name, _)| !name.starts_with("watch")).map(|(_, count)| count).sum();
    let what = format!("1,000 Clusters: hub requests but watches in {} s at rest", REST.as_secs());
    Row::new(what, "", float(others), None, ..=0.0)
}

#[tokio::main]
async fn measure() -> Vec<Row> {
    let mut servers = Servers::start(CLUSTERS);
    let hub = client(servers.hub()).await;
    declare(&hub, &servers).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let at_first = tasks();
    // What was dropped is gone once its tasks are.
    let all_gone = async || assert!(comes_true(PATIENCE, || tasks() <= at_first).await, "tasks are left");
    // What is made once in a process is made before anything is measured.
    drop(by_hand::connect(&hub).await);

    all_gone().await;
    let before = live_heap();
    let clients = by_hand::connect(&hub).await;
    let heap_by_hand = live_heap() - before;
    drop(clients);
    all_gone().await;

    servers.mark();
    let (before, begun) = (live_heap(), Instant::now());
    let running = Running::start(client(servers.hub()).await);
    running.until_ready("True", CLUSTERS).await;
    let first = begun.elapsed().as_secs_f64() * 1e3;
    let mut writes = status_writes(&servers.requests());
    let rest = at_rest(&mut servers).await;
    // After the first probes, and with the store of Clusters and the copies of their Secrets.
    let heap = live_heap() - before;

    servers.mark();
    let times = rotations(&running, &hub, &mut servers).await;
    servers.stop(OUTAGES);
    running.until_ready("False", OUTAGES).await;
    servers.restart(OUTAGES);
    running.until_ready("True", CLUSTERS).await;
    writes += status_writes(&servers.requests());
    running.stop().await;
    // Each Cluster connected, some were lost and recovered. A rotation is none: the status says the same.
    let transitions = CLUSTERS + 2 * OUTAGES;

    let begun = Instant::now();
    let running = Running::start(client(servers.hub()).await);
    running.until_served().await;
    let again = begun.elapsed().as_secs_f64() * 1e3;
    running.stop().await;

    let begun = Instant::now();
    let connected = by_hand::connect(&hub).await;
    let connecting = begun.elapsed().as_secs_f64() * 1e3;
    by_hand::write(&hub).await;
    let writing = begun.elapsed().as_secs_f64() * 1e3;
    drop(connected);

    let kib = |bytes: f64| bytes / 1024.0 / float(CLUSTERS);
    vec![
        Row::new("1,000 Clusters: first start, to the last status / by hand", "ms", first, writing, ..),
        Row::new("1,000 Clusters: restart, to the last client / by hand", "ms", again, connecting, ..),
        Row::new("1,000 Clusters: live heap of one / by hand", "KiB", kib(heap), kib(heap_by_hand), ..),
        rest,
        Row::new(
            "1,000 Clusters: Secret change to new credential in use, p50",
            "ms",
            quantile(times.clone(), 50),
            None,
            ..=100.0,
        ),
        Row::new(
            "1,000 Clusters: Secret change to new credential in use, p99",
            "ms",
            quantile(times, 99),
            None,
            ..=100.0,
        ),
        Row::new("1,000 Clusters: status writes / transitions", "", float(writes), float(transitions), ..=1.0),
    ]
}

fn main() {
    if !servers::serve_if_child() && std::env::args().any(|argument| argument == "--bench") {
        report("hub", &measure());
    }
}
