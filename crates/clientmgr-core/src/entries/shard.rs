//! [`Shard`]: the entries and the pending requests of some objects. Plain data, no locks.
//!
//! A request is pending from before the provider is asked until it is settled. Forgetting an object or a cluster removes
//! its pending requests with its entries: a request that is no longer pending was forgotten, and stores nothing.

use std::collections::HashSet;

use super::intern::Interned;
use super::record::{Held, Record};
use crate::key::Key;
use crate::revision::Revision;
use crate::rules::{Decision, Entry};
use crate::sharded::HashMap;

pub(super) struct Shard<O, K: Key, R> {
    records: HashMap<O, Record<K, R>>,
    /// Short: only requests whose provider has not answered yet.
    pending: Vec<Pending<O, K>>,
    next_request: u64,
}

struct Pending<O, K: Key> {
    request: u64,
    object: O,
    cluster: Interned<K>,
}

impl<O, K: Key, R> Default for Shard<O, K, R> {
    fn default() -> Self {
        Self { records: HashMap::default(), pending: Vec::new(), next_request: 0 }
    }
}

impl<O: Key, K: Key, R: Revision> Shard<O, K, R> {
    /// Returns what `object` holds on the cluster that `is_cluster` is true of.
    #[inline]
    fn held(&mut self, object: &O, is_cluster: impl Fn(&Interned<K>) -> bool) -> Option<&mut Held<K, R>> {
        self.records.get_mut(object)?.all_mut().iter_mut().find(|held| is_cluster(&held.cluster))
    }

    /// Decides on the entry of `object` on a cluster and stores the decision. Nothing is stored where there is no entry.
    #[inline]
    pub(super) fn decide<T>(
        &mut self,
        object: &O,
        is_cluster: impl Fn(&K) -> bool,
        decide: impl FnOnce(Option<&Entry<R>>) -> Decision<R, T>,
    ) -> T {
        let Some(held) = self.held(object, |held| is_cluster(held)) else {
            return decide(None).1;
        };
        let (change, decided) = decide(Some(&held.entry));
        if let Some(entry) = change {
            held.entry = entry;
        }
        decided
    }

    /// Adds a pending request of `object` and returns its number. The cluster's key is taken from the entry, if there is
    /// one, else from `intern`.
    #[inline]
    pub(super) fn begin(&mut self, object: &O, cluster: &K, intern: impl FnOnce() -> Interned<K>) -> u64 {
        let known = self.held(object, |held| **held == *cluster).map(|held| held.cluster.clone());
        let cluster = known.unwrap_or_else(intern);
        let request = self.next_request;
        self.next_request += 1;
        self.pending.push(Pending { request, object: object.clone(), cluster });
        request
    }

    /// Removes the pending request and returns its cluster. `None` where it was forgotten.
    #[inline]
    pub(super) fn end(&mut self, request: u64) -> Option<Interned<K>> {
        let at = self.pending.iter().position(|pending| pending.request == request)?;
        Some(self.pending.swap_remove(at).cluster)
    }

    /// Ends the request, decides on its entry and stores the decision. `None` where the request was forgotten.
    #[inline]
    pub(super) fn settle<T>(
        &mut self,
        request: u64,
        object: &O,
        decide: impl FnOnce(Option<&Entry<R>>) -> Decision<R, T>,
    ) -> Option<T> {
        let cluster = self.end(request)?;
        let mut held = self.held(object, |held| *held == cluster);
        let (change, decided) = decide(held.as_deref().map(|held| &held.entry));
        match (change, &mut held) {
            (None, _) => {}
            (Some(entry), Some(held)) => held.entry = entry,
            (Some(entry), None) => {
                let held = Held { cluster, entry };
                let record = match self.records.remove(object) {
                    Some(record) => record.with(held),
                    None => Record::One(held),
                };
                self.records.insert(object.clone(), record);
            }
        }
        Some(decided)
    }

    /// Returns the clusters that `object` has an entry or a pending request on.
    pub(super) fn clusters(&self, object: &O) -> Vec<Interned<K>> {
        let held = self.records.get(object).into_iter().flat_map(Record::all).map(|held| &held.cluster);
        let pending = self.pending.iter().filter(|pending| pending.object == *object).map(|pending| &pending.cluster);
        held.chain(pending).cloned().collect()
    }

    /// Returns the objects that have an entry or a pending request.
    pub(super) fn objects(&self) -> impl Iterator<Item = &O> {
        self.records.keys().chain(self.pending.iter().map(|pending| &pending.object))
    }

    /// Returns how many objects have an entry or a pending request.
    pub(super) fn len(&self) -> usize {
        let first_requests = self.pending.iter().map(|pending| &pending.object);
        let new: HashSet<_> = first_requests.filter(|object| !self.records.contains_key(object)).collect();
        self.records.len() + new.len()
    }

