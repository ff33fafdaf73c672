//! What both benches share: objects and clusters, the floor, and a manager of the Go original's shape. Generic in the
//! provider: a fleet, whose `kube::Client`s take a while to clone, or a map of bare handles.
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

/// The keys of all clusters.
pub fn keys() -> impl Iterator<Item = NamespacedName> {
    (0..CLUSTERS).map(|index| NamespacedName::new("fleet", &format!("cluster-{index}")))
}

/// Clusters that are connected: what a cluster object tells of each, and the client there is.
pub struct Connected<C> {
    pub clusters: Vec<ObservedCluster>,
    pub clients: Vec<C>,
}

impl<C: Client> Connected<C> {
    pub fn of(clusters: impl IntoIterator<Item = (NamespacedName, Held<C>)>) -> Self {
        let told = |(key, held): (_, Held<C>)| (ObservedCluster { key, revision: Some(held.revision) }, held.client);
        let (clusters, clients) = clusters.into_iter().map(told).unzip();
        Self { clusters, clients }
    }

    pub fn handles(client: impl Fn() -> C) -> Self {
        Self::of(keys().map(|key| (key, Connection { client: client(), revision: ConnectedAt::now() })))
    }

    fn held(&self) -> impl Iterator<Item = (&NamespacedName, Held<C>)> {
        self.clusters.iter().zip(&self.clients).map(|(cluster, client)| {
            let revision = cluster.revision.expect("all are connected");
            (&cluster.key, Connection { client: client.clone(), revision })
        })
    }
}

/// What can be measured: a client.
pub trait Client: Clone + Send + Sync + 'static {}
impl<C: Clone + Send + Sync + 'static> Client for C {}

/// The least that a provider must do, as most would write it: read a concurrent map.
pub struct Provider<C>(Map<NamespacedName, Held<C>>);

impl<C: Client> Provider<C> {
    pub fn of(connected: &Connected<C>) -> Self {
        let connections = map();
        for (key, held) in connected.held() {
            connections.insert(key.clone(), held);
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

/// A provider of what can be measured.
pub trait Source: ClientProvider<Key = NamespacedName, Revision = ConnectedAt, Client: Client> {}
impl<P: ClientProvider<Key = NamespacedName, Revision = ConnectedAt, Client: Client>> Source for P {}

/// The subject of the benches: `refresh` and `client`.
pub struct Managed<'a, P: Source> {
    pub manager: ClientManager<P, Uid>,
    clusters: &'a [ObservedCluster],
}

impl<'a, P: Source> Managed<'a, P> {
    pub fn standing(provider: P, clusters: &'a [ObservedCluster], objects: &[Object]) -> Self {
        let subject = Self { manager: ClientManager::new(provider), clusters };
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

impl<P: Source> Subject for Managed<'_, P> {
    fn call(&self, object: &Object) {
        self.refresh(object);
        self.client(object);
    }
}

/// The least that a manager and a provider must do, as most would write it: read a concurrent map each, box a future,
/// clone the client.
pub struct Floor<'a, C: Client> {
    held: Map<Uid, u64>,
    provider: Provider<C>,
    clusters: &'a [ObservedCluster],
}

impl<'a, C: Client> Floor<'a, C> {
    pub fn standing(connected: &'a Connected<C>, objects: &[Object]) -> Self {
        let held = map();
        for object in objects {
            held.insert(object.uid, 0);
        }
        Self { held, provider: Provider::of(connected), clusters: &connected.clusters }
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
    pub fn standing(connected: &'a Connected<C>, objects: &[Object]) -> Self {
        let provider = connected.held().map(|(key, held)| (key.to_string(), held)).collect();
        let subject = Self { held: Mutex::default(), provider: Mutex::new(provider), clusters: &connected.clusters };
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
