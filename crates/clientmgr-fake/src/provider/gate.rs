//! [`Gate`]: counts the calls of a provider and holds them back, so that a test can run a race step by step.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clientmgr_core::{Key, NamespacedName};
use event_listener::{Event, listener};

use super::traffic::{HeldUntil, Traffic};

/// Counts the calls of a provider and holds their answers back. Clones are handles to the same gate.
///
/// Every [`FakeClientProvider`](crate::FakeClientProvider) has one built in; [`Gated`](crate::Gated) puts one before any
/// other provider.
pub struct Gate<K = NamespacedName> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    /// Never held across an await.
    traffic: Mutex<Traffic<K>>,
    /// Notified when a hold is released and when a call starts to wait.
    changed: Event,
}

impl<K: Key> Gate<K> {
    /// Returns an open gate.
    pub fn new() -> Self {
        Self { shared: Arc::new(Shared { traffic: Mutex::new(Traffic::new()), changed: Event::new() }) }
    }

    /// Counts a call for `cluster`, and completes when no hold applies to it.
    ///
    /// # Cancel safety
    ///
    /// A dropped call stays counted and no longer waits.
    pub async fn pass(&self, cluster: &K) {
        let until = self.traffic().ask(cluster);
        if let Some(until) = until {
            let call = WaitingCall { gate: self, cluster, until };
            self.shared.changed.notify(usize::MAX);
            self.wait_for(|traffic| !traffic.is_held(call.cluster, call.until)).await;
        }
    }

    /// Holds back later calls for `cluster`, until the hold is released or dropped.
    ///
    /// A call waits for the holds that existed when it began, not for later ones. So it continues after a release, even
    /// if the test holds the next calls at once.
    pub fn hold(&self, cluster: &K) -> Hold<K> {
        let number = self.traffic().hold(cluster);
        Hold { gate: self.clone(), cluster: cluster.clone(), number }
    }

    /// Lets no later call for `cluster` complete, like a cluster that hangs. To release the calls later, use
    /// [`hold`](Self::hold).
    pub fn never_answer(&self, cluster: &K) {
        self.traffic().hold(cluster);
    }

    /// Returns how many calls for `cluster` there were. A call counts when it is first polled.
    pub fn calls(&self, cluster: &K) -> usize {
        self.traffic().asked(cluster)
    }

    /// Returns how many calls for `cluster` wait: held, and not dropped.
    pub fn waiting(&self, cluster: &K) -> usize {
        self.traffic().waiting(cluster)
    }

    /// Waits until at least `calls` calls for `cluster` wait at the same time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn wait_until_waiting(&self, cluster: &K, calls: usize) {
        self.wait_for(|traffic| traffic.waiting(cluster) >= calls).await;
    }

    async fn wait_for(&self, holds: impl Fn(&Traffic<K>) -> bool) {
        loop {
            // Listening starts before looking, so that no change is missed in between.
            listener!(self.shared.changed => changed);
            if holds(&self.traffic()) {
                return;
            }
            changed.await;
        }
    }

    /// A panic cannot leave the counts half-written, so a poisoned lock is usable.
    fn traffic(&self) -> MutexGuard<'_, Traffic<K>> {
        self.shared.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that waits, until it continues or its future is dropped.
struct WaitingCall<'a, K: Key> {
    gate: &'a Gate<K>,
    cluster: &'a K,
    until: HeldUntil,
}

impl<K: Key> Drop for WaitingCall<'_, K> {
    fn drop(&mut self) {
        self.gate.traffic().stop_waiting(self.cluster);
    }
}

/// Holds back the calls for one cluster until it is released or dropped. Returned by [`Gate::hold`].
#[must_use = "dropping it lets the calls through at once"]
pub struct Hold<K: Key = NamespacedName> {
    gate: Gate<K>,
    cluster: K,
    number: u64,
}

impl<K: Key> Hold<K> {
    /// Releases the hold, as dropping does: every call that waited for this hold alone continues.
    pub fn release(self) {
        drop(self);
    }
}

impl<K: Key> Drop for Hold<K> {
    fn drop(&mut self) {
        self.gate.traffic().release(&self.cluster, self.number);
        self.gate.shared.changed.notify(usize::MAX);
    }
}

impl<K> Clone for Gate<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K: Key> Default for Gate<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> fmt::Debug for Gate<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl<K: Key> fmt::Debug for Hold<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}
