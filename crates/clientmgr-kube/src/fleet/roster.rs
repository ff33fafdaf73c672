//! The clusters of a fleet by key, behind a lock that readers take for the time of a look.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, PoisonError};

use clientmgr_core::NamespacedName;
use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};
use foldhash::fast::RandomState;

use super::member::Member;
use crate::Endpoint;

type Members = HashMap<NamespacedName, Arc<Member>, RandomState>;

/// Readers on different threads have a lock each, so that none waits for another's cache line; who writes takes them all.
#[derive(Default)]
pub(crate) struct Roster {
    members: ShardedLock<Members>,
}

impl Roster {
    // Under this lock nothing runs that can panic, but for what a map does by itself.
    fn members(&self) -> ShardedLockReadGuard<'_, Members> {
        self.members.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn members_mut(&self) -> ShardedLockWriteGuard<'_, Members> {
        self.members.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the member of `key`, if there is one. `read` runs under the lock.
    pub(crate) fn read<T>(&self, key: &NamespacedName, read: impl FnOnce(Option<&Member>) -> T) -> T {
        read(self.members().get(key).map(|member| &**member))
    }

    pub(crate) fn find(&self, key: &NamespacedName) -> Option<Arc<Member>> {
        self.members().get(key).cloned()
    }

    /// Adds a member, or gives the one that is there another endpoint.
    pub(crate) fn upsert(&self, key: NamespacedName, endpoint: Endpoint) {
        let standing = match self.members_mut().entry(key) {
            Entry::Occupied(entry) => Arc::clone(entry.get()),
            Entry::Vacant(entry) => {
                let member = Member::new(entry.key().clone(), endpoint);
                entry.insert(Arc::new(member));
                return;
            }
        };
        // Outside of the lock, because this takes the member's and wakes tasks. Where the member is removed meanwhile,
        // this call came first.
        standing.replace_endpoint(endpoint);
    }

    pub(crate) fn remove(&self, key: &NamespacedName) -> Option<Arc<Member>> {
        self.members_mut().remove(key)
    }

    /// All members, in the order of their keys.
    pub(crate) fn all(&self) -> Vec<Arc<Member>> {
        let mut members: Vec<_> = self.members().values().map(Arc::clone).collect();
        members.sort_unstable_by(|a, b| a.key().cmp(b.key()));
        members
    }

    pub(crate) fn len(&self) -> usize {
        self.members().len()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use clientmgr_core::NamespacedName;
    use kube::config::Kubeconfig;

    use super::Roster;
    use crate::Endpoint;
    use crate::fleet::state::State;

    fn endpoint() -> Endpoint {
        Endpoint::from_kubeconfig(&Kubeconfig::default(), "east")
    }

    #[test]
    fn all_members_are_found_and_listed_in_order() {
        let roster = Roster::default();
        let keys: Vec<_> = (100..300).map(|number| NamespacedName::cluster_scoped(&number.to_string())).collect();
        for key in keys.iter().rev() {
            roster.upsert(key.clone(), endpoint());
        }
        assert!(keys.iter().all(|key| roster.find(key).is_some_and(|member| member.key() == key)));
        assert_eq!(roster.all().iter().map(|member| member.key().clone()).collect::<Vec<_>>(), keys);
        for (removed, key) in keys.iter().enumerate() {
            assert_eq!(roster.len(), keys.len() - removed);
            assert!(roster.remove(key).is_some());
        }
        assert_eq!((roster.len(), roster.all().len()), (0, 0));
    }

    #[test]
    fn an_endpoint_does_not_bring_back_a_member_that_was_removed() {
        let (roster, east) = (Roster::default(), NamespacedName::cluster_scoped("east"));
        roster.upsert(east.clone(), endpoint());
        let member = roster.remove(&east).unwrap();
        member.remove();
        member.replace_endpoint(endpoint());
        assert!(member.read(|state| matches!(state, State::Removed)));
    }

    #[test]
    fn what_is_added_while_it_is_being_removed_is_there_as_a_whole_or_not_at_all() {
        let (roster, east) = (Roster::default(), NamespacedName::cluster_scoped("east"));
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    roster.upsert(east.clone(), endpoint());
                }
            });
            for _ in 0..2_000 {
                if let Some(member) = roster.remove(&east) {
                    member.remove();
                }
            }
        });
        roster.upsert(east.clone(), endpoint());
        let member = roster.find(&east).expect("it was added last");
        assert!(member.read(|state| matches!(state, State::Idle)));
    }
}
