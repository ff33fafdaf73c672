//! [`FakeClientProvider`]: the provider that a test and the code under test share.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clientmgr_core::{
    ClientProvider, ConnectedAt, Connection, DynProvider, NamespacedName, ObservedCluster, ProviderError, async_trait,
};

use super::error::EmptyKeyError;
use super::gate::{Gate, Hold};

/// A cluster object, as [`FakeClientProvider::cluster`] returns it.
///
/// One that was taken before a change represents a stale cache, one taken after it for a current one.
pub type FakeCluster = ObservedCluster;

/// A provider that serves what a test sets.
///
/// Clones share everything: the test keeps one and gives another to the code under test. Revisions are
/// [`ConnectedAt::now`], so each client that is set has a later one, across all fakes of the process.
///
/// # Example
///
/// ```
/// use clientmgr_core::ClientProvider;
/// use clientmgr_fake::FakeClientProvider;
///
/// # futures::executor::block_on(async {
/// let provider = FakeClientProvider::new("a client");
/// let key = FakeClientProvider::<&str>::default_key();
/// assert_eq!(provider.connection(&key).await?.client, "a client");
///
/// provider.set_cluster_error(&key, std::io::Error::from(std::io::ErrorKind::ConnectionRefused))?;
/// assert!(provider.connection(&key).await.is_err());
/// assert_eq!(provider.calls(&key), 2);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct FakeClientProvider<C> {
    shared: Arc<Shared<C>>,
}

struct Shared<C> {
    /// What is served. Never locked across an await, nor while code of the caller runs (the clone or drop of a client, the
    /// drop or display of an error), since that code may use the fake.
    served: Mutex<BTreeMap<NamespacedName, Served<C>>>,
    gate: Gate,
}

/// What is served under a key. The client is shared, so that it is not cloned under the lock.
type Served<C> = Answer<Arc<C>>;

/// What a provider answers.
type Answer<C> = Result<Connection<C, ConnectedAt>, ProviderError>;

impl<C> FakeClientProvider<C> {
    /// Returns a provider that serves `default_client` under the [default key](Self::default_key).
    pub fn new(default_client: C) -> Self {
        let provider = Self::empty();
        provider.connect(&Self::default_key(), default_client);
        provider
    }

    /// Returns a provider that serves nothing.
    pub fn empty() -> Self {
        Self { shared: Arc::new(Shared { served: Mutex::new(BTreeMap::new()), gate: Gate::new() }) }
    }

    /// Returns the key under which [`new`](Self::new) serves its client: `default`, cluster-scoped.
    pub fn default_key() -> NamespacedName {
        NamespacedName::cluster_scoped("default")
    }

    /// Serves `client` under `key` and returns its revision, unless a client or an error is served there: then returns
    /// `None` and changes nothing.
    ///
    /// # Errors
    ///
    /// [`EmptyKeyError`] where the key has no name.
    pub fn add_client(&self, key: &NamespacedName, client: C) -> Result<Option<ConnectedAt>, EmptyKeyError> {
        EmptyKeyError::check(key)?;
        let mut served = self.served();
        // The client is dropped after the lock: its drop may use the fake.
        match served.entry(key.clone()) {
            Entry::Occupied(_) => {
                drop(served);
                drop(client);
                Ok(None)
            }
            Entry::Vacant(vacant) => {
                let revision = ConnectedAt::now();
                vacant.insert(Ok(Connection { client: Arc::new(client), revision }));
                Ok(Some(revision))
            }
        }
    }

    /// Serves `client` under `key`, in place of what was served there. Returns its revision, which is later than all before.
    ///
    /// # Errors
    ///
    /// [`EmptyKeyError`] where the key has no name.
    pub fn set_client(&self, key: &NamespacedName, client: C) -> Result<ConnectedAt, EmptyKeyError> {
        EmptyKeyError::check(key)?;
        Ok(self.connect(key, client))
    }

