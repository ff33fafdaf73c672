//! [`Gated`]: any provider behind a [`Gate`].

use std::fmt;

use clientmgr_core::{ClientProvider, Connection, ProviderError, async_trait};

use super::gate::Gate;

/// A provider whose answers a test can count and hold back, whatever provider is inside.
///
/// # Example
///
/// ```
/// use clientmgr_core::ClientProvider;
/// use clientmgr_fake::Gated;
/// # use clientmgr_fake::FakeClientProvider as RealProvider;
/// # let real_provider = RealProvider::new("client");
/// # let east = RealProvider::<&str>::default_key();
///
/// # futures::executor::block_on(async {
/// let provider = Gated::new(real_provider);
/// let hold = provider.gate().hold(&east);
/// let test = async {
///     provider.gate().wait_until_waiting(&east, 1).await;
///     // The code under test waits for its answer now: change what you like.
///     hold.release();
/// };
/// let (answer, ()) = futures::join!(provider.connection(&east), test);
/// assert!(answer.is_ok());
/// assert_eq!(provider.gate().calls(&east), 1);
/// # });
/// ```
pub struct Gated<P: ClientProvider> {
    provider: P,
    gate: Gate<P::Key>,
}

impl<P: ClientProvider> Gated<P> {
    /// Puts `provider` behind an open gate.
    pub fn new(provider: P) -> Self {
        Self { provider, gate: Gate::new() }
    }

    /// Returns the gate. Clone it to keep a handle after the provider is moved away.
    pub fn gate(&self) -> &Gate<P::Key> {
        &self.gate
    }

    /// Returns the provider behind the gate.
    pub fn provider(&self) -> &P {
        &self.provider
    }
}

#[async_trait]
impl<P: ClientProvider> ClientProvider for Gated<P> {
    type Client = P::Client;
    type Key = P::Key;
    type Revision = P::Revision;

    async fn connection(&self, cluster: &P::Key) -> Result<Connection<P::Client, P::Revision>, ProviderError> {
        self.gate.pass(cluster).await;
        self.provider.connection(cluster).await
    }
}

impl<P: ClientProvider + Clone> Clone for Gated<P> {
    fn clone(&self) -> Self {
        Self { provider: self.provider.clone(), gate: self.gate.clone() }
    }
}

impl<P: ClientProvider + fmt::Debug> fmt::Debug for Gated<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gated").field(&self.provider).finish()
    }
}
