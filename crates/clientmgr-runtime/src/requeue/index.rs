//! [`Index`]: which objects depend on which clusters. Plain data: no lock, no stream.

use std::collections::{HashMap, HashSet, hash_set};

use clientmgr_kube::NamespacedName;
use smallvec::SmallVec;

/// The objects by cluster, and the clusters by object. Follows the events of one watcher, a relist included.
#[derive(Debug, Default)]
pub(super) struct Index {
    current: Maps,
    /// The objects of a list that is not complete yet.
    listed: Maps,
}

#[derive(Debug, Default)]
struct Maps {
    /// Every object here depends on a cluster. Sorted, without duplicates.
    clusters: HashMap<NamespacedName, SmallVec<[NamespacedName; 1]>>,
    /// Every cluster here has a dependant.
    objects: HashMap<NamespacedName, HashSet<NamespacedName>>,
}

impl Index {
    /// Makes `clusters` the clusters that `object` depends on.
    pub(super) fn apply(&mut self, object: NamespacedName, clusters: impl IntoIterator<Item = NamespacedName>) {
        self.current.apply(object, clusters);
    }

    /// Removes `object`.
    pub(super) fn delete(&mut self, object: &NamespacedName) {
        self.current.delete(object);
    }

    /// Begins a list. Until it [ends](Self::end_list), the previous objects count.
    pub(super) fn begin_list(&mut self) {
        self.listed = Maps::default();
    }

    /// Adds an object to the list.
    pub(super) fn list(&mut self, object: NamespacedName, clusters: impl IntoIterator<Item = NamespacedName>) {
        self.listed.apply(object, clusters);
    }

    /// Ends the list. What it does not contain is gone.
    pub(super) fn end_list(&mut self) {
        self.current = std::mem::take(&mut self.listed);
    }

    /// Returns the objects that depend on `cluster`.
    pub(super) fn of(&self, cluster: &NamespacedName) -> hash_set::Iter<'_, NamespacedName> {
        self.current.objects.get(cluster).map(HashSet::iter).unwrap_or_default()
    }

    /// Returns the objects that depend on a cluster.
    pub(super) fn all(&self) -> impl ExactSizeIterator<Item = &NamespacedName> {
        self.current.clusters.keys()
    }

    /// Returns the clusters that an object depends on.
    pub(super) fn clusters(&self) -> impl Iterator<Item = &NamespacedName> {
        self.current.objects.keys()
    }

    /// Returns whether `object` depends on a cluster.
    pub(super) fn contains(&self, object: &NamespacedName) -> bool {
        self.current.clusters.contains_key(object)
    }
}

impl Maps {
    fn apply(&mut self, object: NamespacedName, clusters: impl IntoIterator<Item = NamespacedName>) {
        let mut clusters: SmallVec<[NamespacedName; 1]> = clusters.into_iter().collect();
        clusters.sort_unstable();
        clusters.dedup();
        if self.clusters.get(&object) == Some(&clusters) {
            return;
        }
        self.delete(&object);
        if clusters.is_empty() {
            return;
        }
        for cluster in &mut clusters {
            if let Some((known, _)) = self.objects.get_key_value(cluster) {
                // All objects share the text of the key.
                *cluster = known.clone();
            }
            self.objects.entry(cluster.clone()).or_default().insert(object.clone());
        }
        self.clusters.insert(object, clusters);
    }

