//! What server-side apply requires of an object: every field is declared, and every value has its type.

use std::{collections::HashSet, sync::LazyLock};

use serde_json::{Value, json};

use super::path::Path;
use crate::api::object::go_values::printed;
use crate::registry::go_types::go_type;
use crate::registry::structural::{
    builtin,
    node::{Additional, ListType, Node, Type},
};

/// What keeps an object from being applied, by path.
pub(crate) fn errors(object: &Value, schema: &Node) -> Vec<String> {
    let mut errors = Errors { found: Vec::new(), repeats: true };
    walk(object, schema, Place::ROOT, Path::Root, &mut errors);
    errors.found
}

/// What keeps the owners of an object's fields from being known, by path. Items of a list may be there twice.
pub(crate) fn type_errors(object: &Value, schema: &Node) -> Vec<String> {
    let mut errors = Errors { found: Vec::new(), repeats: false };
    walk(object, schema, Place::ROOT, Path::Root, &mut errors);
    errors.found
}

/// Where a value is.
#[derive(Clone, Copy)]
struct Place {
    /// It has a type and metadata.
    resource: bool,
    /// Undeclared fields are kept, here or further up.
    preserves: bool,
}

impl Place {
    const ROOT: Self = Self { resource: true, preserves: false };

    fn below(self, schema: &Node) -> Self {
        Self { resource: schema.embedded, preserves: self.preserves || schema.preserves }
    }
}

/// The type and the kind of an embedded object.
static TEXT: LazyLock<Node> = LazyLock::new(|| Node::parse(&json!({"type": "string"})));

/// Whether a text has a type here. One with a format has none, except for bytes.
fn has_type(schema: &Node) -> bool {
    matches!(schema.checks.format.as_deref(), None | Some("" | "byte"))
}

/// Whether a value is of an object type that declares no field. Its fields may be applied, and are removed later.
fn declares_nothing(schema: &Node, place: Place) -> bool {
    !place.resource
        && schema.types == [Type::Object]
        && schema.properties.is_empty()
        && matches!(schema.additional, Additional::Undeclared)
}

struct Errors {
    found: Vec<String>,
    /// Whether an item that is there twice is an error.
    repeats: bool,
}

fn walk(value: &Value, schema: &Node, place: Place, path: Path<'_>, errors: &mut Errors) {
    if value.is_null() {
        return;
    }
    let place = Place { preserves: place.preserves || schema.preserves, ..place };
    let mut refuse = |rule: String| errors.found.push(format!("{path}: {rule}"));
    let go = || format!("&{{{}}}", printed(value));
    match schema.types.as_slice() {
        [Type::Integer | Type::Number] if !value.is_number() => {
            return refuse(format!("expected numeric (int or float), got {}", go_type(value)));
        }
        [Type::String] if has_type(schema) && !value.is_string() => {
            return refuse(format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_syntax(value)));
        }
        [Type::String] if value.is_object() || value.is_array() => {
            return refuse(format!("expected any scalar, got {}", go()));
        }
        [Type::Boolean] if !value.is_boolean() => return refuse(format!("expected boolean, got {}", go())),
        [Type::Object] if !value.is_object() => return refuse(format!("expected map, got {}", go())),
        [Type::Array] if !value.is_array() => return refuse(format!("expected list, got {}", go())),
        _ => {}
    }
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let path = Path::Field(&path, name);
                if schema.embedded && matches!(name.as_str(), "apiVersion" | "kind") {
                    walk(value, &TEXT, Place { resource: false, preserves: false }, path, errors);
                } else if place.resource && name == "metadata" {
                    walk(value, builtin::object_meta(), Place { resource: false, preserves: false }, path, errors);
                } else if let Some(below) = schema.field(name) {
                    walk(value, below, place.below(below), path, errors);
                } else if !(place.preserves
                    || declares_nothing(schema, place)
                    || matches!(schema.additional, Additional::Any)
                    || place.resource && matches!(name.as_str(), "apiVersion" | "kind"))
                {
                    errors.found.push(format!("{path}: field not declared in schema"));
                }
            }
        }
        Value::Array(list) => walk_list(list, schema, place, path, errors),
        _ => {}
    }
}

