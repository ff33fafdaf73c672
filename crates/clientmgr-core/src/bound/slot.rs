//! A slot: the state of one object on one cluster, with the rules' entry about it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::BoundState;
use crate::Revision;
use crate::rules::{self, Decision, Entry, Refresh};

pub(super) struct Slot<R, S> {
    /// Held by the one call that may tear down and build. An async lock: it is held across the build.
    turn: async_lock::Mutex<()>,
    /// Never held across an await, nor while a teardown runs.
    place: Mutex<Place<R, S>>,
}

struct Place<R, S> {
    entry: Option<Entry<R>>,
    state: Option<Arc<S>>,
    /// The object or the cluster was forgotten: the slot is in no map any more, and whoever still uses it must stop.
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
        let place = Place { entry: None, state: None, forgotten: false };
        Self { turn: async_lock::Mutex::new(()), place: Mutex::new(place) }
    }

    /// Waits until no other call tears down or builds here. Waiting calls come in their order.
    pub(super) async fn turn(&self) -> async_lock::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Decides whether what stands is still right. If not, it has been torn down on return.
    pub(super) fn refresh(&self, observed: Option<&R>) -> Standing<S> {
        let old = {
            let mut place = self.place();
            if place.forgotten {
                return Standing::Forgotten;
            }
            match place.decide(|entry| rules::refresh(entry, observed)) {
                Refresh::Unchanged => return place.state.clone().map_or(Standing::Nothing, Standing::State),
                Refresh::Reset => place.state.take(),
            }
        };
        tear_down(old);
        Standing::Nothing
    }

    /// Decides on the entry and stores the decision. `None` where the slot was forgotten: then nothing is decided.
    pub(super) fn decide<T>(&self, decide: impl FnOnce(Option<&Entry<R>>) -> Decision<R, T>) -> Option<T> {
        let mut place = self.place();
        (!place.forgotten).then(|| place.decide(decide))
    }

    /// Makes `state` the standing one. `None` where the slot was forgotten meanwhile: then it was torn down.
    pub(super) fn install(&self, state: S) -> Option<Arc<S>> {
        let state = Arc::new(state);
        {
            let mut place = self.place();
            if !place.forgotten {
                place.state = Some(Arc::clone(&state));
                return Some(state);
            }
        }
        state.teardown();
        None
    }

    /// Tears down what stands. The entry stays: the object still has the right to its client.
    pub(super) fn discard(&self) {
        let old = self.place().state.take();
        tear_down(old);
    }

    /// Tears down what stands, for good: a build under way will find that it came too late.
    pub(super) fn forget(&self) {
        let old = {
            let mut place = self.place();
            place.forgotten = true;
            place.state.take()
        };
        tear_down(old);
    }

    /// A panic cannot leave a place half-written, so a poisoned lock is as good as any.
    fn place(&self) -> MutexGuard<'_, Place<R, S>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
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

fn tear_down<S: BoundState>(state: Option<Arc<S>>) {
    if let Some(state) = state {
        state.teardown();
    }
}
