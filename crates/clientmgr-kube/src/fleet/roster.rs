//! The clusters of a fleet by key: the one file of this crate that imports dashmap. Its guards never leave this file.

use std::sync::Arc;

use clientmgr_core::NamespacedName;
use dashmap::DashMap;

use super::member::Member;
use crate::Endpoint;

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

    /// Adds a member, or gives the one that is there another endpoint.
    pub(crate) fn upsert(&self, key: NamespacedName, endpoint: Endpoint) {
        match self.members.entry(key) {
            dashmap::Entry::Occupied(entry) => entry.get().replace_endpoint(endpoint),
            dashmap::Entry::Vacant(entry) => {
                let member = Arc::new(Member::new(entry.key().clone(), endpoint));
                entry.insert(member);
            }
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
