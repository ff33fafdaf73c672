//! A reconcile function as a controller has it, unchanged over a fleet of real connections and over a fake provider.

use std::sync::Arc;
use std::time::Duration;

use clientmgr_fake::FakeClientProvider;
use clientmgr_kube::k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use clientmgr_kube::k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use clientmgr_kube::kube::api::ListParams;
use clientmgr_kube::kube::client::Body;
use clientmgr_kube::kube::{Api, Client, CustomResource};
use clientmgr_kube::{
    BoundError, BoundState, BoundStates, ClientManager, ClusterObject, ConnectedAt, DynProvider, Fleet, NamespacedName,
    ResourceName as _, from_micro_time, requeue_after, to_micro_time,
};
use http::{Request, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::support::{builder, config, server};

#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Cluster", namespaced, status = "ClusterStatus")]
struct ClusterSpec {}

#[derive(Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ClusterStatus {
    connected_at: Option<MicroTime>,
}

impl ClusterObject for Cluster {
    fn cluster_name(&self) -> (&str, &str) {
        self.namespace_and_name()
    }

    fn connected_at(&self) -> Option<ConnectedAt> {
        from_micro_time(self.status.as_ref()?.connected_at.as_ref()?)
    }
}

fn cluster(connected_at: Option<ConnectedAt>) -> Arc<Cluster> {
    let mut cluster = Cluster::new("east", ClusterSpec {});
    cluster.metadata.namespace = Some("fleet".into());
    cluster.status = Some(ClusterStatus { connected_at: connected_at.map(to_micro_time) });
    // Through the wire, as a cache has it.
    Arc::new(serde_json::from_value(serde_json::to_value(cluster).unwrap()).unwrap())
}

fn east() -> NamespacedName {
    NamespacedName::new("fleet", "east")
}

fn object(uid: &str) -> Arc<ConfigMap> {
    let metadata = ObjectMeta { uid: Some(uid.into()), name: Some("work".into()), ..ObjectMeta::default() };
    Arc::new(ConfigMap { metadata, ..ConfigMap::default() })
}

/// What a controller shares between its reconciles.
struct Context {
    clients: ClientManager,
    caches: BoundStates<Cache>,
}

impl Context {
    fn new(provider: DynProvider) -> Self {
        Self { clients: ClientManager::new(provider.clone()), caches: BoundStates::new(provider) }
    }
}

/// State that lives on a client.
#[derive(Debug)]
struct Cache {
    namespaces: usize,
    torn_down: std::sync::atomic::AtomicBool,
}

impl Cache {
    async fn fill(client: Client) -> Result<Self, kube::Error> {
        let namespaces = Api::<Namespace>::all(client).list(&ListParams::default()).await?.items.len();
        Ok(Self { namespaces, torn_down: false.into() })
    }

