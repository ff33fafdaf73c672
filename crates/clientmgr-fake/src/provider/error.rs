//! [`EmptyKeyError`]: the one thing a test can get wrong when it steers the fake.

use clientmgr_core::NamespacedName;

/// A client or an error was to be served under a key that has no name, so nobody could ever ask for it.
///
/// A namespace alone does not help: no object is without a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cluster key needs a name, and {key:?} has none: name the cluster as its object is named")]
#[non_exhaustive]
pub struct EmptyKeyError {
    /// The key that was given.
    pub key: NamespacedName,
}

impl EmptyKeyError {
    /// Refuses a key without a name.
    pub(super) fn check(key: &NamespacedName) -> Result<(), Self> {
        if key.name().is_empty() { Err(Self { key: key.clone() }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::EmptyKeyError;
    use clientmgr_core::NamespacedName;

    #[test]
    fn only_a_key_with_a_name_passes() {
        for (namespace, name, passes) in
            [("", "", false), ("fleet", "", false), ("", "east", true), ("fleet", "east", true)]
        {
            let key = NamespacedName::new(namespace, name);
            assert_eq!(EmptyKeyError::check(&key).is_ok(), passes, "{key:?}");
        }
    }
}
