//! The laws on a provider whose revisions have no order, made by a setup that awaits, under a runtime: what an adapter's
//! own tests look like.

use std::future::Future;

use clientmgr_core::{ClientProvider, Connection, NamespacedName, ProviderError, Unordered, async_trait};
use clientmgr_fake::laws::{FakeSetup, ProviderSetup};
use clientmgr_fake::{FakeClientProvider, bound_laws, manager_laws, provider_laws};

/// Tells of a connection by a text that does not sort as the connections were made.
#[derive(Clone)]
struct Hashed(FakeClientProvider<u32>);

#[async_trait]
impl ClientProvider for Hashed {
    type Client = u32;
    type Key = String;
    type Revision = Unordered<String>;

    async fn connection(&self, cluster: &String) -> Result<Connection<u32, Unordered<String>>, ProviderError> {
        let connection = self.0.connection(&NamespacedName::cluster_scoped(cluster)).await?;
        let digits = connection.revision.as_unix_micros().to_string();
        let revision = Unordered(digits.chars().rev().collect());
        Ok(Connection { client: connection.client, revision })
    }
}

struct Setup {
    provider: Hashed,
    fake: FakeSetup,
}

impl Setup {
    async fn start() -> Self {
        let fake = FakeSetup::default();
        tokio::task::yield_now().await;
        Self { provider: Hashed(fake.provider().clone()), fake }
    }
}

fn key(cluster: &str) -> NamespacedName {
    NamespacedName::cluster_scoped(cluster)
}

impl ProviderSetup for Setup {
    type Provider = Hashed;
    type Identity = u32;

    fn provider(&self) -> &Hashed {
        &self.provider
    }

    fn clusters(&self) -> [String; 2] {
        ["east".to_owned(), "west".to_owned()]
    }

    fn unknown_cluster(&self) -> String {
        "nowhere".to_owned()
    }

    async fn connect(&self, cluster: &String) {
        self.fake.connect(&key(cluster)).await;
    }

    async fn replace(&self, cluster: &String) {
        self.fake.replace(&key(cluster)).await;
    }

    async fn fail(&self, cluster: &String) {
        self.fake.fail(&key(cluster)).await;
    }

    async fn recover(&self, cluster: &String) {
        self.fake.recover(&key(cluster)).await;
    }

    async fn remove(&self, cluster: &String) {
        self.fake.remove(&key(cluster)).await;
    }

    async fn identify(&self, client: &u32) -> u32 {
        *client
    }
}

fn run(law: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without I/O and time");
    runtime.block_on(law);
}

mod provider {
    use super::*;
    provider_laws!(Setup::start().await, run);
}

mod manager {
    use super::*;
    manager_laws!(Setup::start().await, run);
}

mod bound {
    use super::*;
    bound_laws!(Setup::start().await, run);
}
