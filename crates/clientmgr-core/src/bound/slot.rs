//! [`Slot`]: the state of one object on one cluster, with the rules' entry about it.
//!
//! A state that was torn down stays in the slot until it has ended, and a slot stays in the map until its teardowns are
//! over: so no state is built beside one that still ends. What must not live here: the map of slots.

use std::future::poll_fn;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(not(clientmgr_shuttle))]
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use event_listener::Event;
#[cfg(clientmgr_shuttle)]
use shuttle::sync::{Mutex, MutexGuard};

use super::state::BoundState;
use crate::revision::Revision;
use crate::rules::{self, Decision, Entry, Refresh};

pub(super) struct Slot<R, S> {
    /// Held by the one call that may tear down and build. An async lock: it is held across the build.
    turn: async_lock::Mutex<()>,
    /// Never held across an await, nor while a user's code runs.
    place: Mutex<Place<R, S>>,
    /// Wakes the calls that wait in a slot that was forgotten.
    forgotten: Event,
    /// Forgotten, and no teardown is running: the slot may leave the map.
    over: AtomicBool,
    /// The provider answered once, so there is something to remember.
    touched: AtomicBool,
}

struct Place<R, S> {
    entry: Option<Entry<R>>,
    state: Option<Arc<S>>,
    /// The state broke by itself, and could not be torn down at once.
    broken: bool,
    /// How many teardowns are running.
    teardowns: usize,
    /// States whose teardown has begun and that have not ended.
    ending: Vec<Arc<S>>,
    /// The object or the cluster was forgotten: calls that still use the slot must stop.
    forgotten: bool,
}

/// The current content of a slot.
pub(super) enum Current<S> {
    State(Arc<S>),
    Nothing,
    Forgotten,
}

impl<R: Revision, S: BoundState> Slot<R, S> {
    /// A slot whose first build waits until the states in `ending` have ended.
    pub(super) fn new(ending: Vec<Arc<S>>) -> Self {
        let place = Place { entry: None, state: None, broken: false, teardowns: 0, ending, forgotten: false };
        Self {
            turn: async_lock::Mutex::new(()),
            place: Mutex::new(place),
            forgotten: Event::new(),
            over: AtomicBool::new(false),
            touched: AtomicBool::new(false),
        }
    }

    /// Waits until no other call tears down or builds here. Waiting calls are served in order. `None` where the slot was
    /// forgotten meanwhile.
    pub(super) async fn turn(&self) -> Option<async_lock::MutexGuard<'_, ()>> {
        if let Some(turn) = self.turn.try_lock() {
            return Some(turn);
        }
        self.unless_forgotten(self.turn.lock()).await
    }

    /// Waits until every state that was torn down here has ended. Call it in the turn. `None` where the slot was forgotten
    /// meanwhile.
    pub(super) async fn ended(&self) -> Option<()> {
        loop {
            let Some(state) = self.place().ending.first().map(Arc::clone) else {
                return Some(());
            };
            let mut ended = pin!(end_of(&*state));
            self.unless_forgotten(poll_fn(|context| poll_end(ended.as_mut(), context))).await?;
            self.place().ending.retain(|other| !Arc::ptr_eq(other, &state));
        }
    }

    /// Waits for `future`. `None` as soon as the slot is forgotten.
    async fn unless_forgotten<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut forgotten = pin!(self.forgotten.listen());
        if self.place().forgotten {
            return None;
        }
        let mut future = pin!(future);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => forgotten.as_mut().poll(context).map(|()| None),
        })
        .await
    }

    /// Decides whether the state is still right, and tears it down if not. Call it in the turn.
    pub(super) fn refresh(&self, observed: Option<&R>) -> Current<S> {
        let mut place = self.place();
        if place.forgotten {
            return Current::Forgotten;
        }
        let decided = place.decide(|entry| rules::refresh(entry, observed));
        if decided == Refresh::Unchanged && !place.broken {
            return place.state.clone().map_or(Current::Nothing, Current::State);
        }
        self.tear_down(place);
        Current::Nothing
    }

    /// Decides on the entry and stores the decision. `None` where the slot was forgotten: then nothing is decided.
    pub(super) fn decide<T>(&self, decide: impl FnOnce(Option<&Entry<R>>) -> Decision<R, T>) -> Option<T> {
        let mut place = self.place();
        if place.forgotten {
            return None;
        }
        self.touched.store(true, Ordering::Release);
        Some(place.decide(decide))
    }

    /// Makes `state` the current one. `None` where the slot was forgotten meanwhile: then `state` was torn down.
    pub(super) fn install(&self, state: S) -> Option<Arc<S>> {
        let state = Arc::new(state);
        let mut place = self.place();
        place.state = Some(Arc::clone(&state));
        if place.forgotten {
            self.tear_down(place);
            return None;
        }
        Some(state)
    }

    /// Tears `broken` down if it is the current state: at once or, where another call has the turn, before the next build.
    /// The entry stays, since the object still holds its client.
    pub(super) fn discard(&self, broken: &Arc<S>) -> bool {
        let turn = self.turn.try_lock();
        let mut place = self.place();
        if !place.state.as_ref().is_some_and(|current| Arc::ptr_eq(current, broken)) {
            return false;
        }
        if turn.is_some() {
            self.tear_down(place);
        } else {
            place.broken = true;
        }
        true
    }

    /// Tears down the current state for good. A build that is running is torn down when it completes.
    pub(super) fn forget(&self) {
        let mut place = self.place();
        place.forgotten = true;
        self.tear_down(place);
    }

    /// Returns whether the slot was forgotten and no teardown is running.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Returns whether there is something to remember.
    pub(super) fn is_touched(&self) -> bool {
        let touched = self.touched.load(Ordering::Acquire);
        // The tests' scheduler must be able to switch here, as real threads are.
        #[cfg(clientmgr_shuttle)]
        shuttle::thread::yield_now();
        touched
    }

    /// Takes out the states that have not ended.
    pub(super) fn take_ending(&self) -> Vec<Arc<S>> {
        mem::take(&mut self.place().ending)
    }

    /// Tears down the current state, if there is one, without the lock.
    fn tear_down(&self, mut place: MutexGuard<'_, Place<R, S>>) {
        let state = place.state.take();
        place.broken = false;
        place.teardowns += 1;
        place.ending.extend(state.clone());
        drop(place);
        let _running = Teardown(self);
        if let Some(state) = state {
            state.teardown();
            if has_ended(&state) {
                self.place().ending.retain(|other| !Arc::ptr_eq(other, &state));
            }
        }
    }

    /// A panic cannot leave a place half-written, so a poisoned lock is as good as any.
    fn place(&self) -> MutexGuard<'_, Place<R, S>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether a state that was torn down has ended by now.