    pub(super) fn forget(&mut self, object: &O) {
        self.records.remove(object);
        self.pending.retain(|pending| pending.object != *object);
    }

    pub(super) fn forget_on(&mut self, object: &O, cluster: &K) {
        if self.records.get_mut(object).is_some_and(|record| !record.remove(cluster)) {
            self.records.remove(object);
        }
        self.pending.retain(|pending| pending.object != *object || *pending.cluster != *cluster);
    }

    pub(super) fn forget_cluster(&mut self, cluster: &K) {
        self.records.retain(|_, record| record.remove(cluster));
        self.pending.retain(|pending| *pending.cluster != *cluster);
    }
}

#[cfg(all(test, not(clientmgr_shuttle)))]
mod tests {
    use super::Shard;
    use crate::entries::intern::Interner;
    use crate::revision::Ordered;
    use crate::rules::Entry::{self, Holding, ResetDue};

    type TestShard = Shard<u8, &'static str, Ordered<u8>>;

    fn begin(shard: &mut TestShard, keys: &Interner<&'static str>, object: u8, cluster: &'static str) -> u64 {
        shard.begin(&object, &cluster, || keys.intern(&cluster))
    }

    /// Stores an entry by a request of its own.
    fn store(shard: &mut TestShard, keys: &Interner<&'static str>, object: u8, cluster: &'static str, revision: u8) {
        let request = begin(shard, keys, object, cluster);
        shard.settle(request, &object, |_| (Some(Holding(Ordered(revision))), ())).unwrap();
    }

    fn entry(shard: &mut TestShard, object: u8, cluster: &'static str) -> Option<Entry<Ordered<u8>>> {
        shard.decide(&object, |key| *key == cluster, |entry| (None, entry.cloned()))
    }

    #[test]
    fn a_decision_is_stored_where_there_is_an_entry() {
        let (mut shard, keys) = (TestShard::default(), Interner::new());
        shard.decide(&1, |_| true, |entry| (Some(ResetDue), assert_eq!(entry, None)));
        assert_eq!((shard.len(), entry(&mut shard, 1, "a")), (0, None));

        store(&mut shard, &keys, 1, "a", 1);
        store(&mut shard, &keys, 1, "b", 2);
        shard.decide(&1, |key| *key == "b", |_| (Some(ResetDue), ()));
        assert_eq!(entry(&mut shard, 1, "a"), Some(Holding(Ordered(1))));
        assert_eq!(entry(&mut shard, 1, "b"), Some(ResetDue));
        assert_eq!(shard.len(), 1);
    }

    #[test]
    fn a_request_is_settled_once() {
        let (mut shard, keys) = (TestShard::default(), Interner::new());
        let (first, second) = (begin(&mut shard, &keys, 1, "a"), begin(&mut shard, &keys, 1, "a"));
        assert_eq!(shard.settle(first, &1, |_| (None, 7)), Some(7));
        assert_eq!(shard.settle(first, &1, |_| (None, 7)), None);
        assert!(shard.end(second).is_some() && shard.end(second).is_none());
        assert_eq!((shard.len(), shard.objects().count()), (0, 0));
    }

    #[test]
    fn forgetting_removes_entries_and_pending_requests_of_the_object_the_cluster_or_both() {
        type Forget = fn(&mut TestShard);
        let table: [(Forget, [bool; 3]); 3] = [
            (|shard| shard.forget(&1), [false, false, true]),
            (|shard| shard.forget_on(&1, &"a"), [false, true, true]),
            (|shard| shard.forget_cluster(&"a"), [false, true, false]),
        ];
        for (forget, left) in table {
            let (mut shard, keys) = (TestShard::default(), Interner::new());
            let places = [(1, "a"), (1, "b"), (2, "a")];
            for (object, cluster) in places {
                store(&mut shard, &keys, object, cluster, 1);
            }
            let requests = places.map(|(object, cluster)| begin(&mut shard, &keys, object, cluster));
            forget(&mut shard);
            assert_eq!(places.map(|(object, cluster)| entry(&mut shard, object, cluster).is_some()), left);
            assert_eq!(requests.map(|request| shard.end(request).is_some()), left);
        }
    }

    #[test]
    fn an_entry_that_another_request_puts_back_does_not_revive_a_forgotten_one() {
        let (mut shard, keys) = (TestShard::default(), Interner::new());
        store(&mut shard, &keys, 1, "a", 1);
        let request = begin(&mut shard, &keys, 1, "a");
        shard.forget(&1);
        store(&mut shard, &keys, 1, "a", 2);
        assert_eq!(shard.settle(request, &1, |_| (Some(ResetDue), ())), None);
        assert_eq!(entry(&mut shard, 1, "a"), Some(Holding(Ordered(2))));
    }
}
