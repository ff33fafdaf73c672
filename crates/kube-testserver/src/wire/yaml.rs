//! Bodies in YAML.

use serde_json::Value;

use crate::wire::status::Status;

/// Reads YAML (of which JSON is a part). A number without a fraction is an integer, `1.0` too, as in Go's libraries.
pub(crate) fn read(text: &str) -> Result<Value, Status> {
    // As YAML 1.1, which Go's libraries read: `0644` is octal.
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    // JSON is what nearly every client sends, and is read much faster.
    let mut value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(_) => serde_saphyr::from_str_with_options(text, options).map_err(|error| {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_read_as_by_yaml_1_1() {
        let value = read("{mode: 0644, zero: 0, size: 10, ratio: 0.5, whole: 1.0, text: \"0644\"}\n# no JSON").unwrap();
        let expected = json!({"mode": 420, "zero": 0, "size": 10, "ratio": 0.5, "whole": 1, "text": "0644"});
        assert_eq!(value, expected);
    }
}
