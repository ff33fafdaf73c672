//! A sharded map: the one file of this crate that imports dashmap.
//!
//! Its guards never leave this file: callers pass closures, which hold a shard's lock while they run and therefore
//! must not call back into the map, run foreign code or block. What must not live here: any meaning of the values.

use std::hash::Hash;
#[cfg(not(clientmgr_shuttle))]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

#[cfg(not(clientmgr_shuttle))]
use dashmap::{DashMap, Entry};
#[cfg(clientmgr_shuttle)]
use shuttle::sync::atomic::AtomicU64;
#[cfg(clientmgr_shuttle)]
use shuttle_dashmap::{DashMap, Entry};

use crate::Key;

/// How many shards a map has, each with its own lock. A shard is 128 bytes.
#[derive(Clone, Copy)]
pub(crate) enum Shards {
    /// For what is read at every call. So many more than cores that two threads seldom share a cache line, let alone a
    /// lock.
    Many = 256,
    /// For what is read now and then.
    Few = 16,
}

/// Whether a value says nothing, so that its key need not be kept.
pub(crate) trait Vacant: Default {
    fn is_vacant(&self) -> bool;
}

#[cfg(not(clientmgr_shuttle))]
type Map<K, V> = DashMap<K, V, foldhash::fast::RandomState>;

/// Shuttle's double schedules every lock, and has neither shards nor a choice of hasher.
#[cfg(clientmgr_shuttle)]
type Map<K, V> = DashMap<K, V>;

pub(crate) struct ShardedMap<K, V> {
    map: Map<K, V>,
    /// Counts the edits, each within its lock.
    version: AtomicU64,
}

impl<K: Key, V: Vacant> ShardedMap<K, V> {
    pub(crate) fn new(shards: Shards) -> Self {
        #[cfg(not(clientmgr_shuttle))]
        let map = Map::with_hasher_and_shard_amount(foldhash::fast::RandomState::default(), shards as usize);
        #[cfg(clientmgr_shuttle)]
        let map = Map::with_shard_amount(shards as usize);
        Self { map, version: AtomicU64::new(0) }
    }

    /// Another one after every edit. What was read after a version was taken is true as long as it stays.
    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// To be called within the lock, before anything is changed.
    fn count_edit(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Reads the value of `key`, if there is one, under its shard's read lock. Allocates nothing.
    #[inline]
    pub(crate) fn read<Q, T>(&self, key: &Q, read: impl FnOnce(Option<&V>) -> T) -> T
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        match self.map.get(key) {
            Some(value) => read(Some(value.value())),
            None => read(None),
        }
    }

    /// Edits the value of `key` under its shard's write lock. A missing value is edited as a vacant one; a value that
    /// is vacant afterwards is not kept.
    pub(crate) fn edit<T>(&self, key: &K, edit: impl FnOnce(&mut V) -> T) -> T {
        let entry = self.map.entry(key.clone());
        self.count_edit();
        match entry {
            Entry::Occupied(mut entry) => {
                let edited = edit(entry.get_mut());
                if entry.get().is_vacant() {
                    entry.remove();
                }
                edited
            }
            Entry::Vacant(entry) => {
                let mut value = V::default();
                let edited = edit(&mut value);
                if !value.is_vacant() {
                    entry.insert(value);
                }
                edited
            }
        }
    }

    /// Takes the value of `key` out.
    pub(crate) fn remove(&self, key: &K) -> Option<V> {
        let counted = |_: &K, _: &V| {
            self.count_edit();
            true
        };
        self.map.remove_if(key, counted).map(|(_, value)| value)
    }

    /// Edits every value, one shard at a time, and keeps those that are not vacant afterwards.
    pub(crate) fn edit_all(&self, mut edit: impl FnMut(&mut V)) {
        self.map.retain(|_, value| {
            self.count_edit();
            edit(value);
            !value.is_vacant()
        });
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{ShardedMap, Shards, Vacant};

    impl Vacant for u32 {
        fn is_vacant(&self) -> bool {
            *self == 0
        }
    }

    /// The value of `key`; zero, which is vacant, where there is none.
    fn read(map: &ShardedMap<&'static str, u32>, key: &'static str) -> u32 {
        map.read(key, |value| value.map_or(0, |value| *value))
    }

    #[test]
    fn a_vacant_value_is_never_kept() {
        let map = ShardedMap::<&str, u32>::new(Shards::Few);
        map.edit(&"a", |_| ());
        assert_eq!((map.len(), read(&map, "a")), (0, 0));

        map.edit(&"a", |value| *value = 1);
        assert_eq!((map.len(), read(&map, "a")), (1, 1));

        map.edit(&"a", |value| *value = 0);
        assert_eq!((map.len(), read(&map, "a")), (0, 0));
    }

    #[test]
    fn an_edit_of_all_keeps_what_is_not_vacant() {
        let map = ShardedMap::<&str, u32>::new(Shards::Few);
        map.edit(&"a", |value| *value = 1);
        map.edit(&"b", |value| *value = 2);
        map.edit_all(|value| *value -= 1);
        assert_eq!((read(&map, "a"), read(&map, "b"), map.len()), (0, 1, 1));
    }

    #[test]
    fn every_edit_makes_another_version_and_no_look_does() {
        let map = ShardedMap::<&str, u32>::new(Shards::Few);
        let mut versions = vec![map.version()];
        map.edit(&"a", |value| *value = 1);
        versions.push(map.version());
        map.edit(&"a", |value| *value = 2);
        versions.push(map.version());
        map.edit_all(|value| *value += 1);
        versions.push(map.version());
        map.remove(&"a");
        versions.push(map.version());
        assert!(versions.is_sorted_by(|one, next| one < next), "{versions:?}");
        assert_eq!((read(&map, "a"), map.len(), map.remove(&"a")), (0, 0, None));
        assert_eq!(map.version(), versions[4]);
    }

    #[test]
    fn a_removed_value_is_handed_out_once() {
        let map = ShardedMap::<&str, u32>::new(Shards::Few);
        map.edit(&"a", |value| *value = 1);
        assert_eq!((map.remove(&"a"), map.remove(&"a")), (Some(1), None));
    }
}
