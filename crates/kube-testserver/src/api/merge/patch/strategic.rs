//! Strategic merge patches: merge patches that know which lists merge, and by which key.

use std::collections::{HashMap, HashSet};

use http::StatusCode;
use serde_json::{Map, Value};

use crate::{
    registry::merge_schema::{Schema, Shape},
    wire::status::Status,
};

const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

/// Lays `patch` over `value`.
pub(super) fn merge(value: &mut Value, patch: &Value, schema: &Schema) -> Result<(), Status> {
    let Value::Object(patch) = patch else {
        *value = patch.clone();
        return Ok(());
    };
    match directive(patch)? {
        Directive::Replace => {
            *value = without_directives(patch);
            return Ok(());
        }
        Directive::Delete => {
            *value = Value::Object(Map::new());
            return Ok(());
        }
        // It is what happens unasked, and may not be asked for.
        Directive::Merge if value.is_object() && patch.contains_key("$patch") => return Err(unknown("merge", patch)),
        Directive::Merge => {}
    }
    check_retained(patch)?;
    let map = crate::api::object::meta::map_of(value);
    for (name, wanted) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
        let below = schema.field(name);
        match wanted {
            Value::Null => {
                map.remove(name);
            }
            // What is new is taken as it is.
            Value::Object(wanted) if !map.contains_key(name) && wanted.contains_key("$retainKeys") => {
                let fields = wanted.iter().filter(|(_, value)| !value.is_null());
                let fields = fields.map(|(name, value)| (name.clone(), value.clone())).collect();
                map.insert(name.clone(), Value::Object(fields));
            }
            // A directive is about what is there.
            Value::Object(wanted) if !map.contains_key(name) && wanted.contains_key("$patch") => {}
            Value::Object(_) => merge(map.entry(name.clone()).or_insert(Value::Null), wanted, below)?,
            Value::Array(items) => {
                let old = map.remove(name);
                let before = old.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                let mut list = before.to_vec();
                merge_list(&mut list, items, below)?;
                if let Some(order) = patch.get(&format!("{ORDER}{name}")).and_then(Value::as_array) {
                    reorder(&mut list, before, order, &below.shape);
                }
                map.insert(name.clone(), list.into());
            }
            scalar => {
                map.insert(name.clone(), scalar.clone());
            }
        }
    }
    follow_directives(map, patch, schema)
}

/// Does what a patch says beside its fields: which values of a list go, in which order its items are, which fields stay.
fn follow_directives(map: &mut Map<String, Value>, patch: &Map<String, Value>, schema: &Schema) -> Result<(), Status> {
    for (directive, argument) in patch.iter().filter(|(name, _)| name.starts_with('$')) {
        let arguments = argument.as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(name) = directive.strip_prefix(DELETE) {
            if let Some(Value::Array(list)) = map.get_mut(name) {
                let gone: HashSet<String> = arguments.iter().map(Value::to_string).collect();
                list.retain(|item| !gone.contains(&item.to_string()));
            }
        } else if let Some(name) = directive.strip_prefix(ORDER) {
            if !patch.contains_key(name)
                && let Some(Value::Array(list)) = map.get_mut(name)
            {
                let before = list.clone();
                reorder(list, &before, arguments, &schema.field(name).shape);
            }
        } else if directive == "$retainKeys" {
            map.retain(|name, _| arguments.iter().any(|kept| kept == name));
        } else if directive != "$patch" {
            return Err(Status::bad_request(format!("unknown directive {directive} in the patch")));
        }
    }
    Ok(())
}

/// Every field of a patch that says which fields are kept must be one of them.
fn check_retained(patch: &Map<String, Value>) -> Result<(), Status> {
    let Some(retained) = patch.get("$retainKeys") else { return Ok(()) };
    let names = retained.as_array();
    let is_kept = |name: &str| names.is_some_and(|names| names.iter().any(|kept| kept == name));
    let mut fields = patch.iter().filter(|(name, value)| !value.is_null() && !name.starts_with('$'));
    if names.is_some() && fields.all(|(name, _)| is_kept(name)) {
        return Ok(());
    }
    Err(Status::bad_request("invalid patch format of retainKeys"))
}

enum Directive {
    Merge,
    Replace,
    Delete,
}

