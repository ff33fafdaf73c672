//! What a schema may say of lists and maps: how they are merged, and what identifies their items.

use serde_json::Value;

use crate::wire::status::Cause;

const LIST_TYPE: &str = "x-kubernetes-list-type";
const MAP_TYPE: &str = "x-kubernetes-map-type";
const MAP_KEYS: &str = "x-kubernetes-list-map-keys";

fn type_of(schema: &Value) -> &str {
    schema["type"].as_str().unwrap_or_default()
}

/// What is wrong with the list or map at `path`.
pub(super) fn check(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (keyword, kind, known) in
        [(MAP_TYPE, "object", &["atomic", "granular"][..]), (LIST_TYPE, "array", &["atomic", "set", "map"][..])]
    {
        let Some(named) = schema[keyword].as_str() else { continue };
        if type_of(schema) != kind {
            let (field, rule) = (format!("{path}.type"), format!("must be {kind} if {keyword} is specified"));
            causes.push(match type_of(schema) {
                "" => Cause::required(field, &rule),
                other => Cause::invalid(field, other, &rule),
            });
        }
        if !known.contains(&named) {
            causes.push(Cause::not_supported(format!("{path}.{keyword}"), named, known));
        }
    }
    let keys = schema[MAP_KEYS].as_array().filter(|keys| !keys.is_empty());
    match (schema[LIST_TYPE].as_str(), keys) {
        (Some("map"), None) => {
            let rule = "must not be empty if x-kubernetes-list-type is map";
            causes.push(Cause::required(format!("{path}.{MAP_KEYS}"), rule));
        }
        (Some("map"), Some(keys)) => check_keys(schema, keys, path, causes),
        (list_type, Some(_)) => {
            let (field, rule) =
                (format!("{path}.{LIST_TYPE}"), "must be map if x-kubernetes-list-map-keys is non-empty");
            causes.push(match list_type {
                None => Cause::required(field, rule),
                Some(other) => Cause::invalid(field, other, rule),
            });
        }
        (Some("set"), None) => check_set(&schema["items"], path, causes),
        _ => {}
    }
}

/// The items of a set are compared as a whole.
fn check_set(items: &Value, path: &str, causes: &mut Vec<Cause>) {
    let rule = "must be atomic as item of a list with x-kubernetes-list-type=set";
    // A real server shows the list type of both.
    let shown = items[LIST_TYPE].to_string();
    match (type_of(items), items[LIST_TYPE].as_str(), items[MAP_TYPE].as_str()) {
        ("array", Some(other), _) if other != "atomic" => {
            causes.push(Cause::invalid_raw(format!("{path}.items.{LIST_TYPE}"), &shown, rule));
        }
        ("object", _, named) if named != Some("atomic") => {
            causes.push(Cause::invalid_raw(format!("{path}.items.{MAP_TYPE}"), &shown, rule));
        }
        _ => {}
    }
}

/// The keys of a list's items are scalar fields that each item has.
fn check_keys(schema: &Value, keys: &[Value], path: &str, causes: &mut Vec<Cause>) {
    let items = &schema["items"];
    if type_of(items) != "object" {
        let rule = "must be object if parent array's x-kubernetes-list-type is map";
        causes.push(Cause::invalid(format!("{path}.items.type"), type_of(items), rule));
        return;
    }
    let field = format!("{path}.{MAP_KEYS}");
    let shown = Value::from(keys.to_vec()).to_string();
    for (at, key) in keys.iter().enumerate() {
        let name = key.as_str().unwrap_or_default();
        if keys.iter().take(at).any(|earlier| earlier == key) {
            causes.push(Cause::invalid_raw(&field, &shown, "must not contain duplicate entries"));
        }
        let Some(property) = items["properties"].get(name) else {
            causes.push(Cause::invalid_raw(&field, &shown, "entries must all be names of item properties"));
            continue;
        };
        let path = format!("{path}.items.properties[{name}]");
        if matches!(type_of(property), "array" | "object") {
            let rule = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            causes.push(Cause::invalid(format!("{path}.type"), type_of(items), rule));
        }
        let required = items["required"].as_array().is_some_and(|names| names.contains(key));
        if !required && property.get("default").is_none() {
            let rule =
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            causes.push(Cause::required(format!("{path}.default"), rule));
        }
    }
}
