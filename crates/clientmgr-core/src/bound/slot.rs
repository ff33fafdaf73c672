//! A slot: the state of one object on one cluster, with the rules' entry about it.
//!
//! Whoever tears down keeps the place occupied until it is done, and no slot leaves the map before: so a successor can
//! never be built beside a state that still ends. What must not live here: the map of slots.

use std::pin::pin;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(not(clientmgr_shuttle))]
use std::sync::{Mutex, MutexGuard};
use std::task::Poll;

use event_listener::Event;
#[cfg(clientmgr_shuttle)]
use shuttle::sync::{Mutex, MutexGuard};

use super::BoundState;
use crate::Revision;
use crate::rules::{self, Decision, Entry, Refresh};

pub(super) struct Slot<R, S> {
    /// Held by the one call that may tear down and build. An async lock: it is held across the build.
    turn: async_lock::Mutex<()>,
    /// Never held across an await, nor while a teardown runs.
    place: Mutex<Place<R, S>>,
    /// Wakes those who wait for their turn in a slot that was forgotten.
    forgotten: Event,
    /// Forgotten, and nothing is being torn down any more: the slot may leave the map.
    over: AtomicBool,
    /// The provider answered once, so there is something to remember.
    touched: AtomicBool,
}

struct Place<R, S> {
    entry: Option<Entry<R>>,
    state: Option<Arc<S>>,
    /// Whether the state broke by itself, and could not be torn down at once.
    broken: bool,
    /// How many teardowns are under way.
    ending: usize,
    /// The object or the cluster was forgotten: whoever still uses the slot must stop.
    forgotten: bool,
}

/// What a slot holds that is right.
pub(super) enum Standing<S> {
    State(Arc<S>),
    Nothing,
    Forgotten,
}

impl<R: Revision, S: BoundState> Slot<R, S> {
    pub(super) fn new() -> Self {
        let place = Place { entry: None, state: None, broken: false, ending: 0, forgotten: false };
        Self {
            turn: async_lock::Mutex::new(()),
            place: Mutex::new(place),
            forgotten: Event::new(),
            over: AtomicBool::new(false),
            touched: AtomicBool::new(false),
        }
    }

    /// Waits until no other call tears down or builds here. Waiting calls come in their order. `None` where the slot is
    /// forgotten meanwhile, however long the build that it waited for goes on.
    pub(super) async fn turn(&self) -> Option<async_lock::MutexGuard<'_, ()>> {
        if let Some(turn) = self.turn.try_lock() {
            return Some(turn);
        }
        let mut forgotten = pin!(self.forgotten.listen());
        if self.place().forgotten {
            return None;
        }
        let mut turn = pin!(self.turn.lock());
        std::future::poll_fn(|context| match turn.as_mut().poll(context) {
            Poll::Ready(turn) => Poll::Ready(Some(turn)),
            Poll::Pending => forgotten.as_mut().poll(context).map(|()| None),
        })
        .await
    }

    /// Decides whether what stands is still right. If not, it has been torn down on return. Call it in the turn.
    pub(super) fn refresh(&self, observed: Option<&R>) -> Standing<S> {
        let mut place = self.place();
        if place.forgotten {
            return Standing::Forgotten;
        }
        let said = place.decide(|entry| rules::refresh(entry, observed));
        if said == Refresh::Unchanged && !place.broken {
            return place.state.clone().map_or(Standing::Nothing, Standing::State);
        }
        self.tear_down(place);
        Standing::Nothing
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

    /// Makes `state` the standing one. `None` where the slot was forgotten meanwhile: then it was torn down.
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

    /// Tears `broken` down if it is what stands, at once or, where another call has the turn, before anything else is
    /// built. The entry stays: the object still has the right to its client.
    pub(super) fn discard(&self, broken: &Arc<S>) -> bool {
        let turn = self.turn.try_lock();
        let mut place = self.place();
        if !place.state.as_ref().is_some_and(|standing| Arc::ptr_eq(standing, broken)) {
            return false;
        }
        if turn.is_some() {
            self.tear_down(place);
        } else {
            place.broken = true;
        }
        true
    }

    /// Tears down what stands, for good: a build under way will find that it came too late.
    pub(super) fn forget(&self) {
        let mut place = self.place();
        place.forgotten = true;
        self.tear_down(place);
    }

    /// Whether the slot was forgotten and all of it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Whether there is something to remember.
    pub(super) fn is_touched(&self) -> bool {
        let touched = self.touched.load(Ordering::Acquire);
        // Under the tests' scheduler anything may happen after it, as it may with threads.
        #[cfg(clientmgr_shuttle)]
        shuttle::thread::yield_now();
        touched
    }

    /// Tears down what stands, if anything does, without the lock. Whoever ends last in a forgotten slot ends the slot.
    fn tear_down(&self, mut place: MutexGuard<'_, Place<R, S>>) {
        let state = place.state.take();
        place.broken = false;
        place.ending += 1;
        drop(place);
        let _ending = Ending(self);
        if let Some(state) = state {
            state.teardown();
        }
    }

    /// A panic cannot leave a place half-written, so a poisoned lock is as good as any.
    fn place(&self) -> MutexGuard<'_, Place<R, S>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A teardown under way. Ends when it is dropped, also by a teardown that panics.
struct Ending<'a, R: Revision, S: BoundState>(&'a Slot<R, S>);

