//! [`ObjectKey`]: how an object is known to a manager.

use std::any::{Any, TypeId, type_name};
use std::fmt;
use std::sync::Arc;

use clientmgr_core::NamespacedName;
use kube::Resource;
use kube::core::{DynamicObject, TypeMeta};
use uuid::Uuid;

use super::cluster::ResourceName as _;

/// The key of an object: its UID, so that an object that is deleted and created again is another one.
///
/// A UID that is a UUID takes 16 bytes and no allocation. Any other is kept as text. An object without a UID, one that
/// was not created yet, is known by its kind, namespace and name; its kind is its Rust type and, for a [`DynamicObject`],
/// its `types`.
///
/// # Examples
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
    kind: Kind,
    name: NamespacedName,
}

#[derive(PartialEq, Eq, Hash)]
enum Kind {
    Typed(TypeId, &'static str),
    Dynamic(Option<TypeMeta>),
}

impl ObjectKey {
    /// Returns the key of `object`. Allocates nothing where the object has a UID that is a UUID.
    pub fn of<K: Resource + 'static>(object: &K) -> Self {
        Self::by_uid(object).unwrap_or_else(|| Self::by_name(object))
    }

    /// Returns the key of the object with this UID: the same as [`of`](Self::of) the object.
    pub fn of_uid(uid: &str) -> Self {
        // Only the form that Kubernetes writes, so that two texts never become one key.
        match Uuid::try_parse(uid) {
            Ok(parsed) if uid.len() == 36 && !uid.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                Self(Known::Uuid(parsed))
            }
            _ => Self(Known::Text(uid.into())),
        }
    }

    /// Returns every key under which `object` may be known: by its UID, and by its name from before it had one.
    pub(super) fn every_of<K: Resource + 'static>(object: &K) -> impl Iterator<Item = Self> {
        Self::by_uid(object).into_iter().chain([Self::by_name(object)])
    }

    /// Whether this is the key of a UID, which is of one object for all time.
    #[cfg(feature = "runtime")]
    pub(super) fn is_by_uid(&self) -> bool {
        !matches!(self.0, Known::Name(_))
    }

    fn by_uid<K: Resource>(object: &K) -> Option<Self> {
        object.meta().uid.as_deref().filter(|uid| !uid.is_empty()).map(Self::of_uid)
    }

    fn by_name<K: Resource + 'static>(object: &K) -> Self {
        let kind = match (object as &dyn Any).downcast_ref::<DynamicObject>() {
            Some(dynamic) => Kind::Dynamic(dynamic.types.clone()),
            None => Kind::Typed(TypeId::of::<K>(), type_name::<K>()),
        };
        Self(Known::Name(Arc::new(Named { kind, name: object.namespaced_name() })))
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Known::Uuid(uuid) => write!(f, "{uuid}"),
            Known::Text(uid) => f.write_str(uid),
            Known::Name(named) => write!(f, "{} {}", named.kind, named.name),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Typed(_, name) => f.write_str(name.rsplit("::").next().unwrap_or(name)),
            Self::Dynamic(Some(types)) => f.write_str(&types.kind),
            Self::Dynamic(None) => f.write_str("DynamicObject"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use k8s_openapi::api::core::v1::{ConfigMap, Secret};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use kube::core::{DynamicObject, TypeMeta};

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
    fn a_dynamic_object_without_a_uid_is_known_by_its_types_namespace_and_name() {
        let dynamic = |kind: &str, uid: Option<&str>| DynamicObject {
            types: Some(TypeMeta { api_version: "example.com/v1".into(), kind: kind.into() }),
            metadata: meta(uid, Some("a"), "b"),
            data: serde_json::Value::Null,
        };
        let key = ObjectKey::of(&dynamic("Cache", None));
        assert_eq!(key, ObjectKey::of(&dynamic("Cache", None)));
        assert_ne!(key, ObjectKey::of(&dynamic("Queue", None)));
        assert_eq!(format!("{key:?}"), "Cache a/b");
        assert_eq!(ObjectKey::of(&dynamic("Cache", Some(UID))), ObjectKey::of_uid(UID));
    }

    #[test]
    fn every_key_of_an_object_is_by_its_uid_and_by_its_name() {
        let before = ConfigMap { metadata: meta(None, Some("a"), "b"), ..ConfigMap::default() };
        let after = ConfigMap { metadata: meta(Some(UID), Some("a"), "b"), ..ConfigMap::default() };
        let keys: Vec<_> = ObjectKey::every_of(&after).collect();
        assert_eq!(keys, [ObjectKey::of(&after), ObjectKey::of(&before)]);
        assert_eq!(ObjectKey::every_of(&before).collect::<Vec<_>>(), [ObjectKey::of(&before)]);
    }

    #[test]
    fn a_key_is_small() {
        assert_eq!(size_of::<ObjectKey>(), 24);
    }
}
