//! Keys of clusters and objects, and the usual one, [`NamespacedName`].

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

/// A type that can name a cluster or an object. Implemented for every type that meets the bounds.
pub trait Key: Clone + fmt::Debug + Eq + Hash + Send + Sync + 'static {}

impl<T: Clone + fmt::Debug + Eq + Hash + Send + Sync + 'static> Key for T {}

/// A namespace and a name, as Kubernetes names an object of one kind.
///
/// Cheap to clone (one reference count). The namespace is empty for a cluster-scoped object.
///
/// `From` makes a cluster-scoped key of the whole text, whatever it contains: contexts of a kubeconfig often contain
/// slashes. [`str::parse`] splits `namespace/name` and refuses everything else. It reads back what [`Display`](fmt::Display)
/// writes for every key that Kubernetes allows.
///
/// # Examples
///
/// ```
/// use clientmgr_core::NamespacedName;
///
/// let east = NamespacedName::new("fleet", "east");
/// assert_eq!((east.namespace(), east.name()), ("fleet", "east"));
/// assert_eq!(east.to_string(), "fleet/east");
/// assert_eq!("fleet/east".parse(), Ok(east));
///
/// let context = NamespacedName::from("arn:aws:eks:eu-west-1:1:cluster/prod");
/// assert_eq!((context.namespace(), context.name()), ("", "arn:aws:eks:eu-west-1:1:cluster/prod"));
/// ```
#[derive(Clone)]
pub struct NamespacedName {
    /// The namespace, directly followed by the name.
    text: Arc<str>,
    namespace_len: usize,
}

impl NamespacedName {
    /// Returns the key of `name` in `namespace`.
    pub fn new(namespace: &str, name: &str) -> Self {
        let mut text = String::with_capacity(namespace.len() + name.len());
        text.push_str(namespace);
        text.push_str(name);
        Self { text: text.into(), namespace_len: namespace.len() }
    }

    /// Returns the key of an object without a namespace.
    pub fn cluster_scoped(name: &str) -> Self {
        Self { text: name.into(), namespace_len: 0 }
    }

    /// Returns the namespace, which is empty for a cluster-scoped object.
    pub fn namespace(&self) -> &str {
        &self.text[..self.namespace_len]
    }

    /// Returns the name within the namespace.
    pub fn name(&self) -> &str {
        &self.text[self.namespace_len..]
    }

    /// Returns whether both namespace and name are empty.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

impl From<&str> for NamespacedName {
    /// Returns the cluster-scoped key of `name`.
    fn from(name: &str) -> Self {
        Self::cluster_scoped(name)
    }
}

impl From<&Self> for NamespacedName {
    /// A clone, which is cheap.
    fn from(key: &Self) -> Self {
        key.clone()
    }
}

impl From<String> for NamespacedName {
    /// Returns the cluster-scoped key of `name`.
    fn from(name: String) -> Self {
        Self::cluster_scoped(&name)
    }
}

/// Why a text is not a [`NamespacedName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a name or namespace/name: {reason}")]
pub struct ParseNamespacedNameError {
    text: String,
    reason: &'static str,
}

impl FromStr for NamespacedName {
    type Err = ParseNamespacedNameError;

    /// Parses `name` or `namespace/name`.
    fn from_str(text: &str) -> Result<Self, ParseNamespacedNameError> {
        let refuse = |reason| Err(ParseNamespacedNameError { text: text.to_owned(), reason });
        let (namespace, name) = text.split_once('/').map_or((None, text), |(namespace, name)| (Some(namespace), name));
        if name.is_empty() {
            return refuse("the name is empty");
        }
        if name.contains('/') {
            return refuse("it contains more than one slash");
        }
        let Some(namespace) = namespace else {
            return Ok(Self::cluster_scoped(name));
        };
        if namespace.is_empty() {
            return refuse("the namespace is empty");
        }
        if !namespace.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
            return refuse("a namespace consists of lower case letters, digits and dashes");
        }
        Ok(Self::new(namespace, name))
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
    fn a_text_converts_to_a_cluster_scoped_key_and_parses_to_a_namespaced_one() {
        assert_eq!(NamespacedName::from("a/b"), NamespacedName::cluster_scoped("a/b"));
        assert_eq!(NamespacedName::from("a/b".to_owned()), NamespacedName::cluster_scoped("a/b"));
        assert_eq!("a/b".parse(), Ok(NamespacedName::new("a", "b")));
        assert_eq!("b".parse(), Ok(NamespacedName::cluster_scoped("b")));
    }

    #[test]
    fn a_text_that_is_not_a_name_is_refused_with_the_reason() {
        let table = [
            ("", "the name is empty"),
            ("a/", "the name is empty"),
            ("/b", "the namespace is empty"),
            ("a/b/c", "it contains more than one slash"),
            ("arn:aws:eks:1:cluster/prod", "a namespace consists of lower case letters, digits and dashes"),
        ];
        for (text, reason) in table {
            let error = text.parse::<NamespacedName>().unwrap_err();
            assert_eq!(error.to_string(), format!("{text:?} is not a name or namespace/name: {reason}"));
        }
    }

    proptest::proptest! {
        #[test]
        fn a_displayed_key_parses_to_itself(namespace in "[a-z0-9-]{0,8}", name in "[a-zA-Z0-9.:_-]{1,8}") {
            let key = NamespacedName::new(&namespace, &name);
            assert_eq!(key.to_string().parse(), Ok(key));
        }
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
