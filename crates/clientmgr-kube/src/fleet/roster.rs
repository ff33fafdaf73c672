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
    pub(crate) fn upsert(&self, mut key: NamespacedName, mut endpoint: Endpoint) {
        loop {
            let standing = match self.members.entry(key) {
                dashmap::Entry::Occupied(entry) => Arc::clone(entry.get()),
                dashmap::Entry::Vacant(entry) => {
                    let member = Arc::new(Member::new(entry.key().clone(), endpoint));
                    entry.insert(member);
                    return;
                }
            };
            // Outside of the map's lock, because this takes the member's and wakes tasks. So it may have been removed
            // meanwhile; but then it is in the map no more, and the next round finds another or none.
            match standing.replace_endpoint(endpoint) {
                Ok(()) => return,
                Err(refused) => (key, endpoint) = (standing.key().clone(), refused),
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
    fn a_member_that_was_removed_takes_no_endpoint() {
        let (roster, east) = (Roster::new(), NamespacedName::cluster_scoped("east"));
        roster.upsert(east.clone(), endpoint());
        let member = roster.remove(&east).unwrap();
        member.remove();
        assert!(member.replace_endpoint(endpoint()).is_err());
    }

    #[test]
    fn what_is_added_while_it_is_being_removed_is_there_as_a_whole_or_not_at_all() {
        let (roster, east) = (Roster::new(), NamespacedName::cluster_scoped("east"));
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
