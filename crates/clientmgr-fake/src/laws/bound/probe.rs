//! [`Probe`]: the state that the laws have built, which counts how many of its kind stand.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clientmgr_core::BoundState;

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

impl BoundState for Probe {
    fn teardown(&self) {
        assert_eq!(self.torn_down.fetch_add(1, Ordering::SeqCst), 0, "a state was torn down twice");
        self.counts.torn_down.fetch_add(1, Ordering::SeqCst);
    }
}
