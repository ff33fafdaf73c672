//! Standing orders to the server: kept in the order given, used a number of times or until lifted. What an
//! order means (a fault, a denial) is its type's business.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// One standing order.
#[derive(Debug)]
pub(crate) struct Rule<T> {
    pub(crate) order: T,
    /// How many more times it is used; `None` is until lifted.
    pub(crate) left: Option<u32>,
    tally: Arc<Tally>,
}

impl<T> Rule<T> {
    /// Whether it still has effect.
    pub(crate) fn in_force(&self) -> bool {
        self.left != Some(0)
    }
}

#[derive(Debug, Default)]
struct Tally {
    used: AtomicU64,
    lifted: AtomicBool,
}

/// The orders in force, oldest first.
#[derive(Debug)]
pub(crate) struct Rules<T> {
    rules: Mutex<Vec<Rule<T>>>,
}

impl<T> Default for Rules<T> {
    fn default() -> Self {
        Self { rules: Mutex::new(Vec::new()) }
    }
}

impl<T: Clone + Send + 'static> Rules<T> {
    /// Adds an order behind the standing ones.
    pub(crate) fn add(self: &Arc<Self>, order: T, times: Option<u32>) -> Standing {
        let tally = Arc::new(Tally::default());
        self.lock().push(Rule { order, left: times, tally: Arc::clone(&tally) });
        let rules: Weak<Self> = Arc::downgrade(self);
        let lifter = move |tally: &Arc<Tally>| {
            if let Some(rules) = rules.upgrade() {
                rules.lock().retain(|rule| !Arc::ptr_eq(&rule.tally, tally));
            }
        };
        Standing { tally, lifter: Arc::new(lifter) }
    }

    /// Uses the order at the index that `choose` picks, if it picks one.
    pub(crate) fn take(&self, choose: impl FnOnce(&[Rule<T>]) -> Option<usize>) -> Option<T> {
        let mut rules = self.lock();
        let index = choose(&rules)?;
        let rule = rules.get_mut(index)?;
        rule.tally.used.fetch_add(1, Ordering::SeqCst);
        let order = rule.order.clone();
        if let Some(left) = &mut rule.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                rules.remove(index);
            }
        }
        Some(order)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Rule<T>>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fault or denial that stands at the server until it is used up or lifted.
///
/// Dropping this leaves it standing.
#[derive(Clone)]
pub struct Standing {
    tally: Arc<Tally>,
    lifter: Arc<dyn Fn(&Arc<Tally>) + Send + Sync>,
}

impl Standing {
    /// Ends it: no request from now on is touched by it. A request already held by it (never answered,
    /// delayed, a silent watch) stays held. Does nothing the second time.
    pub fn lift(&self) {
        if !self.tally.lifted.swap(true, Ordering::SeqCst) {
            (self.lifter)(&self.tally);
        }
    }

    /// How many requests (or connections) it has met.
    pub fn hits(&self) -> u64 {
        self.tally.used.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing")
            .field("hits", &self.hits())
            .field("lifted", &self.tally.lifted)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first<T>(rules: &[Rule<T>]) -> Option<usize> {
        (!rules.is_empty()).then_some(0)
    }

    #[test]
    fn an_order_for_a_count_is_used_that_often() {
        let rules = Arc::new(Rules::default());
        let standing = rules.add("a", Some(2));
        assert_eq!([rules.take(first), rules.take(first), rules.take(first)], [Some("a"), Some("a"), None]);
        assert_eq!(standing.hits(), 2);
    }

    #[test]
    fn an_order_without_a_count_stands_until_lifted() {
        let rules = Arc::new(Rules::default());
        let (a, b) = (rules.add("a", None), rules.add("b", None));
        assert_eq!([rules.take(first), rules.take(first)], [Some("a"), Some("a")]);
        a.lift();
        a.lift();
        assert_eq!(rules.take(first), Some("b"));
        assert_eq!((a.hits(), b.hits()), (2, 1));
    }

    #[test]
    fn dropping_the_handle_leaves_the_order() {
        let rules = Arc::new(Rules::default());
        drop(rules.add("a", None));
        assert_eq!(rules.take(first), Some("a"));
    }
}
