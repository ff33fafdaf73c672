//! A row of the ledger: what one object holds on the clusters it uses. Plain data, no locks.

use super::clusters::Interned;
use crate::rules::Entry;
use crate::sharded::Vacant;

/// Most objects use one cluster, and for them a row is two words. A row that is `Many(None)` is vacant.
#[derive(Debug)]
pub(crate) enum Row<K, R> {
    One(Interned<K>, Entry<R>),
    #[expect(clippy::box_collection, reason = "keeps the row of an object with one cluster at two words")]
    Many(Option<Box<Vec<Slot<K, R>>>>),
}

#[derive(Debug)]
pub(crate) struct Slot<K, R> {
    cluster: Interned<K>,
    content: Content<R>,
}

#[derive(Debug)]
enum Content<R> {
    /// What the rules decided.
    Entry(Entry<R>),
    /// A request of this ticket waits for its provider. Its slot is how it learns that it was forgotten meanwhile.
    Asking(u64),
}

impl<K, R> Default for Row<K, R> {
    fn default() -> Self {
        Self::Many(None)
    }
}

impl<K, R> Vacant for Row<K, R> {
    fn is_vacant(&self) -> bool {
        matches!(self, Self::Many(None))
    }
}

impl<K: Eq, R> Row<K, R> {
    /// The entry on `cluster`.
    #[inline]
    pub(crate) fn entry(&self, cluster: &K) -> Option<&Entry<R>> {
        match self {
            Self::One(held, entry) => (**held == *cluster).then_some(entry),
            Self::Many(slots) => slots.iter().flat_map(|slots| slots.iter()).find_map(|slot| match &slot.content {
                Content::Entry(entry) if *slot.cluster == *cluster => Some(entry),
                _ => None,
            }),
        }
    }

    fn entry_mut(&mut self, cluster: &K) -> Option<&mut Entry<R>> {
        match self {
            Self::One(held, entry) => (**held == *cluster).then_some(entry),
            Self::Many(slots) => {
                slots.iter_mut().flat_map(|slots| slots.iter_mut()).find_map(|slot| match &mut slot.content {
                    Content::Entry(entry) if *slot.cluster == *cluster => Some(entry),
                    _ => None,
                })
            }
        }
    }

    /// Sets the entry on `cluster`. Hands `cluster` back where the row had it already; then nothing is allocated.
    fn set(&mut self, cluster: Interned<K>, entry: Entry<R>) -> Option<Interned<K>> {
        if let Some(standing) = self.entry_mut(&cluster) {
            *standing = entry;
            return Some(cluster);
        }
        self.with_slots(|slots| slots.push(Slot { cluster, content: Content::Entry(entry) }));
        None
    }

    /// Sets the entry on `cluster` where there is a `change`. Hands `cluster` back where it is not needed.
    pub(crate) fn apply(&mut self, cluster: Interned<K>, change: Option<Entry<R>>) -> Option<Interned<K>> {
        match change {
            Some(entry) => self.set(cluster, entry),
            None => Some(cluster),
        }
    }

    /// Notes that the request `ticket` waits for the provider of `cluster`.
    pub(crate) fn open(&mut self, cluster: Interned<K>, ticket: u64) {
        self.with_slots(|slots| slots.push(Slot { cluster, content: Content::Asking(ticket) }));
    }

    /// Strikes the request `ticket` out. Hands back its cluster, or nothing where it was forgotten meanwhile.
    pub(crate) fn close(&mut self, ticket: u64) -> Option<Interned<K>> {
        let Self::Many(Some(slots)) = self else {
            return None;
        };
        let at = slots.iter().position(|slot| matches!(slot.content, Content::Asking(open) if open == ticket))?;
        self.with_slots(|slots| Some(slots.swap_remove(at).cluster))
    }

    /// Removes all that concerns `cluster`, and adds what it used to `removed`.
    pub(crate) fn remove(&mut self, cluster: &K, removed: &mut Vec<Interned<K>>) {
        let concerned = match self {
            Self::One(held, _) => **held == *cluster,
            Self::Many(slots) => slots.iter().flat_map(|slots| slots.iter()).any(|slot| *slot.cluster == *cluster),
        };
        if concerned {
            self.with_slots(|slots| {
                removed.extend(slots.extract_if(.., |slot| *slot.cluster == *cluster).map(|slot| slot.cluster));
            });
        }
    }

    /// The clusters of this row, one for each use.
    pub(crate) fn clusters(&self) -> Vec<Interned<K>> {
        match self {
            Self::One(cluster, _) => vec![cluster.clone()],
            Self::Many(slots) => slots.iter().flat_map(|slots| slots.iter()).map(|slot| slot.cluster.clone()).collect(),
        }
    }

