//! [`Sharded`]: values behind many locks, one of them for each key.
//!
//! Callers pass closures, which run under a lock: they must not call back, run a user's code or block. What must not
//! live here: any meaning of the values.

use std::hash::{BuildHasher, Hash};
use std::sync::PoisonError;
#[cfg(not(clientmgr_shuttle))]
use std::sync::{Mutex, MutexGuard};

use foldhash::fast::RandomState;
#[cfg(clientmgr_shuttle)]
use shuttle::sync::{Mutex, MutexGuard};

/// A map within a shard.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;

/// How many shards there are, each with its own lock. A power of two.
#[derive(Clone, Copy)]
pub(crate) enum Shards {
    /// For a lookup in every call: so many more than cores that two threads seldom meet.
    Many = 256,
    /// For a lookup now and then.
    Few = 16,
}

/// A value for each shard. All that is known of a key is in the value of its shard.
pub(crate) struct Sharded<T> {
    shards: Box<[Shard<T>]>,
    hasher: RandomState,
}

/// Aligned so that two locks never share a cache line, nor a pair of lines that is fetched together.
#[derive(Default)]
#[repr(align(128))]
struct Shard<T>(Mutex<T>);

impl<T: Default> Sharded<T> {
    pub(crate) fn new(shards: Shards) -> Self {
        let shards = std::iter::repeat_with(Shard::default).take(shards as usize).collect();
        Self { shards, hasher: RandomState::default() }
    }
}

impl<T> Sharded<T> {
    /// Runs `work` on the shard of `key`, under its lock.
    #[inline]
    pub(crate) fn with<U>(&self, key: &impl Hash, work: impl FnOnce(&mut T) -> U) -> U {
        // The maps within the shards use the lowest and the highest bits of their hashes.
        let hash = self.hasher.hash_one(key) >> 32;
        let index = usize::try_from(hash).unwrap_or_default() & (self.shards.len() - 1);
        work(&mut self.shards[index].lock())
    }

    /// Runs `work` on every shard in turn, under its lock.
    pub(crate) fn with_each(&self, mut work: impl FnMut(&mut T)) {
        for shard in &self.shards {
            work(&mut shard.lock());
        }
    }
}

impl<T> Shard<T> {
    /// A panic under a lock can only come from the comparisons, hashes and clones of a user's key, and these run before
    /// anything is changed: a poisoned lock is as good as any.
    #[inline]
    fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Sharded, Shards};

    #[test]
    fn a_key_is_always_in_the_same_shard_and_keys_are_spread_over_all() {
        let sharded = Sharded::<Vec<u32>>::new(Shards::Few);
        for key in 0..1_000_u32 {
            sharded.with(&key, |shard| shard.push(key));
        }
        for key in 0..1_000_u32 {
            assert!(sharded.with(&key, |shard| shard.contains(&key)));
        }
        let mut sizes = Vec::new();
        sharded.with_each(|shard| sizes.push(shard.len()));
        assert_eq!((sizes.len(), sizes.iter().sum::<usize>()), (16, 1_000));
        assert!(sizes.iter().all(|size| *size > 0), "{sizes:?}");
    }
}
