//! Identities of clusters and failures for tests of the machine: numbers and classes.

use super::event::{Class, Fault, SameCluster};
use crate::config::ClusterIdentity;
use crate::probe::Evidence;

/// What is known of a cluster's identity, like [`Evidence`] with numbers for UIDs. All clusters here
/// share one address. Failures are classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id {
    uid: Option<u8>,
    has_address: bool,
    is_ready: bool,
}

/// What a server shows that says its UID.
pub(super) const fn id(uid: u8) -> Id {
    Id { uid: Some(uid), has_address: true, is_ready: true }
}

/// What a server shows that does not say its UID.
pub(super) const HIDDEN: Id = Id { uid: None, has_address: true, is_ready: true };

/// The same of a server that is not ready.
pub(super) const UNREADY: Id = Id { is_ready: false, ..HIDDEN };

/// What a status or a configuration says that names the cluster by its UID.
pub(super) const fn named(uid: u8) -> Id {
    Id { has_address: false, ..id(uid) }
}

impl SameCluster for Id {
    fn same(&self, other: &Self) -> bool {
        match (self.uid, other.uid) {
            (Some(one), Some(other)) => one == other,
            _ => self.has_address && other.has_address,
        }
    }

    fn merged(self, newer: Self) -> Self {
        Self {
            uid: newer.uid.or(self.uid),
            has_address: newer.has_address || self.has_address,
            is_ready: newer.is_ready || self.is_ready,
        }
    }

    fn shows_less_than(&self, known: &Self) -> bool {
        self.uid.is_none() && known.uid.is_some()
    }

    fn is_ready(&self) -> bool {
        self.is_ready
    }
}

impl Id {
    /// What a status says that names the cluster of this identity.
    pub(super) fn in_status(self) -> Self {
        self.uid.map_or(HIDDEN, named)
    }
}

impl Fault<Id> for Class {
    fn class(&self) -> Class {
        *self
    }

    fn is_answer(&self) -> bool {
        *self != Class::Transport
    }

    fn other_cluster(_: &Id, _: &Id) -> Self {
        Class::Config
    }

    fn unknown_incarnation(_: &Id) -> Self {
        Class::Other
    }

    fn identity_hidden(_: &Id) -> Self {
        Class::Other
    }

    fn may_not_reset() -> Self {
        Class::Other
    }

    fn no_later_revision() -> Self {
        Class::Config
    }
}

#[test]
fn the_identities_of_the_model_compare_as_those_of_clusters() {
    let address = ClusterIdentity::by_address(&"https://east".parse().unwrap(), None);
    let uid = |uid: u8| ClusterIdentity::by_uid(&uid.to_string()).unwrap();
    let shown = |uid| Evidence::new(uid, address.clone());
    let pairs = [
        (id(1), shown(Some(uid(1)))),
        (id(2), shown(Some(uid(2)))),
        (HIDDEN, shown(None).with_readiness(true)),
        (HIDDEN, Evidence::of(&address)),
        (UNREADY, shown(None)),
        (named(1), Evidence::of(&uid(1))),
        (named(2), Evidence::of(&uid(2))),
    ];
    for (id, evidence) in &pairs {
        assert_eq!(id.is_ready(), evidence.is_ready());
        for (other, others) in &pairs {
            assert_eq!(id.same(other), evidence.same(others), "{id:?}, {other:?}");
            assert_eq!(id.shows_less_than(other), evidence.shows_less_than(others), "{id:?}, {other:?}");
            let (merged, merged_evidence) = (id.merged(*other), evidence.clone().merged(others.clone()));
            assert_eq!(merged.is_ready(), merged_evidence.is_ready());
            for (third, thirds) in &pairs {
                assert_eq!(merged.same(third), merged_evidence.same(thirds), "{id:?}, {other:?}, {third:?}");
            }
        }
    }
}
