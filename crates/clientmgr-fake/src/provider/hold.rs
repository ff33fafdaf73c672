//! [`Hold`]: a test's hand on the answers of one cluster.

use std::fmt;

use clientmgr_core::NamespacedName;

use super::FakeClientProvider;

/// Holds back the answers about one cluster while it lives; taken by [`FakeClientProvider::hold`].
#[must_use = "dropping it releases the answers at once"]
pub struct Hold<C> {
    provider: FakeClientProvider<C>,
    key: NamespacedName,
    number: u64,
}

impl<C> Hold<C> {
    pub(super) fn new(provider: FakeClientProvider<C>, key: NamespacedName, number: u64) -> Self {
        Self { provider, key, number }
    }

    /// Releases the answers, as dropping does: every call that waited for this hold alone can now complete.
    pub fn release(self) {}
}

impl<C> Drop for Hold<C> {
    fn drop(&mut self) {
        self.provider.release(&self.key, self.number);
    }
}

impl<C> fmt::Debug for Hold<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("key", &self.key).finish_non_exhaustive()
    }
}
