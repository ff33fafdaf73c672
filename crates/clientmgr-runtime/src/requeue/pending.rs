//! [`Pending`]: what the reader has not read yet. Plain data.

use std::collections::{HashSet, VecDeque};

use clientmgr_kube::NamespacedName;

/// A queue in which each object is at most once.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    order: VecDeque<NamespacedName>,
    known: HashSet<NamespacedName>,
}

impl Pending {
    /// Adds `object` at the end, unless it is pending already.
    pub(crate) fn push(&mut self, object: &NamespacedName) {
        if !self.known.contains(object) {
            self.known.insert(object.clone());
            self.order.push_back(object.clone());
        }
    }

    /// Takes the object that has been pending longest.
    pub(crate) fn pop(&mut self) -> Option<NamespacedName> {
        let object = self.order.pop_front()?;
        self.known.remove(&object);
        if self.order.is_empty() {
            // A burst must not keep its memory.
            *self = Self::default();
        }
        Some(object)
    }

    /// Removes the objects that `keep` returns false for.
    pub(crate) fn retain(&mut self, keep: impl Fn(&NamespacedName) -> bool) {
        self.order.retain(&keep);
        self.known.retain(keep);
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use clientmgr_kube::NamespacedName;

    use super::Pending;

    #[test]
    fn an_object_is_pending_once_and_in_the_order_of_its_first_push() {
        let mut pending = Pending::default();
        let [a, b, c] = ["a", "b", "c"].map(NamespacedName::from);
        for object in [&b, &a, &b, &c, &a] {
            pending.push(object);
        }
        pending.retain(|object| *object != c);
        assert_eq!((pending.len(), pending.pop()), (2, Some(b.clone())));
        pending.push(&b);
        pending.push(&c);
        let rest: Vec<_> = std::iter::from_fn(|| pending.pop()).collect();
        assert_eq!(rest, [a, b, c]);
    }
}
