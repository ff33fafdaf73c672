//! Interned cluster keys: one copy for all the objects that use a cluster, removed with its last use.

#![expect(clippy::disallowed_types, reason = "the guards of its map do not leave this file")]

use std::ops::Deref;
use std::sync::{Arc, Weak};

use dashmap::{DashMap, Entry};
use foldhash::fast::RandomState;

use crate::key::Key;

/// The keys in use. Nothing of a user runs under the map's guards but the comparisons, hashes and clones of a key.
pub(crate) struct Interner<K: Key>(Arc<Table<K>>);

type Table<K> = DashMap<K, Weak<Node<K>>, RandomState>;

/// A shared copy of a key. Equal keys of one interner are one copy, so handles compare by address.
pub(crate) struct Interned<K: Key>(Arc<Node<K>>);

struct Node<K: Key> {
    key: K,
    table: Arc<Table<K>>,
}

impl<K: Key> Interner<K> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// Returns the shared copy of `key`.
    pub(crate) fn intern(&self, key: &K) -> Interned<K> {
        if let Some(node) = self.0.get(key).and_then(|known| known.upgrade()) {
            return Interned(node);
        }
        // Another thread may intern the same key meanwhile.
        let entry = self.0.entry(key.clone());
        if let Entry::Occupied(known) = &entry
            && let Some(node) = known.get().upgrade()
        {
            return Interned(node);
        }
        let node = Arc::new(Node { key: key.clone(), table: Arc::clone(&self.0) });
        entry.insert(Arc::downgrade(&node));
        Interned(node)
    }

    /// How many keys are in use.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.len()
    }
}

impl<K: Key> Drop for Node<K> {
    fn drop(&mut self) {
        // Between the last use and this removal another thread may have interned the key again. That node stays.
        let removed = self.table.remove_if(&self.key, |_, node| std::ptr::eq(node.as_ptr(), self));
        drop(removed);
    }
}

impl<K: Key> Clone for Interned<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Key> PartialEq for Interned<K> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<K: Key> Deref for Interned<K> {
    type Target = K;

    #[inline]
    fn deref(&self) -> &K {
        &self.0.key
    }
}

#[cfg(all(test, not(clientmgr_shuttle)))]
mod tests {
    use std::sync::Arc;

    use super::Interner;

    #[test]
    fn equal_keys_share_one_copy() {
        let keys = Interner::new();
        let first = keys.intern(&"east".to_owned());
        assert!(first == keys.intern(&"east".to_owned()));
        assert!(first != keys.intern(&"west".to_owned()));
        assert_eq!((&**first, keys.len()), ("east", 1));
    }

    #[test]
    fn a_key_is_removed_with_its_last_use() {
        let key = Arc::new("east".to_owned());
        let keys = Interner::new();
        let first = keys.intern(&key);
        let second = first.clone();
        drop(first);
        assert_eq!(keys.len(), 1);
        drop(second);
        assert_eq!((keys.len(), Arc::strong_count(&key)), (0, 1));
    }

    #[test]
    fn threads_that_intern_and_drop_one_key_leave_nothing() {
        let keys = Interner::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        let one = keys.intern(&7_u8);
                        assert!(one == keys.intern(&7));
                    }
                });
            }
        });
        assert_eq!(keys.len(), 0);
    }
}