fn walk_list(list: &[Value], schema: &Node, place: Place, path: Path<'_>, errors: &mut Errors) {
    let Some(items) = schema.items.as_deref() else { return };
    let mut seen = HashSet::new();
    for (at, item) in list.iter().enumerate() {
        let step = match &schema.list_type {
            ListType::Atomic => format!("[{at}]"),
            ListType::Set if item.is_null() => {
                errors.found.push(format!(
                    "{path}: element {at}: associative list without keys has an element that's an explicit null"
                ));
                continue;
            }
            ListType::Set if item.is_object() || item.is_array() => {
                let kind = if item.is_object() { "map" } else { "list" };
                errors.found.push(format!(
                    "{path}: element {at}: associative list without keys has an element that's a {kind} type"
                ));
                continue;
            }
            ListType::Set => format!("[={item}]"),
            ListType::Map(_) if !item.is_object() => {
                let what = if item.is_null() { "a null element" } else { "non-map elements" };
                errors.found.push(format!("{path}: element {at}: associative list with keys may not have {what}"));
                continue;
            }
            ListType::Map(keys) => {
                let Some(step) = step_of(item, keys, items) else {
                    let keys: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
                    errors.found.push(format!(
                        "{path}: element {at}: associative list with keys has an element that omits all key fields \
                         [{}] (and doesn't have default values for any key fields)",
                        keys.join(" ")
                    ));
                    continue;
                };
                step
            }
        };
        if !seen.insert(step.clone()) && errors.repeats {
            errors.found.push(format!("{path}: duplicate entries for key {step}"));
        }
        walk(item, items, place.below(items), Path::Item(&path, &step), errors);
    }
}

/// `[name="a",port=1]`. A key that is missing and has no default is left out; none if all are.
fn step_of(item: &Value, keys: &[String], items: &Node) -> Option<String> {
    let mut parts = Vec::with_capacity(keys.len());
    let mut sorted: Vec<&String> = keys.iter().collect();
    sorted.sort();
    for key in sorted {
        let default = || items.properties.get(key).and_then(|field| field.default.as_ref());
        if let Some(value) = item.get(key).or_else(default) {
            parts.push(format!("{key}={value}"));
        }
    }
    (!parts.is_empty()).then(|| format!("[{}]", parts.join(",")))
}

/// A value in the syntax of Go, `%#v`.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(go_syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(map) => {
            let fields: Vec<String> =
                map.iter().map(|(name, value)| format!("{name:?}:{}", go_syntax(value))).collect();
            format!("map[string]interface {{}}{{{}}}", fields.join(", "))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_applied_is_named() {
        let schema = Node::parse(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "size": {"type": "integer"}, "text": {"type": "string"},
            "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "ports": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "properties": {"name": {"type": "string"}}},
            },
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "none": {"type": "object", "additionalProperties": false},
        }}}}));
        for (spec, expected) in [
            (
                json!({"size": 1, "text": null, "free": {"a": {"b": 1}}, "tags": ["a"], "ports": [{"name": "a"}]}),
                vec![],
            ),
            (json!({"none": {"a": 1}}), vec![".spec.none.a: field not declared in schema"]),
            (json!({"size": "x"}), vec![".spec.size: expected numeric (int or float), got string"]),
            (json!({"text": 1}), vec![".spec.text: expected string, got &value.valueUnstructured{Value:1}"]),
            (json!({"other": {"deep": 1}}), vec![".spec.other: field not declared in schema"]),
            (json!({"tags": ["a", "a"]}), vec![".spec.tags: duplicate entries for key [=\"a\"]"]),
            (
                json!({"ports": [{"name": "a"}, {"name": "a"}]}),
                vec![".spec.ports: duplicate entries for key [name=\"a\"]"],
            ),
            (
                json!({"ports": [{}]}),
                vec![
                    ".spec.ports: element 0: associative list with keys has an element that omits all key fields \
                     [\"name\"] (and doesn't have default values for any key fields)",
                ],
            ),
        ] {
            let object = json!({"apiVersion": "a/v1", "kind": "A", "metadata": {"name": "a"}, "spec": spec});
            assert_eq!(errors(&object, &schema), expected, "{object}");
        }
        let object = json!({"metadata": {"nam": "a"}});
        assert_eq!(errors(&object, &schema), [".metadata.nam: field not declared in schema"]);
    }
}
