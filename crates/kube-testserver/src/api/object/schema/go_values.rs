//! Values as error messages of a real API server show them.

use serde_json::Value;

/// Rounds the integers that no `int64` holds to floating-point numbers, as Go reads a value without a type.
pub(crate) fn limit_integers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_u64() && !number.is_i64() => {
            // Written with as many digits as tell it apart, and zeros after them.
            let digits = number.as_f64().unwrap_or_default().to_string();
            *value = digits.parse::<u64>().map_or_else(|_| number.as_f64().into(), Value::from);
        }
        Value::Object(map) => map.values_mut().for_each(limit_integers),
        Value::Array(list) => list.iter_mut().for_each(limit_integers),
        _ => {}
    }
}

/// A value after `Invalid value: `.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}
