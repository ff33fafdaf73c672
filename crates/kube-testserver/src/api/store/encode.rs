//! The JSON that is kept of an object: its type comes first, so that a list can leave it out.

use serde_json::Value;

/// An object's JSON, and the length of its beginning: the brace, `kind` and `apiVersion`.
pub(super) fn encode(object: &Value) -> (Box<[u8]>, usize) {
    let mut json = vec![b'{'];
    for name in ["kind", "apiVersion"] {
        if let Some(value) = object.get(name) {
            write_field(&mut json, name, value);
            json.push(b',');
        }
    }
    let typed = json.len();
    for (name, value) in object.as_object().into_iter().flatten() {
        if !matches!(name.as_str(), "kind" | "apiVersion") {
            if json.len() > typed {
                json.push(b',');
            }
            write_field(&mut json, name, value);
        }
    }
    if json.len() == typed && json.last() == Some(&b',') {
        json.pop();
    }
    json.push(b'}');
    let typed = typed.min(json.len());
    (json.into_boxed_slice(), typed)
}

fn write_field(json: &mut Vec<u8>, name: &str, value: &Value) {
    let written = serde_json::to_writer(&mut *json, name).and_then(|()| {
        json.push(b':');
        serde_json::to_writer(&mut *json, value)
    });
    written.expect("writing a JSON value to memory does not fail");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_type_comes_first() {
        for (object, expected, rest) in [
            (json!({"a": 1, "apiVersion": "v1", "kind": "A"}), r#"{"kind":"A","apiVersion":"v1","a":1}"#, r#""a":1}"#),
            (json!({"a": 1, "kind": "A", "z": 2}), r#"{"kind":"A","a":1,"z":2}"#, r#""a":1,"z":2}"#),
            (json!({"a": 1}), r#"{"a":1}"#, r#""a":1}"#),
            (json!({"kind": "A"}), r#"{"kind":"A"}"#, ""),
            (json!({}), "{}", "}"),
        ] {
            let (json, typed) = encode(&object);
            assert_eq!(std::str::from_utf8(&json).unwrap(), expected);
            assert_eq!(std::str::from_utf8(&json[typed..]).unwrap(), rest, "{object}");
        }
    }
}
