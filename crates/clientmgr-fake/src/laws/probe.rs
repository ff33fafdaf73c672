//! [`Probe`]: the state that the laws build, which counts the states that were built and torn down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use clientmgr_core::BoundState;
use event_listener::Event;

/// A state that counts its builds and teardowns.
#[derive(Debug)]
pub struct Probe {
    counts: Arc<Counts>,
    torn_down: AtomicUsize,
}

/// The counts of the probes of one law.
#[derive(Debug, Default)]
pub(in crate::laws) struct Counts {
    built: AtomicUsize,
    torn_down: AtomicUsize,
    /// Whether states that were torn down do not end yet.
    held: AtomicBool,
    released: Event,
}

impl Counts {
    pub(in crate::laws) fn build(self: &Arc<Self>) -> Probe {
        self.built.fetch_add(1, Ordering::SeqCst);
        Probe { counts: Arc::clone(self), torn_down: AtomicUsize::new(0) }
    }

    /// Returns how many were built.
    pub(in crate::laws) fn built(&self) -> usize {
        self.built.load(Ordering::SeqCst)
    }

    /// Returns how many were built and not torn down.
    pub(in crate::laws) fn current(&self) -> usize {
        self.built() - self.torn_down.load(Ordering::SeqCst)
    }
}

impl Counts {
    /// Keeps the states that are torn down from ending.
    pub(in crate::laws) fn hold_ends(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    /// Lets all states that were torn down end.
    pub(in crate::laws) fn release_ends(&self) {
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
