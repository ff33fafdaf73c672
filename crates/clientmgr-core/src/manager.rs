//! [`ClientManager`]: the rules applied to one provider and many objects. A thin shell around [`rules`](crate::rules): it
//! asks the provider and stores what was decided. It spawns nothing, keeps no time and holds no lock across an await.

use std::fmt;

use crate::cluster::ClusterObject;
use crate::entries::{Entries, Request};
use crate::error::{ClientError, ProviderError};
use crate::key::Key;
use crate::provider::{ClientProvider, Connection};
use crate::revision::Revision;
use crate::rules::{self, Admission, Refresh};

/// Hands out clients, and reports to each object when the client it holds is stale.
///
/// `P` is the provider of the clients and `O` the key of an object. A good key is unique for all time, as a Kubernetes UID
/// is: then an object that is deleted and created again inherits nothing.
///
/// In every reconcile, for every cluster that the object uses:
///
/// 1. Get the cluster object that the object refers to, from a cache or the API.
/// 2. Call [`refresh`](Self::refresh). On [`Refresh::Reset`] drop all state tied to the old client.
/// 3. Call [`client`](Self::client) as often as needed.
///
/// When the object is deleted, call [`forget`](Self::forget). Keep state that lives on a client, such as a watch or a
/// cache, in [`BoundStates`](crate::BoundStates), which does 2 and 3 in one step.
///
/// All methods take `&self`; share the manager behind a reference or an `Arc`. An object that uses one cluster costs its
/// key and 16 bytes, plus the map's overhead.
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
    /// Returns a manager of the clients that `provider` holds. It knows no object yet.
    pub fn new(provider: P) -> Self {
        Self { provider, entries: Entries::new() }
    }

    /// Returns the provider.
    pub fn provider(&self) -> &P {
        &self.provider
    }

    /// Returns how many objects are remembered: those that requested a client and were not forgotten.
    pub fn objects(&self) -> usize {
        self.entries.objects()
    }

    /// Returns whether `object` must drop the state it built on its client of `cluster`.
    ///
    /// Call it once in every reconcile, before [`client`](Self::client). It compares the revision in the cluster object
    /// with the one that `object` holds. It never asks the provider, cannot fail and allocates nothing.
    ///
    /// Returns [`Refresh::Reset`] when the cluster object names another connection than the one whose client `object`
    /// holds, and when `object` requested a client without success before it held one, so that recovery is announced too.
    /// Every call returns it until [`client`](Self::client) succeeds: a reconcile that is interrupted between the two loses
    /// nothing. An object that never requested a client has nothing to drop. A cluster object that is known to be *older*
    /// than the client held comes from a lagging cache and resets nothing.
    pub fn refresh(
        &self,
        object: &O,
        cluster: &(impl ClusterObject<Key = P::Key, Revision = P::Revision> + ?Sized),
    ) -> Refresh {
        let observed = cluster.revision();
        self.entries.decide(object, |key| cluster.has_key(key), |entry| rules::refresh(entry, observed.as_ref()))
    }

    /// Returns a client of `cluster` for `object`, always one of the connection that the cluster object names.
    ///
    /// # Errors
    ///
    /// [`ClientError::next_step`] says what to do about each:
    ///
    /// - [`NotFound`](ClientError::NotFound): the provider does not know the cluster.
    /// - [`ClusterOutdated`](ClientError::ClusterOutdated): the cluster object names another connection, or none.
    /// - [`RefreshRequired`](ClientError::RefreshRequired): [`refresh`](Self::refresh) was not called first.
    /// - [`Unavailable`](ClientError::Unavailable), [`Incompatible`](ClientError::Incompatible): reported by the provider,
    ///   whose error is the source.
    /// - [`Forgotten`](ClientError::Forgotten): the object or the cluster was forgotten during the call.
    ///
    /// # Cancel safety
    ///
    /// The only await is the provider's. A future dropped there leaves everything as if it had never been created.
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

    /// Forgets `object` on all clusters. Call it when the object is deleted.
    ///
    /// Takes the same time however many objects there are. A pending call of [`client`](Self::client) ends in
    /// [`ClientError::Forgotten`] and leaves no trace.
    pub fn forget(&self, object: &O) {
        self.entries.forget(object);
    }

    /// Forgets `object` on all clusters that `keep` returns false for. Call it when an object may name other clusters than
    /// before.
    pub fn retain(&self, object: &O, keep: impl Fn(&P::Key) -> bool) {
        self.entries.retain(object, keep);
    }

    /// Forgets every object that `keep` returns false for, for example those that a list no longer contains.
    ///
    /// `keep` runs without a lock. An object that asks for its first client meanwhile is kept.
    pub fn retain_objects(&self, keep: impl Fn(&O) -> bool) {
        self.entries.retain_objects(keep);
    }

    /// Forgets `cluster` for all objects. Call it when the cluster is gone for good. Visits every object.
    ///
    /// Objects that still have state on the cluster get no [`Refresh::Reset`] for it.
    pub fn forget_cluster(&self, cluster: &P::Key) {
        self.entries.forget_cluster(cluster);
    }
}

impl<P: ClientProvider, O: Key> fmt::Debug for ClientManager<P, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientManager").field("objects", &self.objects()).finish_non_exhaustive()
    }
}

/// Decides on the provider's answer and stores the decision.
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

/// Returns the result for a cluster with a connection. `admission` is `None` where the request was forgotten.
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

/// Returns the error for a cluster without a connection. `settled` is `None` where the request was forgotten.
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
