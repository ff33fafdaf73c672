//! Objects within an object: they have a type and metadata of their own.

use serde_json::Value;

use crate::{registry::structural::node::Node, wire::status::Cause};

/// What embedded objects lack.
pub(super) fn problems(value: &Value, schema: &Node, path: &str, causes: &mut Vec<Cause>) {
    if schema.embedded && value.is_object() {
        for field in ["apiVersion", "kind"] {
            match &value[field] {
                Value::String(text) if !text.is_empty() => {}
                Value::Null | Value::String(_) => {
                    causes.push(Cause::required(format!("{path}.{field}"), ""));
                }
                other => {
                    let shown = other.to_string();
                    causes.push(Cause::invalid_raw(format!("{path}.{field}"), &shown, "must be a string"));
                }
            }
        }
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
