//! [`Entries`]: what every object holds on every cluster, shared between threads. It stores; the rules decide.
//!
//! A map by object of the few clusters that each one uses, so that an object is found and forgotten in one step. Cluster
//! keys are interned: an object of one cluster costs 16 bytes beyond its own key.

mod intern;
mod record;
mod shard;

use crate::key::Key;
use crate::revision::Revision;
use crate::rules::{Decision, Entry};
use crate::sharded::{Sharded, Shards};

use self::intern::Interner;
use self::shard::Shard;

pub(crate) struct Entries<O, K: Key, R> {
    shards: Sharded<Shard<O, K, R>>,
    /// Its lock is taken within that of a shard, and no lock is taken within it.
    clusters: Interner<K>,
}

impl<O: Key, K: Key, R: Revision> Entries<O, K, R> {
    pub(crate) fn new() -> Self {
        Self { shards: Sharded::new(Shards::Many), clusters: Interner::new() }
    }

    /// Decides on the entry of `object` on the cluster that `is_cluster` is true of, and stores the decision in the same
    /// step. Nothing is stored where there is no entry.
    #[inline]
    pub(crate) fn decide<T>(
        &self,
        object: &O,
        is_cluster: impl Fn(&K) -> bool,
        decide: impl FnOnce(Option<&Entry<R>>) -> Decision<R, T>,
    ) -> T {
        self.shards.with(object, |shard| shard.decide(object, is_cluster, decide))
    }

    /// Begins a request, before the provider is asked: from then on a forget may come.
    #[inline]
    pub(crate) fn request<'a>(&'a self, object: &'a O, cluster: &K) -> Request<'a, O, K, R> {
        let number = self.shards.with(object, |shard| shard.begin(object, cluster, || self.clusters.intern(cluster)));
        Request { entries: self, object, number: Some(number) }
    }

    /// Forgets `object` on all clusters.
    pub(crate) fn forget(&self, object: &O) {
        self.shards.with(object, |shard| shard.forget(object));
    }

    /// Forgets `object` on the clusters that `keep` is false of. `keep` runs without a lock, before anything is forgotten.
    pub(crate) fn retain(&self, object: &O, keep: impl Fn(&K) -> bool) {
        let mut dropped = self.shards.with(object, |shard| shard.clusters(object));
        dropped.retain(|cluster| !keep(cluster));
        for cluster in dropped {
            self.shards.with(object, |shard| shard.forget_on(object, &cluster));
        }
    }

    /// Forgets the objects that `keep` is false of. `keep` runs without a lock, before anything is forgotten.
    pub(crate) fn retain_objects(&self, keep: impl Fn(&O) -> bool) {
        let mut dropped = Vec::new();
        self.shards.with_each(|shard| dropped.extend(shard.objects().cloned()));
        dropped.retain(|object| !keep(object));
        for object in &dropped {
            self.forget(object);
        }
    }

    /// Forgets `cluster` for all objects.
    pub(crate) fn forget_cluster(&self, cluster: &K) {
        self.shards.with_each(|shard| shard.forget_cluster(cluster));
    }

    /// Returns how many objects have an entry or a pending request.
    pub(crate) fn objects(&self) -> usize {
        let mut objects = 0;
        self.shards.with_each(|shard| objects += shard.len());
        objects
    }
}

/// A pending request for a client. Dropping it removes it without a trace.
pub(crate) struct Request<'a, O: Key, K: Key, R: Revision> {
    entries: &'a Entries<O, K, R>,
    object: &'a O,
    /// `None` once it is settled.
    number: Option<u64>,
}

impl<O: Key, K: Key, R: Revision> Request<'_, O, K, R> {
    /// Decides on the entry and stores the decision. `None` where the object or the cluster was forgotten since the
    /// request began: then nothing is decided.
    #[inline]
    pub(crate) fn settle<T>(mut self, decide: impl FnOnce(Option<&Entry<R>>) -> Decision<R, T>) -> Option<T> {
        let number = self.number.take()?;
        self.entries.shards.with(self.object, |shard| shard.settle(number, self.object, decide))
    }
}

impl<O: Key, K: Key, R: Revision> Drop for Request<'_, O, K, R> {
    #[inline]
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.entries.shards.with(self.object, |shard| shard.end(number));
        }
    }
}
