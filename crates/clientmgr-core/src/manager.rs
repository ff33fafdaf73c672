//! [`ClientManager`]: the rules applied to one provider and many objects. A thin shell: it looks up, asks, decides by
//! [`rules`](crate::rules), stores. It spawns nothing, keeps no time and holds no lock across an await.

use std::fmt;

use crate::entries::{Entries, Request};
use crate::rules::{self, Admission, Refresh};
use crate::{ClientError, ClientProvider, ClusterObject, Connection, Key, ProviderError, Revision};

/// Hands out clients, and tells every object when the client it holds is no longer right.
///
/// `P` is the provider of the clients and `O` what an object is known by. A good object key is unique for all time, as
/// a Kubernetes UID is: then an object that is deleted and created again inherits nothing.
///
/// In every reconcile, for every cluster the object uses:
///
/// 1. Take the cluster object that the object refers to, from a cache or the API.
/// 2. Call [`refresh`](Self::refresh). On [`Refresh::Reset`] drop all state tied to the old client.
/// 3. Call [`client`](Self::client) as often as needed.
///
/// When the object is gone, call [`forget`](Self::forget). Whatever lives on a client, a watch or a cache, is better kept
/// in [`BoundStates`](crate::BoundStates), which does 2 and 3 in one step.
///
/// All methods take `&self`; share the manager behind a reference or an `Arc`. An object costs its key and 16 bytes
/// while it uses one cluster, plus the map's own overhead.
///
/// # Example
///
/// ```
/// use clientmgr_core::{
///     ClientError, ClientManager, ClientProvider, ConnectedAt, NamespacedName, ObservedCluster,
/// };
///
/// async fn reconcile<P>(clients: &ClientManager<P, u32>, object: u32) -> Result<(), ClientError>
/// where
///     P: ClientProvider<Client = String, Key = NamespacedName, Revision = ConnectedAt>,
/// {
///     // 1. The cluster object, as a cache has it.
///     let cluster = ObservedCluster {
///         key: NamespacedName::new("fleet", "east"),
///         revision: Some(ConnectedAt::now()),
///     };
///
///     // 2. Is what was built on the last client still right?
///     if clients.refresh(&object, &cluster).is_reset() {
///         // Drop all state tied to the old client.
///     }
///
///     // 3. The client to use.
///     let client = clients.client(&object, &cluster).await?;
///     println!("working on {client}");
///     Ok(())
/// }
/// ```
pub struct ClientManager<P: ClientProvider, O> {
    provider: P,
    entries: Entries<O, P::Key, P::Revision>,
}

impl<P: ClientProvider, O: Key> ClientManager<P, O> {
    /// A manager of the clients that `provider` holds. No object has asked for one yet.
    pub fn new(provider: P) -> Self {
        Self { provider, entries: Entries::new() }
    }

    /// The provider.
    pub fn provider(&self) -> &P {
        &self.provider
    }

    /// How many objects are remembered: those that asked for a client and were not forgotten.
    pub fn objects(&self) -> usize {
        self.entries.objects()
    }

    /// Tells whether `object` must drop the state it built on its client of `cluster`.
    ///
    /// Call it once in every reconcile, before [`client`](Self::client). It decides by what the cluster object tells,
    /// never asks the provider, cannot fail and allocates nothing.
    ///
    /// [`Refresh::Reset`] is said when the connection is not the one whose client `object` holds, and when `object`
    /// asked in vain before it ever held one, so that recovery is noticed too. It is said again by every call until
    /// [`client`](Self::client) succeeds: a reconcile that is interrupted between the two loses nothing. An object that
    /// has never asked has nothing to drop. A cluster object that is known to be *older* than the client held comes
    /// from a lagging cache and resets nothing.
    pub fn refresh(
        &self,
        object: &O,
        cluster: &(impl ClusterObject<Key = P::Key, Revision = P::Revision> + ?Sized),
    ) -> Refresh {
        let observed = cluster.revision();
        self.entries.decide(object, |key| cluster.has_key(key), |entry| rules::refresh(entry, observed.as_ref()))
    }

