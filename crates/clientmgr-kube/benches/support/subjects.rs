//! What is measured of a manager: kube objects, the clusters they use, and three ways to get a client for one.

#![expect(unreachable_pub, reason = "a module of a bench, which has no public interface")]

use std::collections::HashMap;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use clientmgr_kube::{ClientManager, ClientProvider, ClusterObject, ConnectedAt, Connection, NamespacedName};
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;

pub const CLUSTERS: usize = 100;

/// An object as a controller has it, and which cluster it uses.
pub struct Object {
    pub object: ConfigMap,
    pub cluster: usize,
}

/// As many objects. Their UIDs are random, as UIDs are, and so are their clusters.
pub fn objects(count: usize) -> Vec<Object> {
    let mut random = fastrand::Rng::with_seed(0);
    let mut object = |number| Object {
        object: ConfigMap {
            metadata: ObjectMeta {
                namespace: Some("team".into()),
                name: Some(format!("object-{number}")),
                uid: Some(uuid::Uuid::from_u128(random.u128(..)).to_string()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        },
        cluster: random.usize(..CLUSTERS),
    };
    (0..count).map(&mut object).collect()
}

/// A cluster object as a hub has it: it holds its name, and no key.
pub struct Cluster {
    name: String,
    revision: ConnectedAt,
}

impl ClusterObject for Cluster {
    fn cluster_name(&self) -> (&str, &str) {
        ("fleet", &self.name)
    }

    fn connected_at(&self) -> Option<ConnectedAt> {
        Some(self.revision)
    }
}

/// The keys of all clusters.
pub fn keys() -> impl Iterator<Item = NamespacedName> {
    (0..CLUSTERS).map(|index| NamespacedName::new("fleet", &format!("cluster-{index}")))
}

/// A provider of what is measured, whose clusters are all connected.
pub trait Source: ClientProvider<Key = NamespacedName, Revision = ConnectedAt> {}
impl<P: ClientProvider<Key = NamespacedName, Revision = ConnectedAt>> Source for P {}

/// The cluster objects of a provider, up to date, and its connections.
pub fn connected<P: Source>(provider: &P) -> (Vec<Cluster>, Vec<Connection<P::Client, ConnectedAt>>) {
    let held = keys().map(|key| {
        let connection = ready(provider.connection(&key)).expect("connected");
        (Cluster { name: key.name().to_owned(), revision: connection.revision }, connection)
    });
    held.unzip()
}

/// A way to get clients, whose one call for a standing object is measured.
pub trait Subject: Sync {
    fn call(&self, object: &Object);
}

/// The manager, as users call it.
pub struct Managed<'a, P: Source> {
    pub manager: ClientManager<P>,
    clusters: &'a [Cluster],
}

impl<'a, P: Source> Managed<'a, P> {
    pub fn standing(provider: P, clusters: &'a [Cluster], objects: &[Object]) -> Self {
        let subject = Self { manager: ClientManager::new(provider), clusters };
        for object in objects {
            subject.call(object);
        }
        assert_eq!(subject.manager.objects(), objects.len());
        subject
    }

    pub fn refresh(&self, object: &Object) {
        assert!(!black_box(self.manager.refresh(&object.object, &self.clusters[object.cluster])).is_reset());
    }

    pub fn client(&self, object: &Object) {
        let client = self.manager.client(&object.object, &self.clusters[object.cluster]);
        black_box(ready(client).expect("standing"));
    }
}

impl<P: Source> Subject for Managed<'_, P> {
    fn call(&self, object: &Object) {
        self.refresh(object);
        self.client(object);
    }
}

/// The shape of the Go original: one lock, keys of text made for each call, an entry for each object and cluster.
pub struct OneLock<'a, C> {
    held: Mutex<HashMap<(String, String), ConnectedAt>>,
    provider: Mutex<HashMap<String, Connection<C, ConnectedAt>>>,
    clusters: &'a [Cluster],
}

impl<'a, C: Clone + Send + Sync> OneLock<'a, C> {
    pub fn standing(clusters: &'a [Cluster], connections: &[Connection<C, ConnectedAt>], objects: &[Object]) -> Self {
        let connection =
            |held: &Connection<C, ConnectedAt>| Connection { client: held.client.clone(), revision: held.revision };
        let provider = clusters.iter().zip(connections).map(|(cluster, held)| (text(cluster), connection(held)));
        let subject = Self { held: Mutex::default(), provider: Mutex::new(provider.collect()), clusters };
        for object in objects {
            subject.call(object);
        }
        subject
    }
}

fn text(cluster: &Cluster) -> String {
    let (namespace, name) = cluster.cluster_name();
    [namespace, "/", name].concat()
}

impl<C: Clone + Send + Sync> Subject for OneLock<'_, C> {
    fn call(&self, object: &Object) {
        let cluster = &self.clusters[object.cluster];
        let key = || {
            let namespace = object.object.namespace().unwrap_or_default();
            ([&namespace, "/", &object.object.name_any()].concat(), text(cluster))
        };
        // refresh
        let held = self.held.lock().expect("not poisoned").get(&key()).copied();
        black_box(held != cluster.connected_at());
        // client
        let asking: BoxFuture<'_, Option<(C, ConnectedAt)>> = Box::pin(async {
            let provider = self.provider.lock().expect("not poisoned");
            provider.get(&text(cluster)).map(|held| (held.client.clone(), held.revision))
        });
        let (client, revision) = ready(asking).expect("connected");
        self.held.lock().expect("not poisoned").insert(key(), revision);
        black_box(client);
    }
}

pub fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the provider answers from memory"),
    }
}
