//! Bodies in YAML.

use serde_json::Value;

use crate::wire::status::Status;

/// Reads YAML (of which JSON is a part). A number without a fraction is an integer, `1.0` too, as in Go's libraries.
pub(crate) fn read(text: &str) -> Result<Value, Status> {
    // JSON is what nearly every client sends, and is read much faster.
    let mut value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(_) => serde_saphyr::from_str(text).map_err(|error| {
            Status::bad_request(format!("error decoding YAML: error converting YAML to JSON: {error}"))
        })?,
    };
    make_integers(&mut value);
    Ok(value)
}

fn make_integers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let digits = number.as_f64().filter(|number| number.fract() == 0.0).map(|number| format!("{number:.0}"));
            if let Some(integer) = digits.and_then(|digits| digits.parse::<i64>().ok()) {
                *value = integer.into();
            }
        }
        Value::Object(map) => map.values_mut().for_each(make_integers),
        Value::Array(list) => list.iter_mut().for_each(make_integers),
        _ => {}
    }
}
