//! A hub with the `Cluster` resource, remote servers, and the controller that runs between them.

use std::sync::Arc;
use std::time::Duration;

use clientmgr_fake::apiserver::{Credential, LogFilter, RequestRecord, Requests, TestServer};
use clientmgr_kube::kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use clientmgr_kube::kube::runtime::reflector::{ObjectRef, Store};
use clientmgr_kube::kube::runtime::wait;
use clientmgr_kube::kube::{Api, Client, CustomResourceExt as _};
use clientmgr_kube::{ClientManager, Fleet, NamespacedName};
use clientmgr_runtime::cluster::{Cluster, ConditionType, find_condition};
use clientmgr_runtime::controller::{ClusterController, ClusterControllerBuilder, ClusterProvider, StatusWriter};
use clientmgr_runtime::requeue::Changes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Long enough for a machine under load: for what is expected to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const NAMESPACE: &str = "default";

/// A hub: in this process, with its log and its faults, or an [`AnyServer`], which may be real.
pub(crate) struct Hub<S = TestServer> {
    pub(crate) server: S,
    pub(crate) client: Client,
}

/// A controller that runs.
pub(crate) struct Running {
    pub(crate) provider: ClusterProvider,
    pub(crate) clients: Arc<ClientManager<ClusterProvider>>,
    pub(crate) clusters: Store<Cluster>,
    pub(crate) changes: BoxStream<'static, Changes>,
    task: JoinHandle<()>,
}

pub(crate) async fn remote(name: &str) -> TestServer {
    TestServer::builder().name(name).start().await.unwrap()
}

pub(crate) fn key(name: &str) -> NamespacedName {
    NamespacedName::new(NAMESPACE, name)
}

/// A fleet that notices outages soon. It gives no hint to retry soon: a change must bring what waits.
pub(crate) fn fleet() -> Fleet {
    let (soon, never) = (Duration::from_millis(100), Duration::from_secs(3_600));
    let builder = Fleet::builder().connect_deadline(PATIENCE).retry_after(never);
    builder.probe_interval(soon).failure_threshold(1).build()
}

/// Awaits what is expected to happen.
pub(crate) async fn within<T>(expected: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, expected).await.expect("in time")
}

/// Yields until `holds`, for what nothing announces.
pub(crate) async fn holds(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "not in time: {what}");
}

/// The spec of a cluster by the Secret `name`.
pub(crate) fn by_secret(name: &str) -> Value {
    json!({ "connection": { "kubeconfig": { "secretRef": { "name": name } } } })
}

impl Hub {
    pub(crate) async fn start() -> Self {
        let server = TestServer::builder().name("hub").install(Cluster::crd()).start().await.unwrap();
        let client = server.client().await.unwrap();
        Self { server, client }
    }

    /// Writes the kubeconfig of `server` for `credential` to a Secret.
    pub(crate) async fn kubeconfig(&self, name: &str, server: &TestServer, credential: &Credential) {
        self.secret(name, "kubeconfig", &server.kubeconfig_yaml(credential)).await;
    }

    /// Declares the cluster of `server`, by the credential of its administrator.
    pub(crate) async fn declare(&self, name: &str, server: &TestServer) {
        self.kubeconfig(name, server, &server.admin()).await;
        self.create(name, by_secret(name)).await;
    }

    pub(crate) fn status_writes(&self, name: &str) -> Vec<RequestRecord> {
        self.server.requests_matching(Requests::patch("clusters/status").name(name))
    }

    pub(crate) async fn logged(&self, requests: impl Into<Requests<LogFilter>>) -> RequestRecord {
        within(self.server.wait_for(requests)).await
    }
}

