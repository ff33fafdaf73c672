//! The clusters of a fleet by key: the one file of this crate that imports dashmap. Its guards never leave this file.

use std::sync::Arc;

use clientmgr_core::NamespacedName;
use dashmap::DashMap;

use super::member::Member;

pub(crate) struct Roster {
    members: DashMap<NamespacedName, Arc<Member>>,
}

impl Roster {
    pub(crate) fn new() -> Self {
        Self { members: DashMap::new() }
    }

    pub(crate) fn find(&self, key: &NamespacedName) -> Option<Arc<Member>> {
        self.members.get(key).map(|member| Arc::clone(&member))
    }

    /// The member of that key, made by `make` where there is none. `make` runs under a lock.
    pub(crate) fn find_or_add(
        &self,
        key: &NamespacedName,
        make: impl FnOnce() -> Arc<Member>,
    ) -> (Arc<Member>, Presence) {
        match self.members.entry(key.clone()) {
            dashmap::Entry::Occupied(entry) => (Arc::clone(entry.get()), Presence::Found),
            dashmap::Entry::Vacant(entry) => (Arc::clone(&entry.insert(make())), Presence::Added),
        }
    }

    pub(crate) fn remove(&self, key: &NamespacedName) -> Option<Arc<Member>> {
        self.members.remove(key).map(|(_, member)| member)
    }

    /// All members, in the order of their keys.
    pub(crate) fn all(&self) -> Vec<Arc<Member>> {
        let mut members: Vec<_> = self.members.iter().map(|member| Arc::clone(&member)).collect();
        members.sort_unstable_by(|a, b| a.key().cmp(b.key()));
        members
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }
}

/// Whether a member was there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Found,
    Added,
}
