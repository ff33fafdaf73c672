//! [`Gate`]: counts the calls of a provider and holds them back, so that a test can play a race step by step.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clientmgr_core::{Key, NamespacedName};
use event_listener::{Event, listener};

use super::traffic::{HeldUntil, Traffic};

/// Stands before a provider's answers. Clones are handles to the same gate.
///
/// Every [`FakeClientProvider`](crate::FakeClientProvider) has one built in; [`Gated`](crate::Gated) puts one before any
/// other provider.
pub struct Gate<K = NamespacedName> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    /// Never held across an await.
    traffic: Mutex<Traffic<K>>,
    /// Told of everything that somebody may wait for: a hold released, a call that starts to wait.
    changed: Event,
}

impl<K: Key> Gate<K> {
    /// A gate that stands open.
    pub fn new() -> Self {
        Self { shared: Arc::new(Shared { traffic: Mutex::new(Traffic::new()), changed: Event::new() }) }
    }

    /// Counts a call for `cluster`, and completes when no hold keeps it back.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped was counted and waits no longer.
    pub async fn pass(&self, cluster: &K) {
        let until = self.traffic().ask(cluster);
        if let Some(until) = until {
            let call = WaitingCall { gate: self, cluster, until };
            self.shared.changed.notify(usize::MAX);
            self.wait_for(|traffic| !traffic.is_held(call.cluster, call.until)).await;
        }
    }

    /// Holds back the calls for `cluster` that are asked from now on, until the hold is released or dropped.
    ///
    /// A call waits for the holds that it met and for none that are taken later. So after a release it goes on, even
    /// where the test holds the next calls at once.
    pub fn hold(&self, cluster: &K) -> Hold<K> {
        let number = self.traffic().hold(cluster);
        Hold { gate: self.clone(), cluster: cluster.clone(), number }
    }

    /// Never lets through the calls for `cluster` that are asked from now on: a cluster that hangs. Their futures can
    /// only be dropped. To let them go later, [`hold`](Self::hold) them instead.
    pub fn never_answer(&self, cluster: &K) {
        self.traffic().hold(cluster);
    }

    /// How many calls for `cluster` there were. A call counts once its future was polled.
    pub fn calls(&self, cluster: &K) -> usize {
        self.traffic().asked(cluster)
    }

    /// How many calls for `cluster` wait at this moment: held, and their futures not dropped.
    pub fn waiting(&self, cluster: &K) -> usize {
        self.traffic().waiting(cluster)
    }

    /// Completes when at least `calls` calls for `cluster` wait at the same time.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn wait_until_waiting(&self, cluster: &K, calls: usize) {
        self.wait_for(|traffic| traffic.waiting(cluster) >= calls).await;
    }

    async fn wait_for(&self, holds: impl Fn(&Traffic<K>) -> bool) {
        loop {
            // Listens before it looks, so that no change can fall between the two.
            listener!(self.shared.changed => changed);
            if holds(&self.traffic()) {
                return;
            }
            changed.await;
        }
    }

    /// A panic cannot leave the counts half-written, so a poisoned lock is as good as any.
    fn traffic(&self) -> MutexGuard<'_, Traffic<K>> {
        self.shared.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that waits. Counted off when it is let through, and when its future is dropped.
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

/// Holds back the calls for one cluster while it lives; taken by [`Gate::hold`].
#[must_use = "dropping it lets the calls through at once"]
pub struct Hold<K: Key = NamespacedName> {
    gate: Gate<K>,
    cluster: K,
    number: u64,
}

impl<K: Key> Hold<K> {
    /// Lets the calls through, as dropping does: every call that waited for this hold alone goes on.
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
