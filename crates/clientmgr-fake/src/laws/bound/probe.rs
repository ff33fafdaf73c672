//! [`Probe`]: the state that the laws have built, which counts how many of its kind stand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use clientmgr_core::BoundState;
use event_listener::Event;

/// A state that tells a law what becomes of it.
#[derive(Debug)]
pub struct Probe {
    counts: Arc<Counts>,
    torn_down: AtomicUsize,
}

/// What became of the probes of one law.
#[derive(Debug, Default)]
pub(super) struct Counts {
    built: AtomicUsize,
    torn_down: AtomicUsize,
    /// Whether states that were torn down do not end yet.
    held: AtomicBool,
    released: Event,
}

impl Counts {
    pub(super) fn build(self: &Arc<Self>) -> Probe {
        self.built.fetch_add(1, Ordering::SeqCst);
        Probe { counts: Arc::clone(self), torn_down: AtomicUsize::new(0) }
    }

    /// How many were built so far.
    pub(super) fn built(&self) -> usize {
        self.built.load(Ordering::SeqCst)
    }

    /// How many were built and not torn down.
    pub(super) fn standing(&self) -> usize {
        self.built() - self.torn_down.load(Ordering::SeqCst)
    }
}

impl Counts {
    /// Keeps the states that are torn down from ending.
    pub(super) fn hold_ends(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    /// Lets all states that were torn down end.
    pub(super) fn release_ends(&self) {
        self.held.store(false, Ordering::SeqCst);
        self.released.notify(usize::MAX);
    }
}

impl BoundState for Probe {
    fn teardown(&self) {
        assert_eq!(self.torn_down.fetch_add(1, Ordering::SeqCst), 0, "a state was torn down twice");
        self.counts.torn_down.fetch_add(1, Ordering::SeqCst);
    }
    async fn ended(&self) {
        assert!(self.torn_down.load(Ordering::SeqCst) > 0, "a state that was not torn down is waited for");
        loop {
            let released = self.counts.released.listen();
            if !self.counts.held.load(Ordering::SeqCst) {
                return;
            }
            released.await;
        }
    }
}
