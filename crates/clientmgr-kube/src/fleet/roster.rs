//! The clusters of a fleet by key.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use clientmgr_core::NamespacedName;
use foldhash::fast::RandomState;

use super::member::Member;
use super::shared::Shared;
use crate::Endpoint;

#[derive(Default)]
pub(crate) struct Roster {
    members: Shared<HashMap<NamespacedName, Arc<Member>, RandomState>>,
}

impl Roster {
    /// Reads the member of `key`, if there is one. `read` runs under the lock, and may take the member's: nothing that
    /// holds a member's lock comes here.
    pub(crate) fn read<T>(&self, key: &NamespacedName, read: impl FnOnce(Option<&Member>) -> T) -> T {
        self.members.read(|members| read(members.get(key).map(|member| &**member)))
    }

    pub(crate) fn find(&self, key: &NamespacedName) -> Option<Arc<Member>> {
        self.members.read(|members| members.get(key).cloned())
    }

    /// Adds a member, or gives the one that is there another endpoint.
    pub(crate) fn upsert(&self, key: NamespacedName, endpoint: Endpoint) {
        let occupied = self.members.write(|members| match members.entry(key) {
            Entry::Occupied(entry) => Some((Arc::clone(entry.get()), endpoint)),
            Entry::Vacant(entry) => {
                let member = Member::new(entry.key().clone(), endpoint);
                entry.insert(Arc::new(member));
                None
            }
        });
        // Outside of the lock, because this takes the member's and wakes tasks. Where the member is removed meanwhile,
        // this call came first.
        if let Some((standing, endpoint)) = occupied {
            standing.replace_endpoint(endpoint);
        }
    }

    pub(crate) fn remove(&self, key: &NamespacedName) -> Option<Arc<Member>> {
        self.members.write(|members| members.remove(key))
    }

    /// All members, in the order of their keys.
    pub(crate) fn all(&self) -> Vec<Arc<Member>> {
        let mut members: Vec<_> = self.members.read(|members| members.values().map(Arc::clone).collect());
        members.sort_unstable_by(|a, b| a.key().cmp(b.key()));
        members
    }

    pub(crate) fn len(&self) -> usize {
        self.members.read(HashMap::len)
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
                let found = roster.read(&east, |member| member.map(|member| member.read(State::clone)));
                assert!(!matches!(found, Some(State::Removed)));
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
