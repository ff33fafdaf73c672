//! Orders of a test to the server: kept in the order given, each for a number of uses or until it is lifted. What an order
//! means (a fault, a denial) is decided by its type.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// One order.
#[derive(Debug)]
pub(crate) struct Order<T> {
    pub(crate) what: T,
    /// How many more times it is used; `None` is until lifted.
    left: Option<u32>,
    handle: InjectionHandle,
}

impl<T> Order<T> {
    /// Whether it still has effect.
    fn in_force(&self) -> bool {
        self.left != Some(0) && !self.handle.0.lifted.load(Ordering::SeqCst)
    }
}

/// The orders in force, oldest first.
#[derive(Debug)]
pub(crate) struct Orders<T> {
    orders: Mutex<Vec<Order<T>>>,
}

impl<T> Default for Orders<T> {
    fn default() -> Self {
        Self { orders: Mutex::new(Vec::new()) }
    }
}

impl<T: Clone> Orders<T> {
    /// Adds an order behind the others.
    pub(crate) fn add(&self, order: T, times: Option<u32>) -> InjectionHandle {
        let handle = InjectionHandle::default();
        self.lock().push(Order { what: order, left: times, handle: handle.clone() });
        handle
    }

    /// Uses the order at the index that `choose` picks, if it picks one.
    pub(crate) fn take(&self, choose: impl FnOnce(&[Order<T>]) -> Option<usize>) -> Option<T> {
        let mut orders = self.lock();
        orders.retain(Order::in_force);
        let index = choose(&orders)?;
        let order = orders.get_mut(index)?;
        order.handle.0.hits.fetch_add(1, Ordering::SeqCst);
        if let Some(left) = &mut order.left {
            *left = left.saturating_sub(1);
        }
        Some(order.what.clone())
    }

    /// Whether `choose` picks an order. None is used by it.
    pub(crate) fn any(&self, choose: impl FnOnce(&[Order<T>]) -> Option<usize>) -> bool {
        let mut orders = self.lock();
        orders.retain(Order::in_force);
        choose(&orders).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Order<T>>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle to a fault or denial that is in force at the server.
///
/// Dropping the handle does not end it. It ends with [`lift`](Self::lift), or when its count is used up.
#[derive(Debug, Clone, Default)]
pub struct InjectionHandle(Arc<Tally>);

#[derive(Debug, Default)]
struct Tally {
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

    fn first<T>(orders: &[Order<T>]) -> Option<usize> {
        (!orders.is_empty()).then_some(0)
    }

    #[test]
    fn an_order_for_a_count_is_used_that_often() {
        let orders = Orders::default();
        let handle = orders.add("a", Some(2));
        assert_eq!([orders.take(first), orders.take(first), orders.take(first)], [Some("a"), Some("a"), None]);
        assert_eq!(handle.hits(), 2);
    }

    #[test]
    fn an_injection_without_a_count_lasts_until_lifted() {
        let orders = Orders::default();
        let (a, b) = (orders.add("a", None), orders.add("b", None));
        assert_eq!([orders.take(first), orders.take(first)], [Some("a"), Some("a")]);
        a.lift();
        a.lift();
        assert_eq!(orders.take(first), Some("b"));
        assert_eq!((a.hits(), b.hits()), (2, 1));
    }

    #[test]
    fn dropping_the_handle_leaves_the_order() {
        let orders = Orders::default();
        drop(orders.add("a", None));
        assert_eq!(orders.take(first), Some("a"));
    }
}
