//! [`Evidence`]: what is known of the cluster behind a transport, and when that is the same cluster.

use crate::config::ClusterIdentity;

/// What is known of the identity of a cluster: the UID of `kube-system`, its address, or both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Evidence {
    uid: Option<ClusterIdentity>,
    address: Option<ClusterIdentity>,
    /// Whether the server is known to be ready: one that starts refuses users their rights for a moment.
    is_ready: bool,
}

impl Evidence {
    /// What a server that says its UID shows, or one that does not and may not be ready.
    pub(crate) fn new(uid: Option<ClusterIdentity>, address: ClusterIdentity) -> Self {
        Self { is_ready: uid.is_some(), uid, address: Some(address) }
    }

    /// The same of a server that is known to be ready, or is not.
    pub(crate) fn with_readiness(self, is_ready: bool) -> Self {
        Self { is_ready, ..self }
    }

    /// What a configuration or a status says.
    pub(crate) fn of(identity: &ClusterIdentity) -> Self {
        let identity = identity.clone();
        if identity.is_by_address() {
            Self { uid: None, address: Some(identity), is_ready: true }
        } else {
            Self { uid: Some(identity), address: None, is_ready: true }
        }
    }

    /// The UID, or what stands in for it.
    pub(crate) fn identity(&self) -> Option<&ClusterIdentity> {
        self.uid.as_ref().or(self.address.as_ref())
    }

    /// All that is known of one cluster: what `newer` does not say stays known. So a UID that may no longer be read still
    /// shows a replaced cluster once it may be read again.
    pub(crate) fn merged(self, newer: Self) -> Self {
        Self {
            uid: newer.uid.or(self.uid),
            address: newer.address.or(self.address),
            is_ready: self.is_ready || newer.is_ready,
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Whether `known` has a UID and this has none.
    pub(crate) fn shows_less_than(&self, known: &Self) -> bool {
        self.uid.is_none() && known.uid.is_some()
    }

    /// Whether both are known to be of one cluster. The UID decides where both have one: a cluster keeps it when its
    /// address changes. Else the address decides, so that a UID that may no longer be read replaces nothing by itself.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (&self.uid, &other.uid) {
            (Some(one), Some(other)) => one == other,
            _ => self.address.is_some() && self.address == other.address,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Evidence;
    use crate::config::ClusterIdentity;

    fn uid(text: &str) -> ClusterIdentity {
        ClusterIdentity::by_uid(text).unwrap()
    }

    fn address(host: &str) -> ClusterIdentity {
        ClusterIdentity::by_address(&format!("https://{host}").parse().unwrap(), None)
    }

    #[test]
    fn what_is_not_said_again_stays_known() {
        let east = Evidence::new(Some(uid("e")), address("a"));
        assert_eq!(east.clone().merged(Evidence::new(None, address("a"))), east);
        assert_eq!(Evidence::new(None, address("a")).merged(east.clone()), east);
        assert_eq!(
            east.merged(Evidence::new(Some(uid("e")), address("b"))),
            Evidence::new(Some(uid("e")), address("b"))
        );
    }

    #[test]
    fn only_what_lacks_a_known_uid_shows_less() {
        let (with, without) = (Evidence::new(Some(uid("e")), address("a")), Evidence::new(None, address("a")));
        assert!(without.shows_less_than(&with));
        assert!(!with.shows_less_than(&without) && !with.shows_less_than(&with) && !without.shows_less_than(&without));
    }

    #[test]
    fn the_uid_decides_where_both_have_one_and_else_the_address() {
        let east = Evidence::new(Some(uid("e")), address("a"));
        let table = [
            (Evidence::new(Some(uid("e")), address("b")), true, "it moved"),
            (Evidence::new(Some(uid("w")), address("a")), false, "it was replaced behind its address"),
            (Evidence::new(None, address("a")), true, "the UID may no longer be read"),
            (Evidence::new(None, address("b")), false, "nothing shows that it is the same"),
            (Evidence::of(&uid("e")), true, "a status names the UID"),
            (Evidence::of(&uid("w")), false, "a status names another UID"),
            (Evidence::of(&address("a")), true, "a status names the address"),
            (Evidence::of(&address("b")), false, "a status names another address"),
        ];
        for (other, same, why) in table {
            assert_eq!(east.same(&other), same, "{why}");
            assert_eq!(other.same(&east), same, "{why}");
        }
        assert!(!Evidence::of(&uid("e")).same(&Evidence::of(&address("a"))), "nothing to compare");
    }
}
