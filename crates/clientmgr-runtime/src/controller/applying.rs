//! [`Applying`]: the Clusters to which changed Secrets are yet to be applied. Pure.

use std::collections::{BTreeSet, VecDeque};

use clientmgr_kube::NamespacedName;

/// The Clusters to which changed Secrets are yet to be applied: one at a time, and the Secrets in turn, so that one with many
/// Clusters holds up no other.
#[derive(Default)]
pub(super) struct Applying(VecDeque<(NamespacedName, BTreeSet<NamespacedName>)>);

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Apply the Secret to this Cluster.
    Apply(NamespacedName),
    /// All have it.
    Used(NamespacedName),
}

impl Applying {
    /// Adds Clusters that need the data of `secret`.
    pub(super) fn add(&mut self, secret: NamespacedName, clusters: impl IntoIterator<Item = NamespacedName>) {
        match self.0.iter_mut().find(|(known, _)| *known == secret) {
            Some((_, waiting)) => waiting.extend(clusters),
            None => self.0.push_back((secret, clusters.into_iter().collect())),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what is next.
    pub(super) fn next(&mut self) -> Option<Turn> {
        let (secret, mut clusters) = self.0.pop_front()?;
        let Some(cluster) = clusters.pop_first() else { return Some(Turn::Used(secret)) };
        self.0.push_back((secret, clusters));
        Some(Turn::Apply(cluster))
    }
}

#[cfg(test)]
mod tests {
    use super::{Applying, NamespacedName, Turn};

    #[test]
    fn secrets_take_turns_and_one_is_used_when_its_last_cluster_has_it() {
        let name = NamespacedName::from;
        let mut applying = Applying::default();
        applying.add(name("many"), ["a", "b", "c"].map(name));
        applying.add(name("one"), [name("z")]);
        let mut turns = || applying.next().unwrap();
        let apply = |cluster| Turn::Apply(name(cluster));
        assert_eq!([turns(), turns()], [apply("a"), apply("z")]);
        // Another version, before all have the one before.
        applying.add(name("many"), ["a", "b"].map(name));
        let rest: Vec<_> = std::iter::from_fn(|| applying.next()).collect();
        let used = |secret| Turn::Used(name(secret));
        assert_eq!(rest, [apply("a"), used("one"), apply("b"), apply("c"), used("many")]);
        assert!(applying.is_empty());
    }
}
