//! [`Listing`]: what is gone after a list of a hub. Pure.

use std::collections::BTreeSet;

/// The keys that are known, and those that the list under way has shown so far.
#[derive(Debug)]
pub(crate) struct Listing<K> {
    known: BTreeSet<K>,
    listed: Option<BTreeSet<K>>,
}

impl<K> Default for Listing<K> {
    fn default() -> Self {
        Self { known: BTreeSet::new(), listed: None }
    }
}

impl<K: Ord + Clone> Listing<K> {
    /// A list begins. It replaces one that is under way.
    pub(crate) fn restart(&mut self) {
        self.listed = Some(BTreeSet::new());
    }

    /// `key` is there.
    pub(crate) fn insert(&mut self, key: &K) {
        self.known.insert(key.clone());
        if let Some(listed) = &mut self.listed {
            listed.insert(key.clone());
        }
    }

    /// `key` is gone. Returns whether it was known.
    pub(crate) fn remove(&mut self, key: &K) -> bool {
        if let Some(listed) = &mut self.listed {
            listed.remove(key);
        }
        self.known.remove(key)
    }

    /// The list is complete. Returns what it lacked, which is forgotten.
    pub(crate) fn complete(&mut self) -> Vec<K> {
        let Some(listed) = self.listed.take() else { return Vec::new() };
        let gone = self.known.difference(&listed).cloned().collect();
        self.known = listed;
        gone
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Listing;

    fn known(keys: &[u8]) -> Listing<u8> {
        let mut listing = Listing::default();
        for key in keys {
            listing.insert(key);
        }
        listing
    }

    #[test]
    fn what_a_complete_list_lacks_is_gone() {
        let mut listing = known(&[1, 2, 3]);
        listing.restart();
        listing.insert(&2);
        listing.insert(&4);
        assert_eq!(listing.len(), 4, "nothing is gone before the list is complete");
        assert_eq!(listing.complete(), [1, 3]);
        assert_eq!(listing.len(), 2);
    }

    #[test]
    fn a_list_that_is_given_up_removes_nothing() {
        let mut listing = known(&[1, 2]);
        listing.restart();
        listing.insert(&1);
        listing.restart();
        listing.insert(&2);
        assert_eq!(listing.complete(), [1]);
    }

    #[test]
    fn without_a_list_nothing_is_gone() {
        let mut listing = known(&[1, 2]);
        assert!(listing.complete().is_empty());
        assert!(listing.remove(&1) && !listing.remove(&1));
    }

    #[test]
    fn what_is_removed_during_a_list_is_gone_once() {
        let mut listing = known(&[1]);
        listing.restart();
        listing.insert(&1);
        assert!(listing.remove(&1));
        assert!(listing.complete().is_empty());
    }
}