    fn is_torn_down(&self) -> bool {
        self.torn_down.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl BoundState for Cache {
    fn teardown(&self) {
        self.torn_down.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

#[derive(Debug)]
enum Outcome {
    Done { reset: bool, cache: Arc<Cache> },
    Later(Option<Duration>),
}

const FALLBACK: Duration = Duration::from_secs(3);

async fn reconcile(object: &Arc<ConfigMap>, cluster: &Arc<Cluster>, context: &Context) -> Result<Outcome, kube::Error> {
    let reset = context.clients.refresh(&**object, &**cluster).is_reset();
    let client = match context.clients.client(&**object, &**cluster).await {
        Ok(client) => client,
        Err(error) => return Ok(Outcome::Later(requeue_after(&error, FALLBACK))),
    };
    drop(client);
    match context.caches.get_or_build(&**object, &**cluster, Cache::fill).await {
        Ok(cache) => Ok(Outcome::Done { reset, cache }),
        Err(BoundError::Client(error)) => Ok(Outcome::Later(requeue_after(&error, FALLBACK))),
        Err(BoundError::Build(error)) => Err(error),
    }
}

fn done(outcome: Result<Outcome, kube::Error>) -> (bool, Arc<Cache>) {
    match outcome.unwrap() {
        Outcome::Done { reset, cache } => (reset, cache),
        Outcome::Later(after) => panic!("later: {after:?}"),
    }
}

fn later(outcome: Result<Outcome, kube::Error>) -> Option<Duration> {
    match outcome.unwrap() {
        Outcome::Later(after) => after,
        Outcome::Done { .. } => panic!("done"),
    }
}

/// A client whose every list has this many items.
fn client_of(items: usize) -> Client {
    let service = tower::service_fn(move |_: Request<Body>| async move {
        let items: Vec<_> = (0..items).map(|index| json!({ "metadata": { "name": format!("n{index}") } })).collect();
        let list = json!({ "apiVersion": "v1", "kind": "NamespaceList", "metadata": {}, "items": items });
        Ok::<_, std::io::Error>(Response::new(Body::from(list.to_string().into_bytes())))
    });
    Client::new(service, "default")
}

#[tokio::test]
async fn a_reconcile_runs_over_a_fake_provider() {
    let fake = Arc::new(FakeClientProvider::<Client>::empty());
    let context = Context::new(Arc::clone(&fake).into());
    let work = object("6f2a1a0e-0d7c-4a57-9d0f-2f8b6a0f3d11");

    // No such cluster: its watch will bring the reconcile.
    assert_eq!(later(reconcile(&work, &cluster(None), &context).await), None);

    let first = fake.set_client(&east(), client_of(1)).unwrap();
    // The status trails the connection.
    assert_eq!(later(reconcile(&work, &cluster(None), &context).await), None);
    let (reset, cache) = done(reconcile(&work, &cluster(Some(first)), &context).await);
    assert!(reset, "recovery is announced");
    assert_eq!(cache.namespaces, 1);

    let (reset, again) = done(reconcile(&work, &cluster(Some(first)), &context).await);
    assert!(!reset && Arc::ptr_eq(&cache, &again));

    let second = fake.set_client(&east(), client_of(2)).unwrap();
    let (reset, rebuilt) = done(reconcile(&work, &cluster(Some(second)), &context).await);
    assert!(reset && cache.is_torn_down() && !rebuilt.is_torn_down());
    assert_eq!(rebuilt.namespaces, 2);

    fake.set_cluster_error(&east(), std::io::Error::from(std::io::ErrorKind::TimedOut)).unwrap();
    let other = object("b34f5c2e-53a4-4b76-b1a8-7d9f0a1c2e33");
    assert_eq!(later(reconcile(&other, &cluster(Some(second)), &context).await), Some(FALLBACK));

    for object in [work, other] {
        context.clients.forget(&*object);
        context.caches.forget(&*object);
    }
    assert!(rebuilt.is_torn_down());
    assert_eq!((context.clients.objects(), context.caches.objects()), (0, 0));
}

#[tokio::test]
async fn the_same_reconcile_runs_over_a_fleet() {
    let server = server("east").await;
    let fleet = Fleet::clone(&builder().build());
    fleet.upsert(east(), config(&server, &server.admin()));
    let context = Context::new(fleet.clone().into());
    let work = object("6f2a1a0e-0d7c-4a57-9d0f-2f8b6a0f3d11");

    assert!(later(reconcile(&work, &cluster(None), &context).await).is_some(), "not connected yet");
    let first = fleet.wait_connected(&east()).await.unwrap();
    let (reset, cache) = done(reconcile(&work, &cluster(Some(first)), &context).await);
    assert!(reset && cache.namespaces > 0);

    let second = fleet.reset(&east()).await.unwrap();
    assert_eq!(later(reconcile(&work, &cluster(Some(first)), &context).await), None, "the status trails");
    let (reset, rebuilt) = done(reconcile(&work, &cluster(Some(second)), &context).await);
    assert!(reset && cache.is_torn_down() && !rebuilt.is_torn_down());

    context.caches.forget_cluster(&*cluster(None));
    context.clients.forget_cluster(&*cluster(None));
    assert!(rebuilt.is_torn_down());
    assert!(!context.caches.discard(&*work, &*cluster(None), &rebuilt), "it is gone already");
}

#[tokio::test]
async fn an_object_that_is_created_again_inherits_nothing() {
    let fake = Arc::new(FakeClientProvider::<Client>::empty());
    let clients = ClientManager::new(Arc::clone(&fake));
    let first = fake.set_client(&east(), client_of(1)).unwrap();
    let before = object("6f2a1a0e-0d7c-4a57-9d0f-2f8b6a0f3d11");
    clients.client(&*before, &*cluster(Some(first))).await.unwrap();

    let second = fake.set_client(&east(), client_of(1)).unwrap();
    let after = object("b34f5c2e-53a4-4b76-b1a8-7d9f0a1c2e33");
    assert!(!clients.refresh(&*after, &*cluster(Some(second))).is_reset());
    assert!(clients.refresh(&*before, &*cluster(Some(second))).is_reset());
}
