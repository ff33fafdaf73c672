//! [`EmptyKeyError`]: a cluster key without a name.

use clientmgr_core::NamespacedName;

/// A cluster key has no name. No cluster object has such a key, so its client could not be requested.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cluster key {key:?} has no name: use the name of the cluster object")]
#[non_exhaustive]
pub struct EmptyKeyError {
    /// The key.
    pub key: NamespacedName,
}

impl EmptyKeyError {
    /// Returns an error for a key without a name.
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
