//! What both benches share: objects and clusters, a provider over a map, the floor, and a manager of the Go original's
//! shape.
#![expect(unreachable_pub, reason = "shared by two bench binaries")]

use std::collections::HashMap;
use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use clientmgr_core::{
    ClientManager, ClientProvider, ConnectedAt, Connection, NamespacedName, ObservedCluster, ProviderError, async_trait,
};
use dashmap::DashMap;
use foldhash::fast::RandomState;

pub const CLUSTERS: usize = 100;

/// An object's UID.
pub type Uid = u128;
pub type Client = Arc<str>;
type Held = Connection<Client, ConnectedAt>;
type Map<K, V> = DashMap<K, V, RandomState>;

/// The floor may not lose because its map has fewer shards than the manager's.
const SHARDS: usize = 64;

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
}

pub fn clusters() -> Vec<ObservedCluster> {
    (0..CLUSTERS)
        .map(|index| ObservedCluster {
            key: NamespacedName::new("fleet", &format!("cluster-{index}")),
            revision: Some(ConnectedAt::now()),
        })
        .collect()
}

/// Answers from a map, as a fleet does.
pub struct Provider(Map<NamespacedName, Held>);

impl Provider {
    fn of(clusters: &[ObservedCluster]) -> Self {
        let connections = map();
        for cluster in clusters {
            let revision = cluster.revision.expect("all are connected");
            connections.insert(cluster.key.clone(), Connection { client: cluster.key.to_string().into(), revision });
        }
        Self(connections)
    }
}

#[async_trait]
impl ClientProvider for Provider {
    type Client = Client;
    type Key = NamespacedName;
    type Revision = ConnectedAt;

    async fn connection(&self, cluster: &NamespacedName) -> Result<Connection<Client, ConnectedAt>, ProviderError> {
        self.0.get(cluster).map(|connection| connection.value().clone()).ok_or(ProviderError::NotFound)
    }
}

/// The subject of the benches: `refresh` and `client`.
pub struct Managed<'a> {
    pub manager: ClientManager<Provider, Uid>,
    clusters: &'a [ObservedCluster],
    objects: &'a Objects,
}

impl<'a> Managed<'a> {
    pub fn standing(clusters: &'a [ObservedCluster], objects: &'a Objects) -> Self {
        let subject = Self { manager: ClientManager::new(Provider::of(clusters)), clusters, objects };
        (0..objects.uids.len()).for_each(|object| subject.call(object));
        assert_eq!(subject.manager.objects(), objects.uids.len());
        subject
    }

    pub fn refresh(&self, object: usize) {
        let said = self.manager.refresh(&self.objects.uids[object], &self.clusters[object % CLUSTERS]);
        assert!(!black_box(said).is_reset());
    }

    pub fn client(&self, object: usize) {
        let client = pin!(self.manager.client(&self.objects.uids[object], &self.clusters[object % CLUSTERS]));
        black_box(ready(client).expect("standing"));
    }
}

impl Subject for Managed<'_> {
    fn call(&self, object: usize) {
        self.refresh(object);
        self.client(object);
    }
}

/// What no manager of many clusters can do without: two map reads, a client clone, a boxed future.
pub struct Floor<'a> {
    held: Map<Uid, u64>,
    provider: Provider,
    clusters: &'a [ObservedCluster],
    objects: &'a Objects,
}

impl<'a> Floor<'a> {
    pub fn standing(clusters: &'a [ObservedCluster], objects: &'a Objects) -> Self {
        let held = map();
        for uid in &objects.uids {
            held.insert(*uid, 0);
        }
        Self { held, provider: Provider::of(clusters), clusters, objects }
    }
}

impl Subject for Floor<'_> {
    fn call(&self, object: usize) {
        black_box(self.held.get(&self.objects.uids[object]).map(|held| *held.value()));
        let mut asking = self.provider.connection(&self.clusters[object % CLUSTERS].key);
        black_box(ready(asking.as_mut()).expect("connected"));
    }
}

/// The shape of the Go original: one lock, keys of text made for each call, an entry for each object and cluster.
pub struct OneLock<'a> {
    held: Mutex<HashMap<(String, String), ConnectedAt>>,
    provider: Mutex<HashMap<String, Held>>,
    clusters: &'a [ObservedCluster],
    names: Vec<String>,
}

impl<'a> OneLock<'a> {
    pub fn standing(clusters: &'a [ObservedCluster], objects: &'a Objects) -> Self {
        let connection = |cluster: &ObservedCluster| {
            let revision = cluster.revision.expect("all are connected");
            (cluster.key.to_string(), Connection { client: cluster.key.to_string().into(), revision })
        };
        let names = (0..objects.uids.len()).map(|index| format!("namespace/object-{index}")).collect();
        let provider = Mutex::new(clusters.iter().map(connection).collect());
        let subject = Self { held: Mutex::default(), provider, clusters, names };
        (0..objects.uids.len()).for_each(|object| subject.call(object));
        subject
    }
}

impl Subject for OneLock<'_> {
    fn call(&self, object: usize) {
        let cluster = &self.clusters[object % CLUSTERS];
        let key = || (self.names[object].clone(), cluster.key.to_string());
        // refresh
        let held = self.held.lock().expect("not poisoned").get(&key()).copied();
        black_box(held != cluster.revision);
        // client
        let asking: Pin<Box<dyn Future<Output = Option<Held>> + Send>> =
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