impl<R: Revision, S: BoundState> Drop for Ending<'_, R, S> {
    fn drop(&mut self) {
        let mut place = self.0.place();
        place.ending -= 1;
        let forgotten = place.forgotten;
        if forgotten && place.ending == 0 {
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
        let (change, said) = decide(self.entry.as_ref());
        if change.is_some() {
            self.entry = change;
        }
        said
    }
}

#[cfg(all(test, not(clientmgr_shuttle)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use futures::executor::block_on;

    use super::{BoundState, Slot, Standing};
    use crate::Ordered;
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
    fn standing() -> (Slot<Ordered<u8>, Counting>, Arc<Counting>, Arc<AtomicUsize>) {
        let (slot, teardowns) = (Slot::new(), Arc::new(AtomicUsize::new(0)));
        slot.decide(|entry| admit(entry, Some(&ONE), &ONE)).unwrap();
        let state = slot.install(Counting(Arc::clone(&teardowns))).unwrap();
        (slot, state, teardowns)
    }

    #[test]
    fn a_state_that_is_discarded_in_the_turn_of_another_call_is_torn_down_before_anything_is_built() {
        let (slot, state, teardowns) = standing();
        let turn = block_on(slot.turn()).unwrap();
        assert!(slot.discard(&state));
        assert_eq!(teardowns.load(SeqCst), 0, "the other call may be using it");
        assert!(matches!(slot.refresh(Some(&ONE)), Standing::Nothing));
        assert_eq!(teardowns.load(SeqCst), 1);
        drop(turn);

        // The mark went with the state.
        let successor = slot.install(Counting(Arc::clone(&teardowns))).unwrap();
        assert!(matches!(slot.refresh(Some(&ONE)), Standing::State(state) if Arc::ptr_eq(&state, &successor)));
        assert_eq!(teardowns.load(SeqCst), 1);
    }

    #[test]
    fn a_forgotten_slot_decides_nothing_and_keeps_nothing() {
        let (slot, _, teardowns) = standing();
        assert!(!slot.is_over() && slot.is_touched());
        slot.forget();
        assert!(slot.is_over());
        assert_eq!(slot.decide(|_| (None, ())), None);
        assert!(matches!(slot.refresh(Some(&ONE)), Standing::Forgotten));
        assert!(slot.install(Counting(Arc::clone(&teardowns))).is_none());
        assert_eq!(teardowns.load(SeqCst), 2, "what stood, and what came too late");
    }
}