    /// A client of `cluster` for `object`: always one of the connection that the cluster object tells of.
    ///
    /// # Errors
    ///
    /// [`ClientError::next_step`] tells what to do about each:
    ///
    /// - [`NotFound`](ClientError::NotFound): the provider knows no such cluster.
    /// - [`ClusterOutdated`](ClientError::ClusterOutdated): the cluster object trails the connection, or tells of none.
    /// - [`RefreshRequired`](ClientError::RefreshRequired): [`refresh`](Self::refresh) was not called first.
    /// - [`Unavailable`](ClientError::Unavailable), [`Incompatible`](ClientError::Incompatible): the provider's word,
    ///   its error kept as the source.
    /// - [`Forgotten`](ClientError::Forgotten): the object or the cluster was forgotten during the call.
    ///
    /// # Cancel safety
    ///
    /// The only await is the provider's. A future dropped there leaves everything as if it had never been called.
    pub async fn client(
        &self,
        object: &O,
        cluster: &(impl ClusterObject<Key = P::Key, Revision = P::Revision> + ?Sized),
    ) -> Result<P::Client, ClientError<P::Key, P::Revision>> {
        let key = &*cluster.key();
        let observed = cluster.revision();
        let observed = observed.as_ref();
        let request = self.entries.request(object, key);
        let answer = self.provider.connection(key).await;
        settle(request, key, observed, answer)
    }

    /// Forgets `object` on all clusters: call it when the object is deleted.
    ///
    /// Takes one step, however many objects there are. A call of [`client`](Self::client) that has asked its provider and
    /// has no answer yet ends in [`ClientError::Forgotten`] and leaves no trace.
    pub fn forget(&self, object: &O) {
        self.entries.forget(object);
    }

    /// Forgets `object` on all clusters but those that `keep` is true of: for an object that names other clusters now
    /// than it did before.
    pub fn retain(&self, object: &O, keep: impl Fn(&P::Key) -> bool) {
        self.entries.retain(object, keep);
    }

    /// Forgets every object that `keep` returns false for, for example those that a list no longer contains.
    ///
    /// `keep` runs without a lock. An object that asks for its first client meanwhile is kept.
    pub fn retain_objects(&self, keep: impl Fn(&O) -> bool) {
        self.entries.retain_objects(keep);
    }

    /// Forgets `cluster` for all objects: call it when the cluster is gone for good.
    ///
    /// Objects that still have state on it are then not told to drop it. Looks at every object once.
    pub fn forget_cluster(&self, cluster: &P::Key) {
        self.entries.forget_cluster(cluster);
    }
}

impl<P: ClientProvider, O: Key> fmt::Debug for ClientManager<P, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientManager").field("objects", &self.objects()).finish_non_exhaustive()
    }
}

/// Judges the provider's answer and remembers what follows from it.
#[inline]
fn settle<O: Key, C, K: Key, R: Revision>(
    request: Request<'_, O, K, R>,
    cluster: &K,
    observed: Option<&R>,
    answer: Result<Connection<C, R>, ProviderError>,
) -> Result<C, ClientError<K, R>> {
    match answer {
        Ok(connection) => {
            let admission = request.settle(|entry| rules::admit(entry, observed, &connection.revision));
            conclude(admission, cluster, observed, connection)
        }
        Err(error) => {
            let settled = request.settle(|entry| (rules::after_failure(entry), ()));
            Err(conclude_failure(settled, cluster, error))
        }
    }
}

/// What a caller is told whose cluster has a connection. `None` where it was forgotten while it waited.
#[inline]
pub(crate) fn conclude<C, K: Key, R: Revision>(
    admission: Option<Admission<R>>,
    cluster: &K,
    observed: Option<&R>,
    connection: Connection<C, R>,
) -> Result<C, ClientError<K, R>> {
    let Connection { client, revision: current } = connection;
    match admission {
        Some(Admission::Granted) => Ok(client),
        Some(Admission::ClusterOutdated) => {
            Err(ClientError::ClusterOutdated { cluster: cluster.clone(), observed: observed.cloned(), current })
        }
        Some(Admission::RefreshRequired { held }) => {
            Err(ClientError::RefreshRequired { cluster: cluster.clone(), held, current })
        }
        None => Err(ClientError::Forgotten { cluster: cluster.clone() }),
    }
}

/// What a caller is told whose cluster has no connection. `None` where it was forgotten while it waited.
pub(crate) fn conclude_failure<K: Key, R: Revision>(
    settled: Option<()>,
    cluster: &K,
    error: ProviderError,
) -> ClientError<K, R> {
    let cluster = cluster.clone();
    match (settled, error) {
        (None, _) => ClientError::Forgotten { cluster },
        (Some(()), ProviderError::NotFound) => ClientError::NotFound { cluster },
        (Some(()), ProviderError::Unavailable { source, retry_after }) => {
            ClientError::Unavailable { cluster, source, retry_after }
        }
        (Some(()), ProviderError::Incompatible { source }) => ClientError::Incompatible { cluster, source },
    }
}
