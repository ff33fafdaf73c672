//! Values as error messages of a real API server show them.

use serde_json::Value;

/// A value after `Invalid value: `.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}