    /// Every use of a cluster in this row.
    pub(crate) fn into_clusters(self) -> impl Iterator<Item = Interned<K>> {
        let (one, many) = match self {
            Self::One(cluster, _) => (Some(cluster), None),
            Self::Many(slots) => (None, slots),
        };
        one.into_iter().chain(many.into_iter().flat_map(|slots| slots.into_iter().map(|slot| slot.cluster)))
    }

    /// Edits the row as a list of slots, and brings it back to its smallest form.
    fn with_slots<T>(&mut self, edit: impl FnOnce(&mut Vec<Slot<K, R>>) -> T) -> T {
        let mut slots = match std::mem::take(self) {
            Self::One(cluster, entry) => Box::new(vec![Slot { cluster, content: Content::Entry(entry) }]),
            Self::Many(slots) => slots.unwrap_or_default(),
        };
        let edited = edit(&mut slots);
        *self = match slots.pop() {
            None => Self::Many(None),
            Some(Slot { cluster, content: Content::Entry(entry) }) if slots.is_empty() => Self::One(cluster, entry),
            Some(last) => {
                slots.push(last);
                Self::Many(Some(slots))
            }
        };
        edited
    }
}

#[cfg(test)]
mod tests {
    use super::{Interned, Row};
    use crate::rules::Entry::{self, Holding, ResetDue};
    use crate::sharded::Vacant;
    use crate::{ConnectedAt, NamespacedName};

    fn row_of(entries: &[(&'static str, Entry<u8>)]) -> Row<&'static str, u8> {
        let mut row = Row::default();
        for (cluster, entry) in entries {
            assert_eq!(row.set(Interned::new(*cluster), entry.clone()), None);
        }
        row
    }

    #[test]
    fn a_row_of_one_cluster_is_two_words() {
        assert_eq!(size_of::<Row<NamespacedName, ConnectedAt>>(), 16);
    }

    #[test]
    fn an_entry_is_found_under_its_cluster_only() {
        for entries in [&[("a", Holding(1))][..], &[("a", Holding(1)), ("b", ResetDue)]] {
            let row = row_of(entries);
            for cluster in ["a", "b", "c"] {
                let expected = entries.iter().find(|(key, _)| *key == cluster).map(|(_, entry)| entry);
                assert_eq!(row.entry(&cluster), expected, "{cluster} in {entries:?}");
            }
        }
        assert_eq!(Row::<&str, u8>::default().entry(&"a"), None);
    }

    #[test]
    fn setting_an_entry_again_replaces_it_and_hands_the_second_use_back() {
        for entries in [&[("a", Holding(1))][..], &[("b", Holding(7)), ("a", Holding(1)), ("c", Holding(8))]] {
            let mut row = row_of(entries);
            let again = Interned::new("a");
            assert_eq!(row.set(again.clone(), ResetDue), Some(again));
            assert_eq!(row.entry(&"a"), Some(&ResetDue));
            assert_eq!(row.into_clusters().count(), entries.len());
        }
    }

    #[test]
    fn an_open_request_is_no_entry_and_closes_once() {
        let mut row = row_of(&[("a", Holding(1))]);
        row.open(Interned::new("b"), 5);
        row.open(Interned::new("a"), 6);
        assert_eq!((row.entry(&"a"), row.entry(&"b")), (Some(&Holding(1)), None));
        assert_eq!(row.close(7), None);
        assert_eq!(row.close(5).as_deref(), Some(&"b"));
        assert_eq!(row.close(5), None);
        assert_eq!(row.close(6).as_deref(), Some(&"a"));
        assert!(matches!(row, Row::One(cluster, Holding(1)) if *cluster == "a"));
    }

    #[test]
    fn a_row_of_requests_alone_is_kept_until_the_last_closes() {
        let mut row = Row::<_, u8>::default();
        row.open(Interned::new("a"), 1);
        assert!(!row.is_vacant());
        assert!(row.close(1).is_some());
        assert!(row.is_vacant());
    }

    #[test]
    fn removing_a_cluster_takes_its_entry_and_its_requests() {
        let mut row = row_of(&[("a", Holding(1)), ("b", Holding(2))]);
        row.open(Interned::new("a"), 1);
        let mut removed = Vec::new();
        row.remove(&"a", &mut removed);
        assert_eq!(removed.len(), 2);
        assert_eq!(row.close(1), None);
        assert_eq!((row.entry(&"a"), row.entry(&"b")), (None, Some(&Holding(2))));
        row.remove(&"c", &mut removed);
        row.remove(&"b", &mut removed);
        assert_eq!(removed.len(), 3);
        assert!(row.is_vacant());
    }
}
