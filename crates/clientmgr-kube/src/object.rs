//! [`ObjectKey`]: what an object is known by.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use clientmgr_core::NamespacedName;
use kube::Resource;
use uuid::Uuid;

/// What an object is known by: its UID, so that an object that is deleted and created again is another one.
///
/// A UID is a UUID, and takes 16 bytes without an allocation. Should it be none it is kept as text; and an object
/// without a UID, such as one that was not created yet, is known by its group, kind, namespace and name.
///
/// # Example
///
/// ```
/// use clientmgr_kube::ObjectKey;
/// use clientmgr_kube::k8s_openapi::api::core::v1::ConfigMap;
///
/// let mut object = ConfigMap::default();
/// object.metadata.name = Some("settings".into());
/// assert_eq!(format!("{:?}", ObjectKey::of(&object)), "ConfigMap settings");
///
/// object.metadata.uid = Some("7d1cbb0d-5c5b-4a5f-a9f5-e5a2f3f54b10".into());
/// assert_eq!(format!("{:?}", ObjectKey::of(&object)), "7d1cbb0d-5c5b-4a5f-a9f5-e5a2f3f54b10");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ObjectKey(Known);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Known {
    Uuid(Uuid),
    /// A UID that is no UUID.
    Text(Arc<str>),
    /// No UID.
    Name(Arc<Named>),
}

#[derive(PartialEq, Eq, Hash)]
struct Named {
    group: Cow<'static, str>,
    kind: Cow<'static, str>,
    name: NamespacedName,
}

impl ObjectKey {
    /// The key of `object`.
    pub fn of<K>(object: &K) -> Self
    where
        K: Resource,
        K::DynamicType: Default,
    {
        let meta = object.meta();
        match meta.uid.as_deref() {
            Some(uid) if !uid.is_empty() => Self::of_uid(uid),
            _ => {
                let kind = K::DynamicType::default();
                Self(Known::Name(Arc::new(Named {
                    group: K::group(&kind).into_owned().into(),
                    kind: K::kind(&kind).into_owned().into(),
                    name: NamespacedName::new(
                        meta.namespace.as_deref().unwrap_or_default(),
                        meta.name.as_deref().unwrap_or_default(),
                    ),
                })))
            }
        }
    }

    /// The key of the object with this UID: the same as [`of`](Self::of) the object.
    pub fn of_uid(uid: &str) -> Self {
        // Only the form that Kubernetes writes, so that two texts never become one key.
        match Uuid::try_parse(uid) {
            Ok(parsed) if uid.len() == 36 && !uid.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                Self(Known::Uuid(parsed))
            }
            _ => Self(Known::Text(uid.into())),
        }
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Known::Uuid(uuid) => write!(f, "{uuid}"),
            Known::Text(uid) => f.write_str(uid),
            Known::Name(named) if named.group.is_empty() => write!(f, "{} {}", named.kind, named.name),
            Known::Name(named) => write!(f, "{}.{} {}", named.kind, named.group, named.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use k8s_openapi::api::core::v1::{ConfigMap, Secret};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::ObjectKey;

    const UID: &str = "7d1cbb0d-5c5b-4a5f-a9f5-e5a2f3f54b10";

    fn meta(uid: Option<&str>, namespace: Option<&str>, name: &str) -> ObjectMeta {
        ObjectMeta {
            uid: uid.map(Into::into),
            namespace: namespace.map(Into::into),
            name: Some(name.into()),
            ..ObjectMeta::default()
        }
    }

    fn config_map(metadata: ObjectMeta) -> ObjectKey {
        ObjectKey::of(&ConfigMap { metadata, ..ConfigMap::default() })
    }

    #[test]
    fn an_object_is_known_by_its_uid_whatever_its_name() {
        let key = config_map(meta(Some(UID), Some("a"), "b"));
        assert_eq!(key, config_map(meta(Some(UID), Some("c"), "d")));
        assert_eq!(key, ObjectKey::of_uid(UID));
        assert_eq!(format!("{key:?}"), UID);
    }

    #[test]
    fn an_object_that_is_created_again_is_another_one() {
        let other = UID.replace('7', "8");
        assert_ne!(config_map(meta(Some(UID), Some("a"), "b")), config_map(meta(Some(&other), Some("a"), "b")));
    }

    #[test]
    fn a_uid_that_is_no_uuid_is_kept_as_text() {
        // Forms that a parser of UUIDs takes for the same one are different texts, so they are different keys.
        let texts = [UID.to_owned(), UID.to_uppercase(), UID.replace('-', ""), format!("{{{UID}}}"), "mirror".into()];
        let keys: HashSet<_> = texts.iter().map(|text| ObjectKey::of_uid(text)).collect();
        assert_eq!(keys.len(), texts.len());
        assert_eq!(ObjectKey::of_uid("mirror"), config_map(meta(Some("mirror"), None, "b")));
        assert_eq!(format!("{:?}", ObjectKey::of_uid("mirror")), "mirror");
    }

    #[test]
    fn an_object_without_a_uid_is_known_by_kind_namespace_and_name() {
        let key = config_map(meta(None, Some("a"), "b"));
        assert_eq!(key, config_map(meta(Some(""), Some("a"), "b")));
        assert_ne!(key, config_map(meta(None, Some("a"), "c")));
        assert_ne!(key, config_map(meta(None, None, "b")));
        assert_ne!(key, ObjectKey::of(&Secret { metadata: meta(None, Some("a"), "b"), ..Secret::default() }));
        assert_eq!(format!("{key:?}"), "ConfigMap a/b");
    }

    #[test]
    fn a_key_is_small() {
        assert_eq!(size_of::<ObjectKey>(), 24);
    }
}
