//! The ledger: what every object holds on every cluster. It stores; the rules decide.
//!
//! A map by object of the few clusters each one uses, so that an object is found and forgotten in one step. Cluster
//! keys are interned, since a million objects share a hundred clusters: an object of one cluster costs 16 bytes here
//! beyond its own key.

mod clusters;
mod request;
mod row;

use std::sync::atomic::AtomicU64;

use crate::rules::{Decision, Entry};
use crate::sharded::{ShardedMap, Shards};
use crate::{Key, Revision};

use self::clusters::{Clusters, Interned};
pub(crate) use self::request::Request;
use self::row::Row;

pub(crate) struct Ledger<O, K, R> {
    rows: ShardedMap<O, Row<K, R>>,
    clusters: Clusters<K>,
    next_ticket: AtomicU64,
}

impl<O: Key, K: Key, R: Revision> Ledger<O, K, R> {
    pub(crate) fn new() -> Self {
        Self { rows: ShardedMap::new(Shards::Many), clusters: Clusters::new(), next_ticket: AtomicU64::new(0) }
    }

    /// Decides on the entry of `object` on `cluster`, and stores the decision in the same step.
    ///
    /// A decision that changes nothing is made under the lock that readers share. One that does is made again under
    /// the exclusive lock, because another call may have come between the two.
    #[inline]
    pub(crate) fn decide<T>(&self, object: &O, cluster: &K, decide: impl Fn(Option<&Entry<R>>) -> Decision<R, T>) -> T {
        let (change, said) = self.rows.read(object, |row| decide(row.and_then(|row| row.entry(cluster))));
        if change.is_none() {
            return said;
        }
        self.edit(object, cluster, |row, interned| {
            let (change, said) = decide(row.entry(cluster));
            (row.apply(interned, change), said)
        })
    }

    /// Forgets `object` on all clusters. Requests that wait for their provider are forgotten with it.
    pub(crate) fn forget(&self, object: &O) {
        if let Some(row) = self.rows.remove(object) {
            for cluster in row.into_clusters() {
                self.clusters.release(cluster);
            }
        }
    }

    /// Forgets `object` on the clusters that `keep` is false of. `keep` runs without a lock, and before anything is done.
    pub(crate) fn retain(&self, object: &O, keep: impl Fn(&K) -> bool) {
        let mut given_up = self.rows.read(object, |row| row.map(Row::clusters).unwrap_or_default());
        given_up.retain(|cluster| !keep(cluster));
        let mut forgotten = Vec::new();
        for cluster in given_up {
            self.rows.edit(object, |row| row.remove(&cluster, &mut forgotten));
        }
        for cluster in forgotten {
            self.clusters.release(cluster);
        }
    }

    /// Forgets `cluster` for all objects.
    pub(crate) fn forget_cluster(&self, cluster: &K) {
        let mut forgotten = Vec::new();
        self.rows.edit_all(|row| row.remove(cluster, &mut forgotten));
        for cluster in forgotten {
            self.clusters.release(cluster);
        }
    }

    /// How many objects the ledger knows of.
    pub(crate) fn objects(&self) -> usize {
        self.rows.len()
    }

    /// Edits the row of `object` with a use of `cluster`, and releases the use that the edit hands back.
    ///
    /// Interned before and released after the row's lock is held: no lock is ever taken inside another.
    fn edit<T>(
        &self,
        object: &O,
        cluster: &K,
        edit: impl FnOnce(&mut Row<K, R>, Interned<K>) -> (Option<Interned<K>>, T),
    ) -> T {
        let interned = self.clusters.intern(cluster);
        let (unused, said) = self.rows.edit(object, |row| edit(row, interned));
        if let Some(unused) = unused {
            self.clusters.release(unused);
        }
        said
    }
}
