//! [`Record`]: what one object holds on the clusters it uses. Plain data, no locks.

use smallvec::{SmallVec, smallvec};

use super::intern::Interned;
use crate::key::Key;
use crate::rules::Entry;

/// The entry of an object on one cluster.
pub(super) struct Held<K: Key, R> {
    pub(super) cluster: Interned<K>,
    pub(super) entry: Entry<R>,
}

/// The entries of an object, of which there is at least one. Most objects use one cluster, and for them this is two words.
pub(super) enum Record<K: Key, R> {
    One(Held<K, R>),
    Many(Box<SmallVec<[Held<K, R>; 3]>>),
}

impl<K: Key, R> Record<K, R> {
    #[inline]
    pub(super) fn all(&self) -> &[Held<K, R>] {
        match self {
            Self::One(held) => std::slice::from_ref(held),
            Self::Many(list) => list,
        }
    }

    #[inline]
    pub(super) fn all_mut(&mut self) -> &mut [Held<K, R>] {
        match self {
            Self::One(held) => std::slice::from_mut(held),
            Self::Many(list) => list,
        }
    }

    /// Adds the entry on a cluster that has none.
    pub(super) fn with(self, held: Held<K, R>) -> Self {
        match self {
            Self::One(first) => Self::Many(Box::new(smallvec![first, held])),
            Self::Many(mut list) => {
                list.push(held);
                Self::Many(list)
            }
        }
    }

    /// Removes the entry on `cluster`. Returns whether any is left.
    pub(super) fn remove(&mut self, cluster: &K) -> bool {
        match self {
            Self::One(held) => *held.cluster != *cluster,
            Self::Many(list) => {
                list.retain(|held| *held.cluster != *cluster);
                if list.len() == 1
                    && let Some(last) = list.pop()
                {
                    *self = Self::One(last);
                    return true;
                }
                !list.is_empty()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Held, Record};
    use crate::connected_at::ConnectedAt;
    use crate::entries::intern::Interner;
    use crate::key::NamespacedName;
    use crate::rules::Entry::Holding;

    fn content(record: &Record<&'static str, u8>) -> Vec<(&'static str, u8)> {
        let revision = |entry: &_| if let Holding(revision) = entry { *revision } else { 0 };
        record.all().iter().map(|held| (*held.cluster, revision(&held.entry))).collect()
    }

    #[test]
    fn a_record_of_one_cluster_is_two_words() {
        assert_eq!(size_of::<Record<NamespacedName, ConnectedAt>>(), 16);
    }

    #[test]
    fn a_record_grows_and_shrinks_entry_by_entry() {
        let keys = Interner::new();
        let held = |cluster, revision| Held { cluster: keys.intern(&cluster), entry: Holding(revision) };
        let mut record = Record::One(held("a", 1)).with(held("b", 2)).with(held("c", 3));
        assert_eq!(content(&record), [("a", 1), ("b", 2), ("c", 3)]);

        record.all_mut()[1].entry = Holding(7);
        assert!(record.remove(&"x"));
        assert!(record.remove(&"a"));
        assert_eq!(content(&record), [("b", 7), ("c", 3)]);
        assert!(record.remove(&"c"));
        assert!(matches!(&record, Record::One(held) if *held.cluster == "b"));
        assert!(record.remove(&"x"));
        assert!(!record.remove(&"b"));
    }
}
