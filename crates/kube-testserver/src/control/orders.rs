//! Standing orders to the server: kept in the order given, used a number of times or until lifted. What an
//! order means (a fault, a denial) is its type's business.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// One standing order.
#[derive(Debug)]
pub(crate) struct Rule<T> {
    pub(crate) order: T,
    /// How many more times it is used; `None` is until lifted.
    left: Option<u32>,
    standing: Standing,
}

impl<T> Rule<T> {
    /// Whether it still has effect.
    fn in_force(&self) -> bool {
        self.left != Some(0) && !self.standing.0.lifted.load(Ordering::SeqCst)
    }
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

impl<T: Clone> Rules<T> {
    /// Adds an order behind the standing ones.
    pub(crate) fn add(&self, order: T, times: Option<u32>) -> Standing {
        let standing = Standing::default();
        self.lock().push(Rule { order, left: times, standing: standing.clone() });
        standing
    }

    /// Uses the order at the index that `choose` picks, if it picks one.
    pub(crate) fn take(&self, choose: impl FnOnce(&[Rule<T>]) -> Option<usize>) -> Option<T> {
        let mut rules = self.lock();
        rules.retain(Rule::in_force);
        let index = choose(&rules)?;
        let rule = rules.get_mut(index)?;
        rule.standing.0.hits.fetch_add(1, Ordering::SeqCst);
        if let Some(left) = &mut rule.left {
            *left = left.saturating_sub(1);
        }
        Some(rule.order.clone())
    }

    /// Whether `choose` picks an order. None is used by it.
    pub(crate) fn any(&self, choose: impl FnOnce(&[Rule<T>]) -> Option<usize>) -> bool {
        let mut rules = self.lock();
        rules.retain(Rule::in_force);
        choose(&rules).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Rule<T>>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fault or denial that stands at the server until it is used up or lifted.
///
/// Dropping this leaves it standing: [`lift`](Self::lift) ends it, or the count it was given for.
#[derive(Debug, Clone, Default)]
pub struct Standing(Arc<Tally>);

#[derive(Debug, Default)]
struct Tally {
    hits: AtomicU64,
    lifted: AtomicBool,
}

impl Standing {
    /// Ends it: no request from now on is touched by it. A request already held by it (never answered,
    /// delayed, a silent watch) stays held. Does nothing the second time.
    pub fn lift(&self) {
        self.0.lifted.store(true, Ordering::SeqCst);
    }

    /// How many requests (or connections) it has met.
    pub fn hits(&self) -> u64 {
        self.0.hits.load(Ordering::SeqCst)
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
        let rules = Rules::default();
        let standing = rules.add("a", Some(2));
        assert_eq!([rules.take(first), rules.take(first), rules.take(first)], [Some("a"), Some("a"), None]);
        assert_eq!(standing.hits(), 2);
    }

    #[test]
    fn an_order_without_a_count_stands_until_lifted() {
        let rules = Rules::default();
        let (a, b) = (rules.add("a", None), rules.add("b", None));
        assert_eq!([rules.take(first), rules.take(first)], [Some("a"), Some("a")]);
        a.lift();
        a.lift();
        assert_eq!(rules.take(first), Some("b"));
        assert_eq!((a.hits(), b.hits()), (2, 1));
    }

    #[test]
    fn dropping_the_handle_leaves_the_order() {
        let rules = Rules::default();
        drop(rules.add("a", None));
        assert_eq!(rules.take(first), Some("a"));
    }
}
