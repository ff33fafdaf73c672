//! [`Merge`]: which source's declaration of a cluster counts. Pure.
//!
//! Each source claims the keys that it names. The source that was registered first wins a key that several claim; when it
//! gives the key up, the next one takes over.

use std::collections::BTreeMap;

use clientmgr_kube::NamespacedName;

use crate::listing::Listing;

/// What a source says, by what it means for the clusters.
#[derive(Clone, Debug)]
pub(super) enum Input<C> {
    Restarted,
    Upsert(NamespacedName, C),
    Remove(NamespacedName),
    Synced,
}

/// What to do to the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change<C> {
    Upsert(NamespacedName, C),
    Remove(NamespacedName),
}

/// The claims of all sources. `C` is what a source declares of a cluster.
#[derive(Debug)]
pub(super) struct Merge<C> {
    listings: Vec<Listing<NamespacedName>>,
    /// For each cluster the declarations of the sources that name it, by the order in which these were registered.
    claims: BTreeMap<NamespacedName, BTreeMap<usize, C>>,
}

impl<C: Clone> Merge<C> {
    /// Returns the merge of `sources` sources, which name no cluster yet.
    pub(super) fn new(sources: usize) -> Self {
        Self { listings: (0..sources).map(|_| Listing::default()).collect(), claims: BTreeMap::new() }
    }

    /// Takes what the source `source` says, and returns what changes by it.
    pub(super) fn apply(&mut self, source: usize, input: Input<C>) -> Vec<Change<C>> {
        match input {
            Input::Restarted => {
                self.listings[source].restart();
                Vec::new()
            }
            Input::Upsert(cluster, config) => {
                self.listings[source].insert(&cluster);
                let claims = self.claims.entry(cluster.clone()).or_default();
                claims.insert(source, config.clone());
                let is_winner = claims.keys().next() == Some(&source);
                is_winner.then(|| Change::Upsert(cluster, config)).into_iter().collect()
            }
            Input::Remove(cluster) => {
                self.listings[source].remove(&cluster);
                self.release(source, cluster).into_iter().collect()
            }
            Input::Synced => {
                let gone = self.listings[source].complete();
                gone.into_iter().filter_map(|cluster| self.release(source, cluster)).collect()
            }
        }
    }

    fn release(&mut self, source: usize, cluster: NamespacedName) -> Option<Change<C>> {
        let claims = self.claims.get_mut(&cluster)?;
        let was_winner = claims.keys().next() == Some(&source);
        claims.remove(&source)?;
        match claims.values().next().cloned() {
            None => {
                self.claims.remove(&cluster);
                Some(Change::Remove(cluster))
            }
            Some(config) => was_winner.then(|| Change::Upsert(cluster, config)),
        }
    }

    /// Returns how many clusters the source `source` names.
    pub(super) fn named(&self, source: usize) -> usize {
        self.listings[source].len()
    }

    /// Returns what the source `source` declares of `cluster`.
    pub(super) fn claim(&self, source: usize, cluster: &NamespacedName) -> Option<&C> {
        self.claims.get(cluster)?.get(&source)
    }

