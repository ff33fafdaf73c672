//! [`ClientProvider`]: where clients come from. The trait, its answer, and the types that forward to it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::connected_at::ConnectedAt;
use crate::error::ProviderError;
use crate::key::{Key, NamespacedName};
use crate::revision::Revision;

/// A client, and the identity of the connection behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection<C, R> {
    /// The client.
    pub client: C,
    /// The revision of the connection that the client uses.
    pub revision: R,
}

/// Holds the live connections to the clusters and answers which one is current.
///
/// `&P`, `Arc<P>` and `Box<P>` of a provider are providers too, also where `P` is a trait object. Forwarding costs
/// nothing beyond the inner provider's own future.
///
/// # Contract
///
/// - The answer is the connection that is **current** when the future completes: never one that is being replaced.
/// - Client and revision belong together: a client never changes its cluster or server behind the same revision.
/// - Revisions keep the promises of [`Revision`].
/// - The answer comes quickly. A provider that is connecting returns [`ProviderError::Unavailable`]. If it waited for the
///   connect, one hung cluster would delay every reconcile that names it.
///
/// The laws in `clientmgr-fake` check these for any provider.
///
/// # Cancel safety
///
/// Callers may drop the future of [`connection`](Self::connection) at any await. An implementation must lose nothing then.
///
/// # Example
///
/// ```
/// use clientmgr_core::{ClientProvider, Connection, NamespacedName, Ordered, ProviderError, async_trait};
///
/// /// A provider that knows a single cluster.
/// struct Single {
///     name: NamespacedName,
///     client: std::sync::Arc<str>,
/// }
///
/// #[async_trait]
/// impl ClientProvider for Single {
///     type Client = std::sync::Arc<str>;
///     type Key = NamespacedName;
///     type Revision = Ordered<u32>;
///
///     async fn connection(
///         &self,
///         cluster: &NamespacedName,
///     ) -> Result<Connection<Self::Client, Self::Revision>, ProviderError> {
///         if *cluster != self.name {
///             return Err(ProviderError::NotFound);
///         }
///         Ok(Connection { client: self.client.clone(), revision: Ordered(1) })
///     }
/// }
/// ```
#[async_trait]
pub trait ClientProvider: Send + Sync {
    /// A client: a cheap handle that many threads may use at once.
    type Client: Clone + Send + Sync + 'static;
    /// The key of a cluster.
    type Key: Key;
    /// The identity of a connection.
    type Revision: Revision;

    /// Returns the cluster's current connection.
    ///
    /// # Errors
    ///
    /// [`ProviderError`] says why there is none, and what the caller can do.
    async fn connection(&self, cluster: &Self::Key) -> Result<Connection<Self::Client, Self::Revision>, ProviderError>;
}

/// What [`ClientProvider::connection`] returns, written out so that forwarding adds no future of its own.
type Connecting<'a, P> = Pin<
    Box<
        dyn Future<
                Output = Result<
                    Connection<<P as ClientProvider>::Client, <P as ClientProvider>::Revision>,
                    ProviderError,
                >,
            > + Send
            + 'a,
    >,
>;

macro_rules! forward_to_the_inner_provider {
    ($($pointer:ty),+) => {$(
        impl<P: ClientProvider + ?Sized> ClientProvider for $pointer {
            type Client = P::Client;
            type Key = P::Key;
            type Revision = P::Revision;

            fn connection<'a, 'b, 'f>(&'a self, cluster: &'b P::Key) -> Connecting<'f, P>
            where
                'a: 'f,
                'b: 'f,
                Self: 'f,
            {
                (**self).connection(cluster)
            }
        }
    )+};
}

forward_to_the_inner_provider!(&P, Arc<P>, Box<P>);

/// A provider of any type behind one name, so that types which hold one need no type parameter for it.
///
/// Cheap to clone (one reference count). Providers whose clones are handles convert by `From`, as does every provider in
/// an [`Arc`].
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use clientmgr_core::{ClientManager, ClientProvider, ConnectedAt, DynProvider, NamespacedName};
///
/// struct Controller {
///     clients: ClientManager<DynProvider<String>, u32>,
/// }
///
/// fn controller<P>(provider: Arc<P>) -> Controller
/// where
///     P: ClientProvider<Client = String, Key = NamespacedName, Revision = ConnectedAt> + 'static,
/// {
///     Controller { clients: ClientManager::new(provider.into()) }
/// }
/// ```
pub struct DynProvider<C, K = NamespacedName, R = ConnectedAt>(
    Arc<dyn ClientProvider<Client = C, Key = K, Revision = R>>,
);

impl<C, K, R> DynProvider<C, K, R> {
    /// Hides the type of `provider`.
    pub fn new(provider: impl ClientProvider<Client = C, Key = K, Revision = R> + 'static) -> Self {
        Self(Arc::new(provider))
    }
}

impl<P: ClientProvider + 'static> From<Arc<P>> for DynProvider<P::Client, P::Key, P::Revision> {
    fn from(provider: Arc<P>) -> Self {
        Self(provider)
    }
}

impl<C, K, R> Clone for DynProvider<C, K, R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C, K, R> fmt::Debug for DynProvider<C, K, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynProvider").finish_non_exhaustive()
    }
}

impl<C: Clone + Send + Sync + 'static, K: Key, R: Revision> ClientProvider for DynProvider<C, K, R> {
    type Client = C;
    type Key = K;
    type Revision = R;

    fn connection<'a, 'b, 'f>(&'a self, cluster: &'b K) -> Connecting<'f, Self>
    where
        'a: 'f,
        'b: 'f,
        Self: 'f,
    {
        self.0.connection(cluster)
    }
}
