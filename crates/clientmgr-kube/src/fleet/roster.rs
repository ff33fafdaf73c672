//! The clusters of a fleet by key. Who reads takes no lock and writes nothing that other threads read; who writes puts
//! an edited copy in place.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use clientmgr_core::NamespacedName;
use foldhash::fast::RandomState;

use super::member::Member;
use crate::Endpoint;

/// So many that the copy of one is small even where there are ten thousand clusters.
const SHARDS: usize = 64;

type Members = HashMap<NamespacedName, Arc<Member>, RandomState>;

pub(crate) struct Roster {
    shards: Box<[Shard]>,
    hasher: RandomState,
}

#[derive(Default)]
struct Shard {
    members: ArcSwap<Members>,
    /// Held from the making of a copy until it is in place.
    writing: Mutex<()>,
}

impl Shard {
    fn edit<T>(&self, edit: impl FnOnce(&mut Members) -> T) -> T {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut members = Members::clone(&self.members.load());
        let edited = edit(&mut members);
        self.members.store(Arc::new(members));
        edited
    }
}

impl Roster {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect(), hasher: RandomState::default() }
    }

    fn shard(&self, key: &NamespacedName) -> &Shard {
        #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
        let hash = self.hasher.hash_one(key) as usize;
        &self.shards[hash % SHARDS]
    }

    /// Reads the member of `key`, if there is one. Never waits.
    pub(crate) fn read<T>(&self, key: &NamespacedName, read: impl FnOnce(Option<&Arc<Member>>) -> T) -> T {
        read(self.shard(key).members.load().get(key))
    }

    pub(crate) fn find(&self, key: &NamespacedName) -> Option<Arc<Member>> {
        self.read(key, |member| member.map(Arc::clone))
    }

    /// Adds a member, or gives the one that is there another endpoint.
    pub(crate) fn upsert(&self, mut key: NamespacedName, mut endpoint: Endpoint) {
        while let Err((standing, refused)) = self.add(key, endpoint) {
            // Outside of the shard's lock, because this takes the member's and wakes tasks. So it may have been removed
            // meanwhile; but then it is in the map no more, and the next round finds another or none.
            match standing.replace_endpoint(refused) {
                Ok(()) => return,
                Err(refused) => (key, endpoint) = (standing.key().clone(), refused),
            }
        }
    }

    /// Adds a member.
    ///
    /// # Errors
    ///
    /// The one that is there, and the endpoint.
    fn add(&self, key: NamespacedName, endpoint: Endpoint) -> Result<(), (Arc<Member>, Endpoint)> {
        self.shard(&key).edit(|members| match members.entry(key) {
            Entry::Occupied(entry) => Err((Arc::clone(entry.get()), endpoint)),
            Entry::Vacant(entry) => {
                let member = Member::new(entry.key().clone(), endpoint);
                entry.insert(Arc::new(member));
                Ok(())
            }
        })
    }

    pub(crate) fn remove(&self, key: &NamespacedName) -> Option<Arc<Member>> {
        self.shard(key).edit(|members| members.remove(key))
    }

    /// All members, in the order of their keys.
    pub(crate) fn all(&self) -> Vec<Arc<Member>> {
        let of_shard = |shard: &Shard| shard.members.load().values().map(Arc::clone).collect::<Vec<_>>();
        let mut members: Vec<_> = self.shards.iter().flat_map(of_shard).collect();
        members.sort_unstable_by(|a, b| a.key().cmp(b.key()));
        members
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.members.load().len()).sum()
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
    fn who_reads_waits_for_nobody_who_writes() {
        let (roster, east) = (Roster::new(), NamespacedName::cluster_scoped("east"));
        roster.upsert(east.clone(), endpoint());
        roster.shard(&east).edit(|members| {
            members.remove(&east);
            assert!(roster.find(&east).is_some());
        });
        assert!(roster.find(&east).is_none());
    }

    #[test]
    fn all_members_are_found_and_listed_in_order_whatever_their_shard() {
        let roster = Roster::new();
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
        assert!(matches!(**member.state(), State::Idle));
    }
}
