//! Which old value a new one is compared with.

use serde_json::Value;

use crate::registry::structural::node::{ListType, Node};

/// The old value of a map's entry.
pub(super) fn entry<'a>(old: Option<&'a Value>, name: &str) -> Option<&'a Value> {
    old?.as_object()?.get(name)
}

/// The old value of a list's item: only items with keys can be identified.
pub(super) fn item<'a>(old: Option<&'a Value>, schema: &Node, item: &Value) -> Option<&'a Value> {
    let ListType::Map(keys) = &schema.list_type else { return None };
    let same = |other: &&Value| keys.iter().all(|key| other.get(key) == item.get(key));
    old?.as_array()?.iter().find(same)
}