    /// Makes `key` [unavailable](ProviderError::Unavailable) with `error` as the source, in place of what was served there.
    ///
    /// # Errors
    ///
    /// [`EmptyKeyError`] where the key has no name.
    ///
    /// # Example
    ///
    /// ```
    /// use std::io::{Error, ErrorKind};
    /// use clientmgr_core::{ClientError, ClientManager};
    /// use clientmgr_fake::FakeClientProvider;
    ///
    /// # futures::executor::block_on(async {
    /// let key = FakeClientProvider::<()>::default_key();
    /// let provider = FakeClientProvider::new(());
    /// provider.set_cluster_error(&key, Error::from(ErrorKind::TimedOut))?;
    ///
    /// let clients = ClientManager::new(provider.clone());
    /// match clients.client(&"object", &provider.cluster(&key)).await {
    ///     Err(ClientError::Unavailable { source, .. }) => {
    ///         assert_eq!(source.downcast_ref::<Error>().map(Error::kind), Some(ErrorKind::TimedOut));
    ///     }
    ///     other => panic!("{other:?}"),
    /// }
    /// # Ok::<_, clientmgr_fake::EmptyKeyError>(())
    /// # }).unwrap();
    /// ```
    pub fn set_cluster_error(
        &self,
        key: &NamespacedName,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> Result<(), EmptyKeyError> {
        self.set_error(key, ProviderError::unavailable(error))
    }

    /// Serves `error` under `key`, in place of what was served there: for example [`ProviderError::incompatible`], or an
    /// error with a [retry hint](ProviderError::with_retry_after).
    ///
    /// # Errors
    ///
    /// [`EmptyKeyError`] where the key has no name.
    pub fn set_error(&self, key: &NamespacedName, error: ProviderError) -> Result<(), EmptyKeyError> {
        EmptyKeyError::check(key)?;
        let replaced = self.served().insert(key.clone(), Err(error));
        drop(replaced);
        Ok(())
    }

    /// Removes what is served under `key`: the cluster is [not found](ProviderError::NotFound). Holds stay.
    pub fn remove(&self, key: &NamespacedName) {
        let removed = self.served().remove(key);
        drop(removed);
    }

    /// Returns the cluster object of `key`, with the revision of the client that is served. `None` where an error or nothing
    /// is served.
    ///
    /// To simulate a stale cache, use it after a change.
    ///
    /// # Example
    ///
    /// ```
    /// use clientmgr_core::ClientManager;
    /// use clientmgr_fake::FakeClientProvider;
    ///
    /// # futures::executor::block_on(async {
    /// let key = FakeClientProvider::<u32>::default_key();
    /// let provider = FakeClientProvider::new(1);
    /// let before = provider.cluster(&key);
    /// provider.set_client(&key, 2)?;
    /// let after = provider.cluster(&key);
    ///
    /// let clients = ClientManager::new(provider);
    /// assert!(clients.client(&"object", &before).await.unwrap_err().is_stale());
    /// assert_eq!(clients.client(&"object", &after).await.unwrap(), 2);
    /// # Ok::<_, clientmgr_fake::EmptyKeyError>(())
    /// # }).unwrap();
    /// ```
    pub fn cluster(&self, key: &NamespacedName) -> FakeCluster {
        let revision = match self.served().get(key) {
            Some(Ok(connection)) => Some(connection.revision),
            Some(Err(_)) | None => None,
        };
        FakeCluster { key: key.clone(), revision }
    }

    /// Holds back later calls for `key`, until the hold is released or dropped.
    ///
    /// A held call returns what is served when it completes, not when it began. It waits for the holds that existed when
    /// it began, so it completes after a release even if the test holds the next calls at once.
    ///
    /// # Example
    ///
    /// ```
    /// use clientmgr_core::ClientProvider;
    /// use clientmgr_fake::FakeClientProvider;
    ///
    /// # futures::executor::block_on(async {
    /// let key = FakeClientProvider::<u32>::default_key();
    /// let provider = FakeClientProvider::new(1);
    /// let hold = provider.hold(&key);
    /// let test = async {
    ///     provider.wait_until_waiting(&key, 1).await;
    ///     provider.set_client(&key, 2).unwrap();
    ///     hold.release();
    /// };
    /// let (answer, ()) = futures::join!(provider.connection(&key), test);
    /// assert_eq!(answer.unwrap().client, 2);
    /// # });
    /// ```
    pub fn hold(&self, key: &NamespacedName) -> Hold {
        self.shared.gate.hold(key)
    }

    /// Answers no later call for `key`, like a cluster that hangs. To release the calls later, use [`hold`](Self::hold).
    pub fn never_answer(&self, key: &NamespacedName) {
        self.shared.gate.never_answer(key);
    }

    /// Returns how many calls for `key` there were. A call counts when it is first polled.
    pub fn calls(&self, key: &NamespacedName) -> usize {
        self.shared.gate.calls(key)
    }

    /// Returns how many calls for `key` wait: held, and not dropped.
    pub fn waiting(&self, key: &NamespacedName) -> usize {
        self.shared.gate.waiting(key)
    }

    /// Waits until at least `calls` calls for `key` wait at the same time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn wait_until_waiting(&self, key: &NamespacedName, calls: usize) {
        self.shared.gate.wait_until_waiting(key, calls).await;
    }

    fn connect(&self, key: &NamespacedName, client: C) -> ConnectedAt {
        let client = Arc::new(client);
        let (revision, replaced) = {
            let mut served = self.served();
            // Under the lock, so that of two clients set at once the one that stays has the later revision.
            let revision = ConnectedAt::now();
            (revision, served.insert(key.clone(), Ok(Connection { client, revision })))
        };
        drop(replaced);
        revision
    }

    /// A panic cannot leave the map half-written, so a poisoned lock is usable.
    fn served(&self) -> MutexGuard<'_, BTreeMap<NamespacedName, Served<C>>> {
        self.shared.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Clone + Send + Sync + 'static> From<FakeClientProvider<C>> for DynProvider<C> {
    fn from(fake: FakeClientProvider<C>) -> Self {
        Self::new(fake)
    }
}

#[async_trait]
impl<C: Clone + Send + Sync + 'static> ClientProvider for FakeClientProvider<C> {
    type Client = C;
    type Key = NamespacedName;
    type Revision = ConnectedAt;

    async fn connection(&self, cluster: &NamespacedName) -> Answer<C> {
        self.shared.gate.pass(cluster).await;
        let served = self.served().get(cluster).cloned();
        let Connection { client, revision } = served.unwrap_or(Err(ProviderError::NotFound))?;
        Ok(Connection { client: C::clone(&client), revision })
    }
}

impl<C> Clone for FakeClientProvider<C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<C> fmt::Debug for FakeClientProvider<C> {
    /// Writes what is served, without the clients.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let served = self.served().clone();
        let served = served.iter().map(|(key, answer)| (key, answer.as_ref().map(|connection| connection.revision)));
        f.debug_map().entries(served).finish()
    }
}
