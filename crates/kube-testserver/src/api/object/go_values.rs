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

/// Writes floating-point numbers without a fraction as integers, as Go encodes them.
pub(crate) fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 1e15);
            if let Some(integer) = whole.and_then(|whole| format!("{whole:.0}").parse::<i64>().ok()) {
                *value = integer.into();
            }
        }
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        Value::Array(list) => list.iter_mut().for_each(whole_numbers),
        _ => {}
    }
}

/// A value after `Invalid value: `.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

/// A value as Go prints it, `map[a:1 b:[x y]]`.
pub(crate) fn printed(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(printed).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut fields: Vec<String> =
                map.iter().map(|(name, value)| format!("{name}:{}", printed(value))).collect();
            fields.sort();
            format!("map[{}]", fields.join(" "))
        }
        scalar => scalar.to_string(),
    }
}
