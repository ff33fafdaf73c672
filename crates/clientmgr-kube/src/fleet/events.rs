//! [`Events`]: which clusters changed. Bounded and coalesced: a slow or dead subscriber costs the others nothing.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use clientmgr_core::NamespacedName;
use futures::Stream;

/// So many changed clusters are kept for a subscriber; beyond that it gets a resync.
const LIMIT: usize = 4_096;

/// An item of a fleet's [`Events`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClusterChanges {
    /// These clusters changed since the last item: look at their [snapshots](crate::Fleet::snapshot). A cluster that was
    /// removed has none.
    Changed(Vec<NamespacedName>),
    /// More clusters changed than are kept for a subscriber: look at [all](crate::Fleet::snapshots).
    Resync,
}

/// The changes of a fleet's clusters, from [`Fleet::events`](crate::Fleet::events): a stream that ends when the
/// fleet is shut down or its last handle dropped.
///
/// Changes are coalesced: a cluster that changes often before the next poll is named once, and its snapshot is the
/// latest. Dropping it unsubscribes.
///
/// # Cancel safety
///
/// A poll takes an item or nothing.
#[derive(Debug)]
pub struct Events {
    subscription: Arc<Mutex<Subscription>>,
}

#[derive(Debug, Default)]
struct Subscription {
    changed: BTreeSet<NamespacedName>,
    resync: bool,
    ended: bool,
    waker: Option<Waker>,
}

/// The subscribers of a fleet.
#[derive(Debug, Default)]
pub(super) struct EventHub {
    subscribers: Mutex<Vec<Weak<Mutex<Subscription>>>>,
    ended: AtomicBool,
}

/// Each lock guards what is whole between two steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EventHub {
    /// A subscriber that first looks at all clusters.
    pub(super) fn subscribe(&self) -> Events {
        let mut subscribers = lock(&self.subscribers);
        // Read under the lock that notifies all subscribers, so that none misses the end.
        let ended = self.ended.load(Ordering::Relaxed);
        let subscription = Arc::new(Mutex::new(Subscription { resync: true, ended, ..Subscription::default() }));
        subscribers.retain(|subscriber| subscriber.strong_count() > 0);
        subscribers.push(Arc::downgrade(&subscription));
        Events { subscription }
    }

    pub(super) fn changed(&self, cluster: &NamespacedName) {
        self.each(|subscription| subscription.note(cluster));
    }

    /// Ends the streams, once what is left was read.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.each(|subscription| subscription.ended = true);
    }

    fn each(&self, mut change: impl FnMut(&mut Subscription)) {
        let mut wakers = Vec::new();
        lock(&self.subscribers).retain(|subscriber| {
            let Some(subscriber) = subscriber.upgrade() else { return false };
            let mut subscription = lock(&subscriber);
            change(&mut subscription);
            wakers.extend(subscription.waker.take());
            true
        });
        // Without the locks: a waker may run foreign code.
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Drop for EventHub {
    fn drop(&mut self) {
        self.end();
    }
}

impl Subscription {
    fn note(&mut self, cluster: &NamespacedName) {
        if self.resync || self.changed.contains(cluster) {
            return;
        }
        if self.changed.len() >= LIMIT {
            self.changed.clear();
            self.resync = true;
        } else {
            self.changed.insert(cluster.clone());
        }
    }
}

impl Stream for Events {
    type Item = ClusterChanges;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ClusterChanges>> {
        let mut subscription = lock(&self.subscription);
        if std::mem::take(&mut subscription.resync) {
            subscription.changed.clear();
            return Poll::Ready(Some(ClusterChanges::Resync));
        }
        if !subscription.changed.is_empty() {
            let changed = std::mem::take(&mut subscription.changed);
            return Poll::Ready(Some(ClusterChanges::Changed(changed.into_iter().collect())));
        }
        if subscription.ended {
            return Poll::Ready(None);
        }
        subscription.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use clientmgr_core::NamespacedName;
    use futures::{FutureExt, StreamExt};

    use super::{ClusterChanges, EventHub, LIMIT, lock};

    fn key(number: usize) -> NamespacedName {
        NamespacedName::cluster_scoped(&format!("{number:06}"))
    }

    #[test]
    fn a_subscriber_looks_at_all_and_then_at_what_changed_once_each() {
        let hub = EventHub::default();
        let mut events = hub.subscribe();
        assert_eq!(events.next().now_or_never(), Some(Some(ClusterChanges::Resync)));
        assert_eq!(events.next().now_or_never(), None);
        for number in [2, 1, 2, 2] {
            hub.changed(&key(number));
        }
        assert_eq!(events.next().now_or_never(), Some(Some(ClusterChanges::Changed(vec![key(1), key(2)]))));
        assert_eq!(events.next().now_or_never(), None);
    }

    #[test]
    fn a_slow_subscriber_is_bounded_and_looks_at_all() {
        let hub = EventHub::default();
        let mut events = hub.subscribe();
        events.next().now_or_never();
        for number in 0..=LIMIT {
            hub.changed(&key(number));
        }
        assert!(lock(&events.subscription).changed.is_empty());
        hub.changed(&key(1));
        assert_eq!(events.next().now_or_never(), Some(Some(ClusterChanges::Resync)));
        assert_eq!(events.next().now_or_never(), None, "all was looked at");
    }

    #[test]
    fn a_dropped_subscriber_leaves_nothing_behind() {
        let hub = EventHub::default();
        let kept = hub.subscribe();
        drop((0..1_000).map(|_| hub.subscribe()).collect::<Vec<_>>());
        hub.changed(&key(1));
        assert_eq!(lock(&hub.subscribers).len(), 1);
        drop(kept);
    }

    #[test]
    fn the_stream_ends_with_the_fleet_after_what_is_left() {
        let hub = EventHub::default();
        let mut events = hub.subscribe();
        drop(hub);
        assert_eq!(events.next().now_or_never(), Some(Some(ClusterChanges::Resync)));
        assert_eq!(events.next().now_or_never(), Some(None));
    }

    #[test]
    fn a_subscription_after_the_end_yields_a_resync_and_ends() {
        let hub = EventHub::default();
        hub.end();
        let mut events = hub.subscribe();
        assert_eq!(events.next().now_or_never(), Some(Some(ClusterChanges::Resync)));
        assert_eq!(events.next().now_or_never(), Some(None));
    }
}
