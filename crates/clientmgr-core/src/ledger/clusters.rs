//! Interned cluster keys: each is stored once for all the objects that use the cluster, and dropped with the last use.

use std::borrow::Borrow;
use std::ops::Deref;
use std::sync::Arc;

use crate::Key;
use crate::sharded::{ShardedMap, Shards, Vacant};

/// A use of a cluster's one shared key.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Interned<K>(Arc<K>);

impl<K> Interned<K> {
    pub(super) fn new(key: K) -> Self {
        Self(Arc::new(key))
    }
}

impl<K> Clone for Interned<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Deref for Interned<K> {
    type Target = K;

    #[inline]
    fn deref(&self) -> &K {
        &self.0
    }
}

impl<K> Borrow<K> for Interned<K> {
    fn borrow(&self) -> &K {
        self
    }
}

/// Every [`intern`](Self::intern) is one use, to be given back by one [`release`](Self::release).
///
/// Uses are counted under the shard's lock and not by the reference count, which two releases at once could both see
/// too high.
pub(crate) struct Clusters<K> {
    uses: ShardedMap<Interned<K>, Uses<K>>,
}

struct Uses<K> {
    interned: Option<Interned<K>>,
    count: usize,
}

impl<K> Default for Uses<K> {
    fn default() -> Self {
        Self { interned: None, count: 0 }
    }
}

impl<K> Vacant for Uses<K> {
    fn is_vacant(&self) -> bool {
        self.count == 0
    }
}

impl<K: Key> Clusters<K> {
    pub(crate) fn new() -> Self {
        Self { uses: ShardedMap::new(Shards::Few) }
    }

    /// The one shared copy of `cluster`, used once more.
    pub(crate) fn intern(&self, cluster: &K) -> Interned<K> {
        let key = self.uses.read(cluster, |uses| uses.and_then(|uses| uses.interned.clone()));
        let key = key.unwrap_or_else(|| Interned::new(cluster.clone()));
        self.uses.edit(&key, |uses| {
            uses.count += 1;
            uses.interned.get_or_insert_with(|| key.clone()).clone()
        })
    }

    /// Gives one use back.
    #[expect(clippy::needless_pass_by_value, reason = "a use that was given back must not be used again")]
    pub(crate) fn release(&self, cluster: Interned<K>) {
        self.uses.edit(&cluster, |uses| uses.count -= 1);
    }

    /// How many clusters are in use.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.uses.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Clusters;

    #[test]
    fn equal_keys_share_one_copy() {
        let clusters = Clusters::<String>::new();
        let first = clusters.intern(&"east".to_owned());
        let second = clusters.intern(&"east".to_owned());
        assert!(Arc::ptr_eq(&first.0, &second.0));
        assert!(!Arc::ptr_eq(&first.0, &clusters.intern(&"west".to_owned()).0));
        assert_eq!(clusters.len(), 2);
    }

    #[test]
    fn a_key_is_dropped_with_its_last_use() {
        let clusters = Clusters::<String>::new();
        let uses = [clusters.intern(&"east".to_owned()), clusters.intern(&"east".to_owned())];
        let [first, second] = uses;
        let watched = Arc::downgrade(&first.0);
        clusters.release(first);
        assert_eq!(clusters.len(), 1);
        clusters.release(second);
        assert_eq!(clusters.len(), 0);
        assert!(watched.upgrade().is_none());
    }
}
