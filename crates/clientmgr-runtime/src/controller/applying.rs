//! [`Applying`]: the Clusters to which changed Secrets are yet to be applied. Pure.

use std::collections::{BTreeSet, VecDeque};

use clientmgr_kube::NamespacedName;

/// So many Secrets wait at most until others are taken: the data of each is in memory meanwhile.
const SECRETS: usize = 16;

/// The Clusters to which changed Secrets are yet to be applied: one at a time, and the Secrets in turn, so that one with many
/// Clusters holds up no other.
#[derive(Default)]
pub(super) struct Applying(VecDeque<(NamespacedName, BTreeSet<NamespacedName>)>);

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// Apply the Secret to this Cluster.
    pub(super) cluster: NamespacedName,
    /// Then drop the data of this Secret: every Cluster has used it.
    pub(super) used: Option<NamespacedName>,
}

impl Applying {
    /// Adds Clusters that need the data of `secret`.
    pub(super) fn add(&mut self, secret: NamespacedName, clusters: BTreeSet<NamespacedName>) {
        match self.0.iter_mut().find(|(known, _)| *known == secret) {
            Some((_, waiting)) => waiting.extend(clusters),
            // Without Clusters, no data of it is kept.
            None if clusters.is_empty() => {}
            None => self.0.push_back((secret, clusters)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether other Secrets have to wait.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= SECRETS
    }

    /// Returns what is next.
    pub(super) fn next(&mut self) -> Option<Turn> {
        let (secret, mut clusters) = self.0.pop_front()?;
        let cluster = clusters.pop_first()?;
        let used = if clusters.is_empty() {
            Some(secret)
        } else {
            self.0.push_back((secret, clusters));
            None
        };
        Some(Turn { cluster, used })
    }
}

#[cfg(test)]
mod tests {
    use super::{Applying, NamespacedName, SECRETS, Turn};

    fn name(name: &str) -> NamespacedName {
        NamespacedName::from(name)
    }

    #[test]
    fn secrets_take_turns_and_one_is_used_when_its_last_cluster_has_it() {
        let mut applying = Applying::default();
        applying.add(name("many"), ["a", "b", "c"].map(name).into());
        applying.add(name("one"), [name("z")].into());
        applying.add(name("none"), [].into());
        let apply = |cluster, used: Option<&str>| Turn { cluster: name(cluster), used: used.map(name) };
        let mut turns = || applying.next().unwrap();
        assert_eq!([turns(), turns()], [apply("a", None), apply("z", Some("one"))]);
        // Another version, before all have the one before.
        applying.add(name("many"), ["a", "b"].map(name).into());
        let rest: Vec<_> = std::iter::from_fn(|| applying.next()).collect();
        assert_eq!(rest, [apply("a", None), apply("b", None), apply("c", Some("many"))]);
        assert!(applying.is_empty());
    }

    #[test]
    fn a_few_secrets_fill_it() {
        let mut applying = Applying::default();
        for number in 0..SECRETS {
            assert!(!applying.is_full());
            applying.add(name(&number.to_string()), ["a", "b"].map(name).into());
        }
        // A second turn of each is the last.
        for _ in 0..=SECRETS {
            assert!(applying.is_full());
            applying.next().unwrap();
        }
        assert!(!applying.is_full());
    }
}