    /// Returns each cluster with what the sources declare of it; the first declaration counts.
    pub(super) fn claims(&self) -> impl Iterator<Item = (&NamespacedName, &BTreeMap<usize, C>)> {
        self.claims.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use clientmgr_kube::NamespacedName;
    use proptest::prelude::*;

    use super::{Change, Input, Merge};

    fn key(name: u8) -> NamespacedName {
        NamespacedName::cluster_scoped(&name.to_string())
    }

    fn upsert(name: u8, config: u8) -> Input<u8> {
        Input::Upsert(key(name), config)
    }

    #[test]
    fn the_source_that_was_registered_first_wins_and_hands_over_when_it_gives_up() {
        let mut merge = Merge::new(2);
        assert_eq!(merge.apply(1, upsert(7, 1)), [Change::Upsert(key(7), 1)]);
        assert_eq!(merge.apply(0, upsert(7, 0)), [Change::Upsert(key(7), 0)], "the first one takes over");
        assert_eq!(merge.apply(1, upsert(7, 2)), [], "the loser's changes are kept, not applied");
        assert_eq!(merge.apply(0, Input::Remove(key(7))), [Change::Upsert(key(7), 2)]);
        assert_eq!(merge.apply(0, Input::Remove(key(7))), [], "it no longer claims the key");
        assert_eq!(merge.apply(1, Input::Remove(key(7))), [Change::Remove(key(7))]);
    }

    #[test]
    fn the_losers_removal_changes_nothing() {
        let mut merge = Merge::new(2);
        merge.apply(0, upsert(7, 0));
        merge.apply(1, upsert(7, 1));
        assert_eq!(merge.apply(1, Input::Remove(key(7))), []);
        assert_eq!(merge.apply(0, Input::Remove(key(7))), [Change::Remove(key(7))]);
    }

    #[test]
    fn a_list_removes_only_what_its_own_source_named() {
        let mut merge = Merge::new(2);
        merge.apply(0, upsert(1, 0));
        merge.apply(1, upsert(2, 0));
        merge.apply(1, upsert(3, 0));
        merge.apply(1, Input::Restarted);
        merge.apply(1, upsert(3, 1));
        assert_eq!(merge.apply(1, Input::Synced), [Change::Remove(key(2))]);
        assert_eq!((merge.named(0), merge.named(1)), (1, 1));
    }

    #[test]
    fn an_empty_list_before_the_first_one_was_complete_removes_nothing_of_others() {
        let mut merge = Merge::new(2);
        merge.apply(0, upsert(1, 0));
        for input in [Input::Restarted, Input::Restarted, Input::Synced, Input::Synced] {
            assert_eq!(merge.apply(1, input), []);
        }
    }

    /// What each source names, kept in the plainest way.
    #[derive(Default)]
    struct Model {
        named: BTreeMap<usize, BTreeMap<NamespacedName, u8>>,
        listed: BTreeMap<usize, BTreeSet<NamespacedName>>,
    }

    impl Model {
        fn apply(&mut self, source: usize, input: &Input<u8>) {
            let named = self.named.entry(source).or_default();
            match input {
                Input::Restarted => drop(self.listed.insert(source, BTreeSet::new())),
                Input::Upsert(cluster, config) => {
                    named.insert(cluster.clone(), *config);
                    if let Some(listed) = self.listed.get_mut(&source) {
                        listed.insert(cluster.clone());
                    }
                }
                Input::Remove(cluster) => drop(named.remove(cluster)),
                Input::Synced => {
                    if let Some(listed) = self.listed.remove(&source) {
                        named.retain(|cluster, _| listed.contains(cluster));
                    }
                }
            }
        }

        fn fleet(&self) -> BTreeMap<NamespacedName, u8> {
            let mut fleet = BTreeMap::new();
            for named in self.named.values().rev() {
                fleet.extend(named.clone());
            }
            fleet
        }
    }

    fn input() -> impl Strategy<Value = Input<u8>> {
        prop_oneof![
            1 => Just(Input::Restarted),
            6 => (0_u8..4, 0_u8..8).prop_map(|(name, config)| upsert(name, config)),
            2 => (0_u8..4).prop_map(|name| Input::Remove(key(name))),
            2 => Just(Input::Synced),
        ]
    }

    proptest! {
        #[test]
        fn the_fleet_is_what_the_first_source_to_name_a_cluster_declares(
            steps in proptest::collection::vec((0_usize..3, input()), 0..80)
        ) {
            let (mut merge, mut model, mut fleet) = (Merge::new(3), Model::default(), BTreeMap::new());
            for (source, input) in steps {
                model.apply(source, &input);
                for change in merge.apply(source, input) {
                    match change {
                        Change::Upsert(cluster, config) => drop(fleet.insert(cluster, config)),
                        Change::Remove(cluster) => prop_assert!(fleet.remove(&cluster).is_some(), "{cluster} is not there"),
                    }
                }
                prop_assert_eq!(&fleet, &model.fleet());
                for source in 0..3 {
                    prop_assert_eq!(merge.named(source), model.named.get(&source).map_or(0, BTreeMap::len));
                }
            }
        }
    }
}
