//! [`FakeSetup`]: the fake provider, or a wrapper of it, as a setup for the laws.

use std::convert::identity;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use clientmgr_core::{ClientProvider, ConnectedAt, NamespacedName, ProviderError};

use super::setup::ProviderSetup;
use crate::FakeClientProvider;

/// The fake as a setup for the laws, also for wrappers of it: pointers, trait objects, gates.
///
/// Its clients are numbers, each used once.
#[derive(Debug)]
pub struct FakeSetup<P = FakeClientProvider<u32>> {
    fake: FakeClientProvider<u32>,
    provider: P,
    clients: AtomicU32,
}

impl<P> FakeSetup<P> {
    /// Returns a setup for the provider that `wrap` makes of a fake.
    pub fn new(wrap: impl FnOnce(FakeClientProvider<u32>) -> P) -> Self {
        let fake = FakeClientProvider::empty();
        Self { provider: wrap(fake.clone()), fake, clients: AtomicU32::new(0) }
    }

    fn serve_a_new_client(&self, cluster: &NamespacedName) {
        let client = self.clients.fetch_add(1, Ordering::Relaxed);
        self.fake.set_client(cluster, client).expect("the laws use the clusters of this setup, and these have names");
    }
}

impl Default for FakeSetup {
    /// The fake by itself.
    fn default() -> Self {
        Self::new(identity)
    }
}

/// The error of a cluster that was made to fail.
#[derive(Debug, thiserror::Error)]
#[error("the connection was made to fail")]
struct MadeToFail;

impl<P> ProviderSetup for FakeSetup<P>
where
    P: ClientProvider<Client = u32, Key = NamespacedName, Revision = ConnectedAt>,
{
    type Provider = P;
    type Identity = u32;

    fn provider(&self) -> &P {
        &self.provider
    }

    fn clusters(&self) -> [NamespacedName; 2] {
        [NamespacedName::new("fleet", "east"), NamespacedName::new("fleet", "west")]
    }

    fn unknown_cluster(&self) -> NamespacedName {
        NamespacedName::new("fleet", "nowhere")
    }

    async fn connect(&self, cluster: &NamespacedName) {
        self.serve_a_new_client(cluster);
    }

    async fn replace(&self, cluster: &NamespacedName) {
        self.serve_a_new_client(cluster);
    }

    async fn fail(&self, cluster: &NamespacedName) {
        // With a hint, so that the laws see whether it is passed on.
        let error = ProviderError::unavailable(MadeToFail).with_retry_after(Duration::from_secs(7));
        self.fake.set_error(cluster, error).expect("the laws use the clusters of this setup, and these have names");
    }

    async fn recover(&self, cluster: &NamespacedName) {
        self.serve_a_new_client(cluster);
    }

    async fn remove(&self, cluster: &NamespacedName) {
        self.fake.remove(cluster);
    }

    async fn identify(&self, client: &u32) -> u32 {
        *client
    }
}
