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
    fn call(&self, object: usize);
}

/// The objects' UIDs. They are random, so no two neighbours in memory follow each other when objects are visited in turn.
pub struct Objects {
    pub uids: Vec<Uid>,
}

impl Objects {
    pub fn new(count: usize) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            u128::from(state)
        };
        Self { uids: (0..count).map(|_| random() << 64 | random()).collect() }
    }

    /// Which cluster an object uses: any, so that two threads do not go through the clusters in step.
    fn cluster_of(&self, object: usize) -> usize {
        usize::try_from((self.uids[object] >> 64) % CLUSTERS as u128).expect("a small number")
    }
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
    objects: &'a Objects,
}

impl<'a, C: Client> Managed<'a, C> {
    pub fn standing(clusters: &'a [ObservedCluster], objects: &'a Objects, client: impl Fn() -> C) -> Self {
        let subject = Self { manager: ClientManager::new(Provider::of(clusters, client)), clusters, objects };
        (0..objects.uids.len()).for_each(|object| subject.call(object));
        assert_eq!(subject.manager.objects(), objects.uids.len());
        subject
    }

    pub fn refresh(&self, object: usize) {
        let said = self.manager.refresh(&self.objects.uids[object], &self.clusters[self.objects.cluster_of(object)]);
        assert!(!black_box(said).is_reset());
    }

    pub fn client(&self, object: usize) {
        let client =
            pin!(self.manager.client(&self.objects.uids[object], &self.clusters[self.objects.cluster_of(object)]));
        black_box(ready(client).expect("standing"));
    }
}

impl<C: Client> Subject for Managed<'_, C> {
    fn call(&self, object: usize) {
        self.refresh(object);
        self.client(object);
    }
}

/// The least that a manager must do: read its own map and the provider's, box a future, clone the client.
pub struct Floor<'a, C: Client> {
    held: Map<Uid, u64>,
    provider: Provider<C>,
    clusters: &'a [ObservedCluster],
    objects: &'a Objects,
}

impl<'a, C: Client> Floor<'a, C> {
    pub fn standing(clusters: &'a [ObservedCluster], objects: &'a Objects, client: impl Fn() -> C) -> Self {
        let held = map();
        for uid in &objects.uids {
            held.insert(*uid, 0);
        }
        Self { held, provider: Provider::of(clusters, client), clusters, objects }
    }
}

impl<C: Client> Subject for Floor<'_, C> {
    fn call(&self, object: usize) {
        black_box(self.held.get(&self.objects.uids[object]).map(|held| *held.value()));
        let mut asking = self.provider.connection(&self.clusters[self.objects.cluster_of(object)].key);
        black_box(ready(asking.as_mut()).expect("connected"));
    }
}

/// The shape of the Go original: one lock, keys of text made for each call, an entry for each object and cluster.
pub struct OneLock<'a, C: Client> {
    held: Mutex<HashMap<(String, String), ConnectedAt>>,
    provider: Mutex<HashMap<String, Held<C>>>,
    clusters: &'a [ObservedCluster],
    objects: &'a Objects,
    names: Vec<String>,
}

impl<'a, C: Client> OneLock<'a, C> {
    pub fn standing(clusters: &'a [ObservedCluster], objects: &'a Objects, client: impl Fn() -> C) -> Self {
        let connection = |cluster: &ObservedCluster| {
            let revision = cluster.revision.expect("all are connected");
            (cluster.key.to_string(), Connection { client: client(), revision })
        };
        let names = (0..objects.uids.len()).map(|index| format!("namespace/object-{index}")).collect();
        let provider = Mutex::new(clusters.iter().map(connection).collect());
        let subject = Self { held: Mutex::default(), provider, clusters, objects, names };
        (0..objects.uids.len()).for_each(|object| subject.call(object));
        subject
    }
}

impl<C: Client> Subject for OneLock<'_, C> {
    fn call(&self, object: usize) {
        let cluster = &self.clusters[self.objects.cluster_of(object)];
        let key = || (self.names[object].clone(), cluster.key.to_string());
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
