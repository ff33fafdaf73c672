//! [`DynProvider`]: a provider of any type behind one name.

use crate::fleet::Fleet;

/// A provider of `kube::Client`s of any type: a [`Fleet`], or a fake one in tests. The default provider of
/// [`ClientManager`](crate::ClientManager) and [`BoundStates`](crate::BoundStates).
///
/// # Examples
///
/// ```
/// use clientmgr_fake::FakeClientProvider;
/// use clientmgr_kube::{ClientManager, DynProvider, kube};
///
/// fn manager(provider: impl Into<DynProvider>) -> ClientManager {
///     ClientManager::new(provider.into())
/// }
///
/// manager(FakeClientProvider::<kube::Client>::empty());
/// ```
pub type DynProvider = clientmgr_core::DynProvider<kube::Client>;

impl From<Fleet> for DynProvider {
    fn from(fleet: Fleet) -> Self {
        Self::new(fleet)
    }
}
