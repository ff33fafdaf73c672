//! CEL rules on the values of an object.

use serde_json::Value;

use super::correlate;
use crate::api::object::go_values::shown;
use crate::{
    registry::structural::{broken::Broken, node::Node},
    wire::status::Cause,
};

/// The rules that an object, or a part of it, breaks. A value that did not change is checked by the
/// rules that compare it with the old one only.
pub(super) fn broken(value: &Value, old: Option<&Value>, schema: &Node, path: &str, causes: &mut Vec<Cause>) {
    check(value, old, false, schema, path, causes);
}

/// `within_unchanged` says that the value is in one that did not change, though its own old value may be unknown.
fn check(
    value: &Value,
    old: Option<&Value>,
    within_unchanged: bool,
    schema: &Node,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    if value.is_null() || !schema.has_rules() {
        return;
    }
    let unchanged = within_unchanged || old == Some(value);
    if let Some(rules) = &schema.rules {
        for broken in rules.broken(value, old).into_iter().filter(|broken| broken.always || !unchanged) {
            let field = match (path, broken.path.as_str()) {
                ("", "") => "<nil>".to_owned(),
                (path, "") => path.to_owned(),
                ("", below) => below.to_owned(),
                (path, below) => format!("{path}.{below}"),
            };
            causes.push(cause(field, value, &broken));
        }
    }
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if let Some(below) = schema.field(name) {
                    let path = match path {
                        _ if !schema.properties.contains_key(name) => format!("{path}[{name}]"),
                        "" => name.clone(),
                        path => format!("{path}.{name}"),
                    };
                    check(value, correlate::entry(old, name), unchanged, below, &path, causes);
                }
            }
        }
        Value::Array(list) => {
            let Some(items) = &schema.items else { return };
            for (at, item) in list.iter().enumerate() {
                check(item, correlate::item(old, schema, item), unchanged, items, &format!("{path}[{at}]"), causes);
            }
        }
        _ => {}
    }
}

fn cause(field: String, value: &Value, broken: &Broken) -> Cause {
    let scalar = !matches!(value, Value::Object(_) | Value::Array(_));
    let message = broken.message.as_str();
    if let Some(kind) = &broken.failed_on {
        return Cause::invalid(field, kind, message);
    }
    match broken.reason.as_deref() {
        Some("FieldValueForbidden") => Cause::forbidden(field, message),
        Some("FieldValueRequired") => Cause::required(field, message),
        Some("FieldValueDuplicate") => {
            let message = format!("Duplicate value: {}", shown(value));
            Cause { reason: "FieldValueDuplicate", message, field }
        }
        _ if scalar => Cause::invalid_raw(field, &shown(value), message),
        _ => {
            let message = format!("Invalid value: {message}");
            Cause { reason: "FieldValueInvalid", message, field }
        }
    }
}
