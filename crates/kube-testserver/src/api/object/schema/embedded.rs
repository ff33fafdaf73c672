//! Objects within an object: they have a type and metadata of their own.

use serde_json::{Map, Value};

use crate::{
    api::object::meta,
    registry::structural::node::Node,
    wire::{status::Cause, syntax::dns_1035_problems},
};

/// What embedded objects lack.
pub(super) fn problems(value: &Value, schema: &Node, path: &str, causes: &mut Vec<Cause>) {
    if schema.embedded
        && let Some(fields) = value.as_object()
    {
        own_problems(fields, path, causes);
    }
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if let Some(below) = schema.field(name) {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    problems(value, below, &path, causes);
                }
            }
        }
        Value::Array(list) => {
            let Some(items) = &schema.items else { return };
            for (at, item) in list.iter().enumerate() {
                problems(item, items, &format!("{path}[{at}]"), causes);
            }
        }
        _ => {}
    }
}

/// Says what in the type or the metadata of an embedded object cannot be read.
pub(crate) fn check_shape(value: &Value, schema: &Node, path: &str) -> Result<(), String> {
    match value {
        Value::Object(map) => {
            if schema.embedded {
                for name in ["apiVersion", "kind"] {
                    if let Some(other) = map.get(name).filter(|value| !value.is_string()) {
                        return Err(format!("{path}.{name}: Invalid value: {other}: must be a string"));
                    }
                }
                meta::check_shape(value)
                    .map_err(|why| format!("{path}.metadata: Invalid value: {}: {why}", value["metadata"]))?;
            }
            map.iter().try_for_each(|(name, value)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                schema.field(name).map_or(Ok(()), |below| check_shape(value, below, &path))
            })
        }
        Value::Array(list) => {
            let Some(items) = &schema.items else { return Ok(()) };
            let mut items =
                list.iter().enumerate().map(|(at, item)| check_shape(item, items, &format!("{path}[{at}]")));
            items.find(Result::is_err).unwrap_or(Ok(()))
        }
        _ => Ok(()),
    }
}

/// Brings the metadata of embedded objects into the form in which it is stored.
pub(crate) fn normalize(value: &mut Value, schema: &Node) {
    if schema.embedded && value["metadata"].is_object() {
        meta::normalize(value);
    }
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if let Some(below) = schema.field(name) {
                    normalize(value, below);
                }
            }
        }
        Value::Array(list) => {
            let Some(items) = &schema.items else { return };
            for item in list {
                normalize(item, items);
            }
        }
        _ => {}
    }
}

/// What is wrong with the type and the metadata of one embedded object.
fn own_problems(object: &Map<String, Value>, path: &str, causes: &mut Vec<Cause>) {
    for (name, check) in [("apiVersion", version_problem as fn(&str) -> Option<String>), ("kind", kind_problem)] {
        let field = format!("{path}.{name}");
        match object.get(name) {
            None => causes.push(Cause::required(field, "")),
            Some(Value::String(text)) => {
                let empty = text.is_empty().then(|| "must not be empty".to_owned());
                causes.extend(empty.or_else(|| check(text)).map(|rule| Cause::invalid(field, text, &rule)));
            }
            Some(other) => causes.push(Cause::invalid_raw(field, &other.to_string(), "must be a string")),
        }
    }
    if object.get("metadata").is_some_and(|metadata| !metadata.is_null()) {
        causes.extend(meta::embedded_problems(&object["metadata"], &format!("{path}.metadata")));
    }
}

fn version_problem(version: &str) -> Option<String> {
    (version.matches('/').count() > 1).then(|| format!("unexpected GroupVersion string: {version}"))
}

fn kind_problem(kind: &str) -> Option<String> {
    let problems = dns_1035_problems(&kind.to_lowercase());
    let listed = || format!("may have mixed case, but should otherwise match: {}", problems.join(","));
    (!problems.is_empty()).then(listed)
}
