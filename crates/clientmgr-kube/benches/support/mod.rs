//! What both benches share: objects and clusters, a provider over a map, the floor, and a manager of the Go original's
//! shape. Generic in the client: a `kube::Client`, which takes a while to clone, or a bare handle.
#![expect(unreachable_pub, reason = "shared by two bench binaries")]

use std::collections::HashMap;
use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use clientmgr_core::{
    ClientManager, ClientProvider, ConnectedAt, Connection, NamespacedName, ObservedCluster, ProviderError, async_trait,
};
use dashmap::DashMap;
use foldhash::fast::RandomState;

pub const CLUSTERS: usize = 100;

/// An object's UID.
pub type Uid = u128;
type Held<C> = Connection<C, ConnectedAt>;
type Map<K, V> = DashMap<K, V, RandomState>;

/// The floor may not lose because its map has fewer shards than the manager's.
const SHARDS: usize = 256;

fn map<K: Eq + std::hash::Hash, V>() -> Map<K, V> {
    DashMap::with_hasher_and_shard_amount(RandomState::default(), SHARDS)
}

/// A way to get clients, whose one call for a standing object is measured.
pub trait Subject: Sync {
    fn call(&self, object: &Object);
}

/// An object, and the cluster that it uses.
pub struct Object {
    pub uid: Uid,
    pub cluster: usize,
    name: String,
}

/// As many objects. Their UIDs are random, as UIDs are, and so are their clusters.
pub fn objects(count: usize) -> Vec<Object> {
    let mut random = fastrand::Rng::with_seed(0);
    let mut object = |number| Object {
        uid: random.u128(..),
        cluster: random.usize(..CLUSTERS),
        name: format!("namespace/object-{number}"),
    };
    (0..count).map(&mut object).collect()
}

pub fn clusters() -> Vec<ObservedCluster> {
    (0..CLUSTERS)
        .map(|index| ObservedCluster {
            key: NamespacedName::new("fleet", &format!("cluster-{index}")),
            revision: Some(ConnectedAt::now()),
        })
        .collect()
}

/// What can be measured: a client.
pub trait Client: Clone + Send + Sync + 'static {}
impl<C: Clone + Send + Sync + 'static> Client for C {}

/// Answers from a map, as a fleet does.
pub struct Provider<C>(Map<NamespacedName, Held<C>>);

impl<C: Client> Provider<C> {
    fn of(clusters: &[ObservedCluster], client: impl Fn() -> C) -> Self {
        let connections = map();
        for cluster in clusters {
            let revision = cluster.revision.expect("all are connected");
            connections.insert(cluster.key.clone(), Connection { client: client(), revision });
        }
        Self(connections)
    }
}

#[async_trait]
impl<C: Client> ClientProvider for Provider<C> {
    type Client = C;
    type Key = NamespacedName;
    type Revision = ConnectedAt;

    async fn connection(&self, cluster: &NamespacedName) -> Result<Held<C>, ProviderError> {
        self.0.get(cluster).map(|connection| connection.value().clone()).ok_or(ProviderError::NotFound)
    }
}

/// The subject of the benches: `refresh` and `client`.
pub struct Managed<'a, C: Client> {
    pub manager: ClientManager<Provider<C>, Uid>,
    clusters: &'a [ObservedCluster],
}

impl<'a, C: Client> Managed<'a, C> {
    pub fn standing(clusters: &'a [ObservedCluster], objects: &[Object], client: impl Fn() -> C) -> Self {
        let subject = Self { manager: ClientManager::new(Provider::of(clusters, client)), clusters };
        for object in objects {
            subject.call(object);
        }
        assert_eq!(subject.manager.objects(), objects.len());
        subject
    }

    pub fn refresh(&self, object: &Object) {
        assert!(!black_box(self.manager.refresh(&object.uid, &self.clusters[object.cluster])).is_reset());
    }

    pub fn client(&self, object: &Object) {
        let client = pin!(self.manager.client(&object.uid, &self.clusters[object.cluster]));
        black_box(ready(client).expect("standing"));
    }
}

impl<C: Client> Subject for Managed<'_, C> {
    fn call(&self, object: &Object) {
        self.refresh(object);
        self.client(object);
    }
}

/// The least that a manager must do: read its own map and the provider's, box a future, clone the client.
pub struct Floor<'a, C: Client> {
    held: Map<Uid, u64>,
    provider: Provider<C>,
    clusters: &'a [ObservedCluster],
}

impl<'a, C: Client> Floor<'a, C> {
    pub fn standing(clusters: &'a [ObservedCluster], objects: &[Object], client: impl Fn() -> C) -> Self {
        let held = map();
        for object in objects {
            held.insert(object.uid, 0);
        }
        Self { held, provider: Provider::of(clusters, client), clusters }
    }
}

impl<C: Client> Subject for Floor<'_, C> {
    fn call(&self, object: &Object) {
        black_box(self.held.get(&object.uid).map(|held| *held.value()));
        let mut asking = self.provider.connection(&self.clusters[object.cluster].key);
        black_box(ready(asking.as_mut()).expect("connected"));
    }
}

/// The shape of the Go original: one lock, keys of text made for each call, an entry for each object and cluster.
pub struct OneLock<'a, C: Client> {
    held: Mutex<HashMap<(String, String), ConnectedAt>>,
    provider: Mutex<HashMap<String, Held<C>>>,
    clusters: &'a [ObservedCluster],
}

impl<'a, C: Client> OneLock<'a, C> {
    pub fn standing(clusters: &'a [ObservedCluster], objects: &[Object], client: impl Fn() -> C) -> Self {
        let connection = |cluster: &ObservedCluster| {
            let revision = cluster.revision.expect("all are connected");
            (cluster.key.to_string(), Connection { client: client(), revision })
        };
        let provider = Mutex::new(clusters.iter().map(connection).collect());
        let subject = Self { held: Mutex::default(), provider, clusters };
        for object in objects {
            subject.call(object);
        }
        subject
    }
}

impl<C: Client> Subject for OneLock<'_, C> {
    fn call(&self, object: &Object) {
        let cluster = &self.clusters[object.cluster];
        let key = || (object.name.clone(), cluster.key.to_string());
        // refresh
        let held = self.held.lock().expect("not poisoned").get(&key()).copied();
        black_box(held != cluster.revision);
        // client
        let asking: Pin<Box<dyn Future<Output = Option<Held<C>>> + Send>> =
            Box::pin(async { self.provider.lock().expect("not poisoned").get(&cluster.key.to_string()).cloned() });
        let connection = ready(pin!(asking)).expect("connected");
        self.held.lock().expect("not poisoned").insert(key(), connection.revision);
        black_box(connection.client);
    }
}

fn ready<F: Future + ?Sized>(future: Pin<&mut F>) -> F::Output {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the provider answers from memory"),
    }
}
