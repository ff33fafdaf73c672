//! [`Triggers`]: the objects to reconcile because of remote watches. Bounded and coalesced.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use clientmgr_kube::NamespacedName;
use futures::Stream;
use kube::Resource;
use kube::runtime::reflector::ObjectRef;

use super::users::Users;
use crate::requeue::Pending;

/// The objects to reconcile because of their remote watches, for kube-runtime's `Controller::reconcile_on`: a stream that
/// never fails.
///
/// Comes from [`RemoteWatches::new`](super::RemoteWatches::new).
///
/// An object is pending at most once, and is left out if it is forgotten before it is read. So a slow reader keeps at most
/// one entry for each object, and delays no watch. The stream ends when its `RemoteWatches` is dropped and all is read.
///
/// # Cancel safety
///
/// A poll takes an item or nothing.
pub struct Triggers<O: Resource> {
    hub: Hub,
    dyntype: O::DynamicType,
}

/// Where the watches put what they trigger.
#[derive(Clone, Default)]
pub(super) struct Hub(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    pending: Pending,
    /// The objects that use any watch.
    users: Users,
    waker: Option<Waker>,
    has_ended: bool,
    /// The stream was dropped.
    is_unread: bool,
}

impl Hub {
    /// Adds a user of a watch.
    pub(super) fn join(&self, object: &NamespacedName) {
        self.lock().users.add(object);
    }

    /// Removes a user of a watch.
    pub(super) fn leave(&self, object: &NamespacedName) {
        self.lock().users.remove(object);
    }

    /// Makes objects pending.
    pub(super) fn trigger<'a>(&self, objects: impl IntoIterator<Item = &'a NamespacedName>) {
        let mut state = self.lock();
        if state.is_unread {
            return;
        }
        let State { pending, users, .. } = &mut *state;
        objects.into_iter().for_each(|object| pending.push(object));
        if pending.len() > users.len() {
            // Objects that are gone.
            pending.retain(|object| users.contains(object));
        }
        Self::wake(state);
    }

    /// Ends the stream.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.has_ended = true;
        Self::wake(state);
    }

    /// Returns the stream. There is one.
    pub(super) fn triggers<O: Resource>(&self, dyntype: O::DynamicType) -> Triggers<O> {
        Triggers { hub: self.clone(), dyntype }
    }

    /// Wakes the reader without the lock: a waker may run foreign code.
    fn wake(mut state: MutexGuard<'_, State>) {
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Each lock guards what is whole between two steps.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O: Resource<DynamicType: Clone>> Stream for Triggers<O> {
    type Item = ObjectRef<O>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ObjectRef<O>>> {
        let mut state = self.hub.lock();
        while let Some(object) = state.pending.pop() {
            if state.users.contains(&object) {
                return Poll::Ready(Some(object_ref(&object, self.dyntype.clone())));
            }
        }
        if state.has_ended {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl<O: Resource> Drop for Triggers<O> {
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        state.is_unread = true;
        state.pending = Pending::default();
    }
}

impl<O: Resource> fmt::Debug for Triggers<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Triggers").field("pending", &self.hub.lock().pending.len()).finish_non_exhaustive()
    }
}

fn object_ref<O: Resource>(object: &NamespacedName, dyntype: O::DynamicType) -> ObjectRef<O> {
    let found = ObjectRef::new_with(object.name(), dyntype);
    if object.namespace().is_empty() { found } else { found.within(object.namespace()) }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _};
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::{Hub, NamespacedName, ObjectRef, Triggers};

    fn objects() -> [NamespacedName; 3] {
        [NamespacedName::new("work", "a"), NamespacedName::new("work", "b"), "c".into()]
    }

    fn joined() -> (Hub, Triggers<ConfigMap>) {
        let hub = Hub::default();
        for object in objects() {
            hub.join(&object);
        }
        (hub.clone(), hub.triggers(()))
    }

    #[test]
    fn an_object_is_pending_once_and_not_after_it_left() {
        let (hub, mut triggers) = joined();
        assert_eq!(triggers.next().now_or_never(), None);
        let [a, b, c] = objects();
        hub.trigger([&b, &a, &b, &c]);
        hub.leave(&a);
        let read = |triggers: &mut Triggers<ConfigMap>| triggers.next().now_or_never();
        assert_eq!(read(&mut triggers), Some(Some(ObjectRef::new("b").within("work"))));
        assert_eq!(read(&mut triggers), Some(Some(ObjectRef::new("c"))));
        assert_eq!(read(&mut triggers), None);
    }

    #[test]
    fn a_slow_reader_keeps_one_entry_for_each_object_that_is_there() {
        let (hub, triggers) = joined();
        for number in 0..100 {
            let passing = NamespacedName::from(number.to_string().as_str());
            hub.join(&passing);
            hub.trigger([&passing]);
            hub.leave(&passing);
        }
        assert!(hub.lock().pending.len() <= 4, "{triggers:?}");
        drop(triggers);
        hub.trigger(&objects());
        assert_eq!(hub.lock().pending.len(), 0, "without a reader nothing is kept");
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken_and_the_stream_ends_after_what_is_left() {
        let (hub, triggers) = joined();
        let reading = tokio::spawn(triggers.collect::<Vec<_>>());
        tokio::task::yield_now().await;
        hub.trigger(&objects()[..1]);
        tokio::task::yield_now().await;
        hub.trigger(&objects()[1..]);
        hub.end();
        assert_eq!(reading.await.unwrap().len(), 3);
    }
}