pub(super) fn has_ended<S: BoundState>(state: &Arc<S>) -> bool {
    poll_end(pin!(end_of(&**state)), &mut Context::from_waker(Waker::noop())).is_ready()
}

/// The end of a state, which is asked for in the first poll.
async fn end_of<S: BoundState>(state: &S) {
    state.ended().await;
}

/// Polls the end of a state. One that panics has ended: whether it ever does otherwise cannot be known, and its successor
/// must not wait forever.
fn poll_end(ended: Pin<&mut impl Future<Output = ()>>, context: &mut Context<'_>) -> Poll<()> {
    catch_unwind(AssertUnwindSafe(|| ended.poll(context))).unwrap_or(Poll::Ready(()))
}

/// A running teardown. It is over when this is dropped, also if the teardown panics.
struct Teardown<'a, R: Revision, S: BoundState>(&'a Slot<R, S>);

impl<R: Revision, S: BoundState> Drop for Teardown<'_, R, S> {
    fn drop(&mut self) {
        let mut place = self.0.place();
        place.teardowns -= 1;
        let forgotten = place.forgotten;
        if forgotten && place.teardowns == 0 {
            self.0.over.store(true, Ordering::Release);
        }
        drop(place);
        if forgotten {
            self.0.forgotten.notify(usize::MAX);
        }
    }
}

impl<R, S> Place<R, S> {
    fn decide<T>(&mut self, decide: impl FnOnce(Option<&Entry<R>>) -> Decision<R, T>) -> T {
        let (change, decided) = decide(self.entry.as_ref());
        if change.is_some() {
            self.entry = change;
        }
        decided
    }
}

#[cfg(all(test, not(clientmgr_shuttle)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use futures::executor::block_on;

    use super::{BoundState, Current, Slot};
    use crate::revision::Ordered;
    use crate::rules::admit;

    #[derive(Default)]
    struct Counting(Arc<AtomicUsize>);

    impl BoundState for Counting {
        fn teardown(&self) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    const ONE: Ordered<u8> = Ordered(1);

    /// A slot with a state that was built on the first connection, and the count of its teardowns.
    fn slot_with_a_state() -> (Slot<Ordered<u8>, Counting>, Arc<Counting>, Arc<AtomicUsize>) {
        let (slot, teardowns) = (Slot::new(Vec::new()), Arc::new(AtomicUsize::new(0)));
        slot.decide(|entry| admit(entry, Some(&ONE), &ONE)).unwrap();
        let state = slot.install(Counting(Arc::clone(&teardowns))).unwrap();
        (slot, state, teardowns)
    }

    #[test]
    fn a_state_that_is_discarded_in_the_turn_of_another_call_is_torn_down_before_anything_is_built() {
        let (slot, state, teardowns) = slot_with_a_state();
        let turn = block_on(slot.turn()).unwrap();
        assert!(slot.discard(&state));
        assert_eq!(teardowns.load(SeqCst), 0, "the other call may be using it");
        assert!(matches!(slot.refresh(Some(&ONE)), Current::Nothing));
        assert_eq!(teardowns.load(SeqCst), 1);
        drop(turn);

        // The mark went with the state.
        let successor = slot.install(Counting(Arc::clone(&teardowns))).unwrap();
        assert!(matches!(slot.refresh(Some(&ONE)), Current::State(state) if Arc::ptr_eq(&state, &successor)));
        assert_eq!(teardowns.load(SeqCst), 1);
    }

    #[test]
    fn a_forgotten_slot_decides_nothing_and_keeps_nothing() {
        let (slot, _, teardowns) = slot_with_a_state();
        assert!(!slot.is_over() && slot.is_touched());
        slot.forget();
        assert!(slot.is_over());
        assert_eq!(slot.decide(|_| (None, ())), None);
        assert!(matches!(slot.refresh(Some(&ONE)), Current::Forgotten));
        assert!(slot.install(Counting(Arc::clone(&teardowns))).is_none());
        assert_eq!(teardowns.load(SeqCst), 2, "the current state, and the late one");
    }
}
