//! Lists whose items may be there once: sets, and lists with keys.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::api::object::go_values::shown;
use crate::{
    registry::structural::node::{ListType, Node},
    wire::status::Cause,
};

/// The items that are there more than once.
pub(super) fn duplicates(value: &Value, schema: &Node, path: &str, causes: &mut Vec<Cause>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if let Some(below) = schema.field(name) {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    duplicates(value, below, &path, causes);
                }
            }
        }
        Value::Array(list) => {
            let mut seen = HashMap::new();
            for (at, item) in list.iter().enumerate() {
                if matches!(schema.list_type, ListType::Map(_)) && !(item.is_object() || item.is_null()) {
                    let rule = "must be an object for an array of list-type map";
                    causes.push(Cause::invalid_raw(format!("{path}[{at}]"), &shown(item), rule));
                }
                let identity = match &schema.list_type {
                    ListType::Atomic => None,
                    ListType::Set => Some(shown(item)),
                    ListType::Map(keys) => keys_of(item, keys),
                };
                if let Some(identity) = identity
                    && times(&mut seen, &identity) == 2
                {
                    causes.push(Cause::duplicate_raw(format!("{path}[{at}]"), &identity));
                }
                if let Some(items) = &schema.items {
                    duplicates(item, items, &format!("{path}[{at}]"), causes);
                }
            }
        }
        _ => {}
    }
}

/// How often an item is there by now. A real server names each only once.
fn times(seen: &mut HashMap<String, usize>, identity: &str) -> usize {
    let times = seen.entry(identity.to_owned()).or_default();
    *times += 1;
    *times
}

fn keys_of(item: &Value, keys: &[String]) -> Option<String> {
    let fields = item.as_object()?;
    let found: BTreeMap<&String, &Value> = keys.iter().filter_map(|key| Some((key, fields.get(key)?))).collect();
    serde_json::to_string(&found).ok()
}
