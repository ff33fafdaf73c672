//! The object in the body of a request.

use http::HeaderMap;
use serde_json::Value;

use crate::wire::{negotiate, protobuf, status::Status, yaml};

/// Reads an object by the content type of the request. `kind` is what errors call it.
///
/// # Errors
/// 400 for a body that cannot be read, 415 for another content type.
pub(crate) fn read(headers: &HeaderMap, body: &[u8], kind: &str) -> Result<Value, Status> {
    let content_type = negotiate::body_type(headers);
    if content_type == protobuf::MEDIA_TYPE {
        return protobuf::read(body);
    }
    let text = std::str::from_utf8(body)
        .map_err(|_| Status::bad_request("the object provided is unrecognized: it is not UTF-8"))?;
    match content_type.as_str() {
        "" | "application/json" => serde_json::from_str(text).map_err(|error| {
            Status::bad_request(format!(
                "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse \
                 error: {error}"
            ))
        }),
        "application/yaml" => yaml::read(text),
        _ => Err(Status::unsupported_media_type(&["application/json", "application/yaml"])),
    }
}

/// Reads the body of a request that asks something and stores nothing. The body need not say its kind.
///
/// # Errors
/// Those of [`read`], and 400 for an object of another kind.
pub(crate) fn read_question(headers: &HeaderMap, body: &[u8], kind: &str) -> Result<Value, Status> {
    let object = read(headers, body, kind)?;
    let says_nothing = matches!(&object["kind"], Value::Null) || object["kind"] == "";
    if object.is_object() && (says_nothing || object["kind"] == kind) {
        return Ok(object);
    }
    Err(Status::bad_request(format!("the object provided is unrecognized (must be of type {kind})")))
}

/// The error of Go's typed decoder for a value that a field of the struct `holder` cannot take.
pub(crate) fn cannot_unmarshal(value: &Value, holder: &str, field: &str, wanted: &str) -> String {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    format!("json: cannot unmarshal {found} into Go struct field {holder}.{field} of type {wanted}")
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    #[test]
    fn a_question_is_read_in_json_and_yaml_and_by_its_kind() {
        let read = |content_type: &'static str, body: &str| {
            let headers = [(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type))];
            read_question(&headers.into_iter().collect(), body.as_bytes(), "Review").map_err(|status| status.code())
        };
        assert_eq!(read("application/yaml", "kind: Review").map(|object| object["kind"].clone()), Ok("Review".into()));
        for (content_type, body, code) in [
            ("application/json", "{}", None),
            ("", r#"{"kind": ""}"#, None),
            ("application/json; charset=utf-8", r#"{"kind": "Review"}"#, None),
            ("application/json", "kind: Review", Some(400)),
            ("application/json", r#"{"kind": "Other"}"#, Some(400)),
            ("application/json", r#"{"kind": 1}"#, Some(400)),
            ("application/json", "[]", Some(400)),
            ("text/plain", "{}", Some(415)),
        ] {
            assert_eq!(read(content_type, body).err(), code, "{content_type}: {body}");
        }
    }
}