    fn delete(&mut self, object: &NamespacedName) {
        for cluster in self.clusters.remove(object).into_iter().flatten() {
            if let Some(objects) = self.objects.get_mut(&cluster) {
                objects.remove(object);
                if objects.is_empty() {
                    self.objects.remove(&cluster);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use clientmgr_kube::NamespacedName;
    use proptest::prelude::*;

    use super::Index;

    const OBJECTS: u8 = 6;
    const CLUSTERS: u8 = 4;

    #[derive(Clone, Debug)]
    enum Operation {
        Apply(u8, Vec<u8>),
        Delete(u8),
        BeginList,
        List(u8, Vec<u8>),
        EndList,
    }

    fn operations() -> impl Strategy<Value = Vec<Operation>> {
        let clusters = || prop::collection::vec(0..CLUSTERS, 0..4);
        let operation = prop_oneof![
            4 => (0..OBJECTS, clusters()).prop_map(|(object, clusters)| Operation::Apply(object, clusters)),
            2 => (0..OBJECTS).prop_map(Operation::Delete),
            1 => Just(Operation::BeginList),
            2 => (0..OBJECTS, clusters()).prop_map(|(object, clusters)| Operation::List(object, clusters)),
            1 => Just(Operation::EndList),
        ];
        prop::collection::vec(operation, 0..60)
    }

    fn object(number: u8) -> NamespacedName {
        NamespacedName::new("work", &number.to_string())
    }

    fn cluster(number: u8) -> NamespacedName {
        NamespacedName::cluster_scoped(&number.to_string())
    }

    /// The same by one map and a scan of it.
    #[derive(Default)]
    struct Oracle {
        current: BTreeMap<u8, Vec<u8>>,
        listed: BTreeMap<u8, Vec<u8>>,
    }

    impl Oracle {
        fn of(&self, cluster: u8) -> BTreeSet<NamespacedName> {
            let of = self.current.iter().filter(|(_, clusters)| clusters.contains(&cluster));
            of.map(|(number, _)| object(*number)).collect()
        }

        fn all(&self) -> BTreeSet<NamespacedName> {
            (0..CLUSTERS).flat_map(|number| self.of(number)).collect()
        }
    }

    fn run(index: &mut Index, oracle: &mut Oracle, operation: Operation) {
        match operation {
            Operation::Apply(number, clusters) => {
                index.apply(object(number), clusters.iter().map(|number| cluster(*number)));
                oracle.current.insert(number, clusters);
            }
            Operation::Delete(number) => {
                index.delete(&object(number));
                oracle.current.remove(&number);
            }
            Operation::BeginList => {
                index.begin_list();
                oracle.listed.clear();
            }
            Operation::List(number, clusters) => {
                index.list(object(number), clusters.iter().map(|number| cluster(*number)));
                oracle.listed.insert(number, clusters);
            }
            Operation::EndList => {
                index.end_list();
                oracle.current = std::mem::take(&mut oracle.listed);
            }
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_scan_after_every_step_and_keeps_nothing_of_what_is_gone(operations in operations()) {
            let (mut index, mut oracle) = (Index::default(), Oracle::default());
            for operation in operations {
                run(&mut index, &mut oracle, operation);
                for number in 0..CLUSTERS {
                    let of = index.of(&cluster(number));
                    prop_assert_eq!(of.len(), oracle.of(number).len());
                    prop_assert_eq!(of.cloned().collect::<BTreeSet<_>>(), oracle.of(number));
                }
                prop_assert_eq!(index.all().cloned().collect::<BTreeSet<_>>(), oracle.all());
                for number in 0..OBJECTS {
                    prop_assert_eq!(index.contains(&object(number)), oracle.all().contains(&object(number)));
                }
                prop_assert!(index.current.objects.values().all(|objects| !objects.is_empty()));
                prop_assert!(index.current.clusters.values().all(|clusters| !clusters.is_empty()));
            }
        }
    }

    #[test]
    fn objects_of_a_cluster_share_the_text_of_its_key() {
        let mut index = Index::default();
        let count = 100;
        for number in 0..count {
            index.apply(object(number), [NamespacedName::new("fleet", "east")]);
        }
        let texts: BTreeSet<_> = index.current.clusters.values().map(|clusters| clusters[0].name().as_ptr()).collect();
        assert_eq!((index.all().len(), texts.len()), (usize::from(count), 1));
    }
}
