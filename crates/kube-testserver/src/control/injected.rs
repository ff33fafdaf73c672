//! What a test injected into the server: faults and denials, kept in the order given, each for a number of uses or until it is
//! lifted. What an injection does is decided elsewhere.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// A fault or a denial that was injected.
#[derive(Debug)]
pub(crate) struct Injected<T> {
    pub(crate) what: T,
    /// How many more times it is used; `None` is until lifted.
    left: Option<u32>,
    handle: InjectionHandle,
}

impl<T> Injected<T> {
    /// Whether it still has effect.
    fn in_force(&self) -> bool {
        self.left != Some(0) && !self.handle.0.lifted.load(Ordering::SeqCst)
    }
}

/// The injections in force, oldest first.
#[derive(Debug)]
pub(crate) struct InjectedList<T> {
    injected: Mutex<Vec<Injected<T>>>,
}

impl<T> Default for InjectedList<T> {
    fn default() -> Self {
        Self { injected: Mutex::new(Vec::new()) }
    }
}

impl<T: Clone> InjectedList<T> {
    /// Adds an injection behind the others.
    pub(crate) fn add(&self, what: T, times: Option<u32>) -> InjectionHandle {
        let handle = InjectionHandle::default();
        self.lock().push(Injected { what, left: times, handle: handle.clone() });
        handle
    }

    /// Uses the injection at the index that `choose` picks, if it picks one.
    pub(crate) fn take(&self, choose: impl FnOnce(&[Injected<T>]) -> Option<usize>) -> Option<T> {
        let mut injected = self.lock();
        injected.retain(Injected::in_force);
        let index = choose(&injected)?;
        let chosen = injected.get_mut(index)?;
        chosen.handle.0.hits.fetch_add(1, Ordering::SeqCst);
        if let Some(left) = &mut chosen.left {
            *left = left.saturating_sub(1);
        }
        Some(chosen.what.clone())
    }

    /// Whether `choose` picks an injection. None is used by it.
    pub(crate) fn any(&self, choose: impl FnOnce(&[Injected<T>]) -> Option<usize>) -> bool {
        let mut injected = self.lock();
        injected.retain(Injected::in_force);
        choose(&injected).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Injected<T>>> {
        self.injected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle to a fault or denial that is in force at the server.
///
/// Dropping the handle does not end it. It ends with [`lift`](Self::lift), or when its count is used up.
#[derive(Debug, Clone, Default)]
pub struct InjectionHandle(Arc<Uses>);

#[derive(Debug, Default)]
struct Uses {
    hits: AtomicU64,
    lifted: AtomicBool,
}

impl InjectionHandle {
    /// Ends it: it hits no further request. A request that it holds (never answered, delayed, a silent watch) stays held.
    /// Lifting it again does nothing.
    pub fn lift(&self) {
        self.0.lifted.store(true, Ordering::SeqCst);
    }

    /// Returns the number of requests (or connections) that it has hit.
    pub fn hits(&self) -> u64 {
        self.0.hits.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first<T>(injected: &[Injected<T>]) -> Option<usize> {
        (!injected.is_empty()).then_some(0)
    }

    #[test]
    fn what_is_injected_for_a_count_is_used_that_often() {
        let injected = InjectedList::default();
        let handle = injected.add("a", Some(2));
        assert_eq!([injected.take(first), injected.take(first), injected.take(first)], [Some("a"), Some("a"), None]);
        assert_eq!(handle.hits(), 2);
    }

    #[test]
    fn an_injection_without_a_count_lasts_until_lifted() {
        let injected = InjectedList::default();
        let (a, b) = (injected.add("a", None), injected.add("b", None));
        assert_eq!([injected.take(first), injected.take(first)], [Some("a"), Some("a")]);
        a.lift();
        a.lift();
        assert_eq!(injected.take(first), Some("b"));
        assert_eq!((a.hits(), b.hits()), (2, 1));
    }

    #[test]
    fn dropping_the_handle_ends_nothing() {
        let injected = InjectedList::default();
        drop(injected.add("a", None));
        assert_eq!(injected.take(first), Some("a"));
    }
}
