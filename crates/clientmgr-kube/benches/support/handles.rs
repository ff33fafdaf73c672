//! A provider of clients that cost nothing to clone.

#![expect(unreachable_pub, reason = "a module of a bench, which has no public interface")]

use clientmgr_core::async_trait;
use clientmgr_kube::{ClientProvider, ConnectedAt, Connection, NamespacedName, ProviderError};

/// A provider whose clients are free to clone. It has the connections of all [`keys`](crate::subjects::keys), in their order.
pub struct Handles(pub Vec<Connection<(), ConnectedAt>>);

impl Handles {
    /// With the same revisions.
    pub fn like<C>(held: &[Connection<C, ConnectedAt>]) -> Self {
        Self(held.iter().map(|held| Connection { client: (), revision: held.revision }).collect())
    }
}

#[async_trait]
impl ClientProvider for Handles {
    type Client = ();
    type Key = NamespacedName;
    type Revision = ConnectedAt;

    async fn connection(&self, key: &NamespacedName) -> Result<Connection<(), ConnectedAt>, ProviderError> {
        let number = key.name().rsplit_once('-').and_then(|(_, number)| number.parse::<usize>().ok());
        let held = number.and_then(|number| self.0.get(number)).ok_or(ProviderError::NotFound)?;
        Ok(Connection { client: (), revision: held.revision })
    }
}
