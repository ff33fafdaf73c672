//! Keys: what clusters and objects are known by, and the usual one, [`NamespacedName`].

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What can name a cluster or an object.
///
/// Implemented for every type that qualifies; there is nothing to implement by hand.
pub trait Key: Clone + fmt::Debug + Eq + Hash + Send + Sync + 'static {}

impl<T: Clone + fmt::Debug + Eq + Hash + Send + Sync + 'static> Key for T {}

/// A namespace and a name: how Kubernetes names an object among those of its kind.
///
/// Cheap to clone (one reference count). An empty namespace is allowed and means that the object has none.
///
/// # Example
///
/// ```
/// use clientmgr_core::NamespacedName;
///
/// let east = NamespacedName::new("fleet", "east");
/// assert_eq!((east.namespace(), east.name()), ("fleet", "east"));
/// assert_eq!(east.to_string(), "fleet/east");
/// assert_eq!(NamespacedName::cluster_scoped("east").to_string(), "east");
/// ```
#[derive(Clone)]
pub struct NamespacedName {
    /// The namespace, directly followed by the name.
    text: Arc<str>,
    namespace_len: usize,
}

impl NamespacedName {
    /// The key of `name` in `namespace`.
    pub fn new(namespace: &str, name: &str) -> Self {
        let mut text = String::with_capacity(namespace.len() + name.len());
        text.push_str(namespace);
        text.push_str(name);
        Self { text: text.into(), namespace_len: namespace.len() }
    }

    /// The key of an object that lives in no namespace.
    pub fn cluster_scoped(name: &str) -> Self {
        Self { text: name.into(), namespace_len: 0 }
    }

    /// The namespace; empty where there is none.
    pub fn namespace(&self) -> &str {
        &self.text[..self.namespace_len]
    }

    /// The name within the namespace.
    pub fn name(&self) -> &str {
        &self.text[self.namespace_len..]
    }

    /// Whether neither a namespace nor a name is given: such a key names nothing.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

impl PartialEq for NamespacedName {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.namespace_len == other.namespace_len && (Arc::ptr_eq(&self.text, &other.text) || self.text == other.text)
    }
}

impl Eq for NamespacedName {}

impl Hash for NamespacedName {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialOrd for NamespacedName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for NamespacedName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.namespace(), self.name()).cmp(&(other.namespace(), other.name()))
    }
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace().is_empty() {
            f.write_str(self.name())
        } else {
            write!(f, "{}/{}", self.namespace(), self.name())
        }
    }
}

impl fmt::Debug for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::NamespacedName;

    #[test]
    fn the_border_between_namespace_and_name_is_part_of_the_key() {
        let ab_c = NamespacedName::new("ab", "c");
        let a_bc = NamespacedName::new("a", "bc");
        assert_ne!(ab_c, a_bc);
        assert_eq!(ab_c, NamespacedName::new("ab", "c"));
        assert_ne!(ab_c, NamespacedName::new("ab", "d"));
        assert_eq!(HashSet::from([ab_c.clone(), a_bc, ab_c]).len(), 2);
    }

    #[test]
    fn equal_keys_hash_alike_whatever_storage_they_share() {
        let key = NamespacedName::new("fleet", "east");
        let set = HashSet::from([key.clone()]);
        assert!(set.contains(&key));
        assert!(set.contains(&NamespacedName::new("fleet", "east")));
    }

    #[test]
    fn different_keys_hash_differently() {
        let hash = |key: &NamespacedName| BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        let hashes: HashSet<_> = (0..100).map(|n| hash(&NamespacedName::new("fleet", &n.to_string()))).collect();
        assert_eq!(hashes.len(), 100);
    }

    #[test]
    fn a_key_without_a_namespace_is_just_its_name() {
        let key = NamespacedName::cluster_scoped("east");
        assert_eq!(key, NamespacedName::new("", "east"));
        assert_eq!((key.namespace(), key.name()), ("", "east"));
        assert_eq!(format!("{key} {key:?}"), "east \"east\"");
        assert_eq!(format!("{:?}", NamespacedName::new("a", "b")), "\"a/b\"");
    }

    #[test]
    fn only_a_key_of_nothing_is_empty() {
        assert!(NamespacedName::new("", "").is_empty());
        assert!(!NamespacedName::new("a", "").is_empty());
        assert!(!NamespacedName::cluster_scoped("a").is_empty());
    }

    #[test]
    fn keys_sort_by_namespace_first() {
        let mut keys = [NamespacedName::new("b", "a"), NamespacedName::new("a", "z"), NamespacedName::new("ab", "a")];
        keys.sort();
        assert_eq!(keys.map(|key| key.to_string()), ["a/z", "ab/a", "b/a"]);
        assert!(NamespacedName::new("a", "a") < NamespacedName::new("a", "b"));
    }
}