impl<S> Hub<S> {
    pub(crate) fn clusters(&self) -> Api<Cluster> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Writes a Secret with one key.
    pub(crate) async fn secret(&self, name: &str, key: &str, text: &str) {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": { key: text },
        });
        self.secrets().patch(name, &PatchParams::apply("test").force(), &Patch::Apply(secret)).await.unwrap();
    }

    pub(crate) async fn create(&self, name: &str, spec: Value) -> Cluster {
        let cluster = json!({
            "apiVersion": "clientmgr.dev/v1alpha1", "kind": "Cluster", "metadata": { "name": name }, "spec": spec,
        });
        let cluster: Cluster = serde_json::from_value(cluster).unwrap();
        self.clusters().create(&PostParams::default(), &cluster).await.unwrap()
    }

    pub(crate) async fn change(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.clusters().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.clusters().delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Waits until a Cluster is as expected.
    pub(crate) async fn until(&self, name: &str, expected: impl Fn(&Cluster) -> bool + Send + Sync) -> Cluster {
        let condition = |cluster: Option<&Cluster>| cluster.is_some_and(&expected);
        let waiting = wait::await_condition(self.clusters(), name, condition);
        let Ok(found) = tokio::time::timeout(PATIENCE, waiting).await else {
            panic!("not as expected: {:#?}", self.clusters().get(name).await.unwrap().status)
        };
        found.unwrap().unwrap()
    }

    pub(crate) async fn until_ready(&self, name: &str) -> Cluster {
        self.until(name, |cluster| condition(cluster, ConditionType::Ready).0 == "True").await
    }

    /// Starts a controller with these settings.
    pub(crate) fn run(&self, settings: impl FnOnce(ClusterControllerBuilder) -> ClusterControllerBuilder) -> Running {
        Running::start(self.client.clone(), settings)
    }

    /// Starts a controller that writes the status as `writer` says.
    pub(crate) fn run_as(&self, writer: StatusWriter) -> Running {
        Running::start_as(self.client.clone(), writer, |settings| settings)
    }

    /// The reasons of the Events about a Cluster, in the order in which they were made.
    pub(crate) async fn events(&self, name: &str) -> Vec<String> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), NAMESPACE);
        let mut events = events.list(&ListParams::default()).await.unwrap().items;
        events.retain(|event| event.regarding.as_ref().is_some_and(|it| it.name.as_deref() == Some(name)));
        events.sort_by_key(|event| event.event_time.clone());
        events.into_iter().filter_map(|event| event.reason).collect()
    }

    pub(crate) async fn until_events(&self, name: &str, expected: &[&str]) {
        let waiting = async {
            while self.events(name).await != expected {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "{:?}", self.events(name).await);
    }
}

impl Running {
    /// Starts a controller with these settings, which reaches the hub by `client`.
    pub(crate) fn start(
        client: Client,
        settings: impl FnOnce(ClusterControllerBuilder) -> ClusterControllerBuilder,
    ) -> Self {
        Self::start_as(client, StatusWriter::Always, settings)
    }

    /// Starts a controller that writes the status as `writer` says.
    pub(crate) fn start_as(
        client: Client,
        writer: StatusWriter,
        settings: impl FnOnce(ClusterControllerBuilder) -> ClusterControllerBuilder,
    ) -> Self {
        let controller = settings(ClusterController::builder(client, writer).fleet(fleet())).build();
        let clients = Arc::new(ClientManager::new(controller.provider()));
        controller.register(&clients);
        Self {
            provider: controller.provider(),
            clients,
            clusters: controller.clusters(),
            changes: controller.changes().boxed(),
            task: tokio::spawn(controller.run(std::future::pending())),
        }
    }

    /// The Cluster, as the controller's store has it.
    pub(crate) fn cluster(&self, name: &str) -> Option<Arc<Cluster>> {
        self.clusters.get(&ObjectRef::new(name).within(NAMESPACE))
    }

    /// Ends the controller and its fleet, as a crash does: nothing is released.
    pub(crate) async fn kill(self) {
        self.task.abort();
        // It was aborted.
        let _ = self.task.await;
        self.provider.fleet().shutdown().await;
    }
}

/// The status, the reason and the message of a condition; empty where there is none.
pub(crate) fn condition(cluster: &Cluster, type_: ConditionType) -> (String, String, String) {
    let conditions = cluster.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let found = find_condition(conditions, type_).cloned();
    found.map(|found| (found.status, found.reason, found.message)).unwrap_or_default()
}

/// Status and reason of `Connected`, `Ready` and `CredentialsValid`.
pub(crate) fn conditions(cluster: &Cluster) -> Vec<String> {
    ConditionType::ALL
        .map(|type_| {
            let (status, reason, _) = condition(cluster, type_);
            format!("{type_}={status}/{reason}")
        })
        .to_vec()
}
