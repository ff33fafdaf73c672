//! The store with the lock, the clock and the counter that requests and watches share.

use std::sync::{
    PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicU64, Ordering},
};

use jiff::Timestamp;

use crate::api::store::objects::Store;

/// The time of day, from one place.
pub(crate) type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// What handles and watches share.
pub(crate) struct Shared {
    store: RwLock<Store>,
    clock: Clock,
    watches: AtomicU64,
}

impl Shared {
    /// An empty cluster that takes the time of day from `clock`.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { store: RwLock::new(Store::new()), clock, watches: AtomicU64::new(0) }
    }

    // A poisoned lock means that an answer panicked half way; the store is written in single steps, so it
    // is as it was before or after one, and other clients go on.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Store> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Store> {
        self.store.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(crate) fn next_watch(&self) -> u64 {
        self.watches.fetch_add(1, Ordering::Relaxed)
    }
}