fn directive(patch: &Map<String, Value>) -> Result<Directive, Status> {
    match patch.get("$patch").map(Value::as_str) {
        None | Some(Some("merge")) => Ok(Directive::Merge),
        Some(Some("replace")) => Ok(Directive::Replace),
        Some(Some("delete")) => Ok(Directive::Delete),
        Some(other) => Err(unknown(other.unwrap_or_default(), patch)),
    }
}

fn unknown(directive: &str, patch: &Map<String, Value>) -> Status {
    failed(format!("unknown patch type: {directive} in map: {}", Value::Object(patch.clone())))
}

/// A patch that cannot be laid over the object is taken for a fault of the server, as a real one does.
fn failed(message: impl Into<String>) -> Status {
    Status::failure(StatusCode::INTERNAL_SERVER_ERROR, "", message)
}

fn without_directives(patch: &Map<String, Value>) -> Value {
    let fields = patch.iter().filter(|(name, _)| !name.starts_with('$'));
    Value::Object(fields.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// What identifies an item in its list: its key field, or all of it.
fn identity(item: &Value, shape: &Shape) -> Option<String> {
    match shape {
        Shape::Keyed(keys) => item.get(&keys.first()?.0).map(Value::to_string),
        _ => Some(item.to_string()),
    }
}

/// Where each item is, the first of a kind.
fn places(list: &[Value], shape: &Shape) -> HashMap<String, usize> {
    let mut places = HashMap::with_capacity(list.len());
    for (at, item) in list.iter().enumerate() {
        if let Some(identity) = identity(item, shape) {
            places.entry(identity).or_insert(at);
        }
    }
    places
}

/// Lays the list `patch` over `list`, which takes on the order of the patch.
fn merge_list(list: &mut Vec<Value>, patch: &[Value], schema: &Schema) -> Result<(), Status> {
    match &schema.shape {
        Shape::Granular | Shape::Atomic => *list = patch.to_vec(),
        Shape::Set => {
            let before = list.clone();
            let mut known = places(list, &schema.shape);
            for item in patch {
                if known.insert(item.to_string(), list.len()).is_none() {
                    list.push(item.clone());
                }
            }
            reorder(list, &before, patch, &schema.shape);
            let mut seen = HashSet::new();
            list.retain(|item| seen.insert(item.to_string()));
        }
        Shape::Keyed(keys) => {
            let key = keys.first().map(|(key, _)| key.as_str()).unwrap_or_default();
            merge_keyed(list, patch, key, schema)?;
        }
    }
    Ok(())
}

/// What is deleted goes first, so that an item of the same key may come in its place.
fn merge_keyed(list: &mut Vec<Value>, patch: &[Value], key: &str, schema: &Schema) -> Result<(), Status> {
    let known_as = |item: &Value| {
        identity(item, &schema.shape)
            .ok_or_else(|| failed(format!("map: {item} does not contain declared merge key: {key}")))
    };
    let (mut wanted, mut deleted) = (Vec::with_capacity(patch.len()), HashSet::new());
    let mut replaced = false;
    for item in patch {
        let Value::Object(fields) = item else {
            return Err(failed("list element types are not identical"));
        };
        match directive(fields)? {
            _ if list.is_empty() && fields.contains_key("$patch") => {}
            Directive::Merge if fields.contains_key("$patch") => {
                return Err(failed("merging lists cannot yet be specified in the patch"));
            }
            Directive::Merge => wanted.push(item.clone()),
            Directive::Replace => replaced = true,
            Directive::Delete => {
                deleted.insert(known_as(item)?);
            }
        }
    }
    if replaced {
        list.clear();
    }
    list.retain(|item| identity(item, &schema.shape).is_none_or(|identity| !deleted.contains(&identity)));
    let before = list.clone();
    let mut known = places(list, &schema.shape);
    for item in &wanted {
        let identity = known_as(item)?;
        if let Some(&at) = known.get(&identity) {
            merge(&mut list[at], item, schema.item())?;
        } else {
            let mut new = Value::Null;
            merge(&mut new, item, schema.item())?;
            known.insert(identity, list.len());
            list.push(new);
        }
    }
    reorder(list, &before, &wanted, &schema.shape);
    Ok(())
}

/// Brings listed items into the wanted order. Items that are not listed keep theirs, and stay before those they were
/// before; where the two cannot be compared, because one is new, the listed item comes first.
fn reorder(list: &mut Vec<Value>, before: &[Value], order: &[Value], shape: &Shape) {
    let (wanted, origins) = (places(order, shape), places(before, shape));
    let in_places = |places: &HashMap<String, usize>, item: &Value| {
        identity(item, shape).and_then(|identity| places.get(&identity).copied())
    };
    let (mut listed, unlisted): (Vec<Value>, Vec<Value>) =
        std::mem::take(list).into_iter().partition(|item| in_places(&wanted, item).is_some());
    listed.sort_by_cached_key(|item| in_places(&wanted, item));
    let mut unlisted = unlisted.into_iter().peekable();
    for item in listed {
        if let Some(at) = in_places(&origins, &item) {
            let earlier = |other: &Value| in_places(&origins, other).is_some_and(|other| other < at);
            while let Some(earlier) = unlisted.next_if(earlier) {
                list.push(earlier);
            }
        }
        list.push(item);
    }
    list.extend(unlisted);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(mut value: Value, patch: &Value) -> Value {
        merge(&mut value, patch, &Schema::of_core("Pod")).unwrap();
        value
    }

    #[test]
    fn maps_merge_and_null_removes() {
        assert_eq!(
            merged(
                json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "data": {"x": "y"}}),
                &json!({"metadata": {"labels": {"b": null, "c": "3"}}, "data": {"$patch": "replace", "z": "1"}}),
            ),
            json!({"metadata": {"labels": {"a": "1", "c": "3"}}, "data": {"z": "1"}})
        );
    }

    #[test]
    fn finalizers_merge_by_value() {
        assert_eq!(
            merged(
                json!({"metadata": {"finalizers": ["a/a", "b/b"]}}),
                &json!({"metadata": {"finalizers": ["c/c"], "$deleteFromPrimitiveList/finalizers": ["a/a"]}}),
            ),
            json!({"metadata": {"finalizers": ["c/c", "b/b"]}})
        );
    }

    /// What becomes of a pod's finalizers, and of containers of the same names.
    fn orders(live: &[&str], patch: &Value) -> [Vec<String>; 2] {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let of = |list: &Value, name: fn(&Value) -> &Value| -> Vec<String> {
            list.as_array().unwrap().iter().map(|item| text(name(item))).collect()
        };
        let keyed = |names: &Value| -> Value {
            let names = names.as_array().unwrap();
            names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>().into()
        };
        let fields = patch.as_object().unwrap();
        let spec: Map<String, Value> =
            fields.iter().map(|(field, list)| (field.replace("finalizers", "containers"), keyed(list))).collect();
        let pod = json!({"metadata": {"finalizers": live}, "spec": {"containers": keyed(&json!(live))}});
        let after = merged(pod, &json!({"metadata": patch, "spec": spec}));
        [of(&after["metadata"]["finalizers"], |item| item), of(&after["spec"]["containers"], |item| &item["name"])]
    }

    #[test]
    fn a_merged_list_has_the_order_of_the_patch_with_the_others_where_they_were() {
        let order = "$setElementOrder/finalizers";
        for (live, patch, after) in [
            (vec!["c"], json!({"finalizers": ["z"]}), vec!["z", "c"]),
            (vec!["a", "b", "c"], json!({"finalizers": ["c"]}), vec!["a", "b", "c"]),
            (vec!["a", "b", "c"], json!({"finalizers": ["b"]}), vec!["a", "b", "c"]),
            (vec!["a", "b", "c"], json!({"finalizers": ["b", "z"]}), vec!["a", "b", "z", "c"]),
            (vec!["a", "b", "c"], json!({"finalizers": ["z", "b"]}), vec!["z", "a", "b", "c"]),
            (vec!["a", "b", "c"], json!({"finalizers": ["c", "a"]}), vec!["b", "c", "a"]),
            (vec!["a", "b", "c"], json!({"finalizers": ["y", "c", "z", "a"]}), vec!["y", "b", "c", "z", "a"]),
            (vec![], json!({"finalizers": ["z", "a"]}), vec!["z", "a"]),
            (vec!["a", "b"], json!({"finalizers": []}), vec!["a", "b"]),
            (vec!["a", "b"], json!({"finalizers": ["z"], order: ["b", "z"]}), vec!["a", "b", "z"]),
            (vec!["a", "b"], json!({order: ["b", "a"]}), vec!["b", "a"]),
            (vec!["a", "b", "c"], json!({order: ["c", "a"]}), vec!["b", "c", "a"]),
        ] {
            assert_eq!(orders(&live, &patch), [after.clone(), after], "{live:?} and {patch}");
        }
    }

    #[test]
    fn a_deleted_item_may_come_back_anew_and_a_replacing_list_is_what_it_says() {
        let pod = json!({"spec": {"containers": [{"name": "a", "image": "1", "tty": true}, {"name": "b"}]}});
        let anew = json!([{"name": "a", "image": "2"}, {"name": "a", "$patch": "delete"}]);
        let after = merged(pod.clone(), &json!({"spec": {"containers": anew}}));
        assert_eq!(after["spec"]["containers"], json!([{"name": "a", "image": "2"}, {"name": "b"}]));
        let instead = json!([{"name": "z"}, {"$patch": "replace"}, {"name": "y"}, {"name": "x", "$patch": "replace"}]);
        let after = merged(pod, &json!({"spec": {"containers": instead}}));
        assert_eq!(after["spec"]["containers"], json!([{"name": "z"}, {"name": "y"}]));
    }

    #[test]
    fn lists_merge_by_their_key_and_keep_the_wanted_order() {
        let pod = json!({"spec": {"containers": [
            {"name": "a", "image": "1"}, {"name": "server", "image": "1"}, {"name": "b", "image": "1"},
        ]}});
        let patch = json!({"spec": {
            "$setElementOrder/containers": [{"name": "b"}, {"name": "new"}, {"name": "a"}],
            "containers": [{"name": "b", "image": "2"}, {"name": "new", "image": "9"}],
        }});
        let names = |pod: &Value| -> Vec<String> {
            let containers = pod["spec"]["containers"].as_array().unwrap();
            containers.iter().map(|one| format!("{}{}", one["name"], one["image"])).collect()
        };
        assert_eq!(
            names(&merged(pod.clone(), &patch)),
            ["\"server\"\"1\"", "\"b\"\"2\"", "\"new\"\"9\"", "\"a\"\"1\""]
        );
        let patch = json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}]}});
        assert_eq!(names(&merged(pod, &patch)), ["\"server\"\"1\"", "\"b\"\"1\""]);
    }

    #[test]
    fn a_directive_about_what_is_not_there_is_left_out_with_its_map() {
        for directive in ["merge", "replace", "delete"] {
            let item = json!({"name": "a", "$patch": directive});
            let patch = json!({"spec": {"containers": [{"name": "b"}, item], "securityContext": item}});
            assert_eq!(merged(json!({}), &patch), json!({"spec": {"containers": [{"name": "b"}]}}), "{directive}");
        }
    }

    #[test]
    fn a_patch_that_cannot_be_merged_is_a_fault_of_the_server() {
        let with_item = |item: Value| json!({"spec": {"containers": [item]}});
        for (patch, message) in [
            (with_item(json!({"image": "x"})), "does not contain declared merge key: name"),
            (with_item(json!({"$patch": "delete"})), "does not contain declared merge key: name"),
            (with_item(json!("a")), "list element types are not identical"),
            (with_item(json!({"name": "a", "$patch": "merge"})), "merging lists cannot yet be specified in the patch"),
            (with_item(json!({"name": "a", "$patch": "other"})), "unknown patch type: other in map: "),
            (json!({"spec": {"$patch": "merge", "hostname": "a"}}), "unknown patch type: merge in map: "),
            (json!({"$patch": "merge"}), "unknown patch type: merge in map: "),
        ] {
            let mut pod = with_item(json!({"name": "a"}));
            let status = merge(&mut pod, &patch, &Schema::of_core("Pod")).unwrap_err();
            assert_eq!((status.code(), status.reason()), (500, ""), "{patch}");
            assert!(status.message().contains(message), "{patch}: {}", status.message());
        }
    }
}
