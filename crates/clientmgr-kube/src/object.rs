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
