//! What core types do beyond metadata: the few defaults and checks that tests of controllers meet.
//!
//! Other fields of core types are kept as they were sent: without defaults, pruning or validation. Nulls are dropped, except
//! in a `CustomResourceDefinition`, whose schemas may contain them.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    api::object::{definition_rules, event_rules, meta, signing_request},
    registry::kinds::Kind,
    wire::{object_body::cannot_unmarshal, status::Cause, syntax::config_key_problems},
};

/// Refuses fields that a typed decoder cannot read, in its words.
pub(crate) fn check_shape(kind: &Kind, object: &Value) -> Result<(), String> {
    if kind.custom {
        return Ok(());
    }
    let refuse = |found: &Value, field: &str, wanted: &str| Err(cannot_unmarshal(found, &kind.kind, field, wanted));
    for field in ["spec", "status"] {
        if !matches!(object[field], Value::Null | Value::Object(_)) {
            return refuse(&object[field], field, &format!("v1.{}{field}", kind.kind));
        }
    }
    for field in data_fields(kind) {
        let data = match &object[*field] {
            Value::Null => continue,
            Value::Object(data) => data,
            other => return refuse(other, field, "map[string]string"),
        };
        let encoded = *field == "binaryData" || kind.kind == "Secret" && *field == "data";
        for value in data.values().filter(|value| !value.is_null()) {
            let Some(text) = value.as_str() else {
                return refuse(value, field, if encoded { "[]uint8" } else { "string" });
            };
            if let Some(at) = Some(text).filter(|_| encoded).and_then(not_base64) {
                return Err(format!("illegal base64 data at input byte {at}"));
            }
        }
    }
    for (pointer, wanted) in typed_fields(kind) {
        let value = object.pointer(pointer).filter(|value| !value.is_null());
        let fits = |value: &Value| match *wanted {
            "bool" => value.is_boolean(),
            "string" | "[]uint8" => value.is_string(),
            "[]v1.KeyUsage" => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
            "[]v1.CertificateSigningRequestCondition" => {
                value.as_array().is_some_and(|list| list.iter().all(Value::is_object))
            }
            _ => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        };
        if let Some(value) = value.filter(|value| !fits(value)) {
            return refuse(value, &pointer[1..].replace('/', "."), wanted);
        }
        if let Some(at) = value.and_then(Value::as_str).filter(|_| *wanted == "[]uint8").and_then(not_base64) {
            return Err(format!("illegal base64 data at input byte {at}"));
        }
    }
    let times: &[&str] = match kind.kind.as_str() {
        "Lease" => &["/spec/acquireTime", "/spec/renewTime"],
        "Event" => &["/eventTime", "/series/lastObservedTime"],
        _ => &[],
    };
    let mut said = times.iter().filter_map(|field| object.pointer(field)).filter(|value| !value.is_null());
    if let Some(time) = said.find(|value| !value.as_str().is_some_and(is_micro_time)) {
        return Err(format!("parsing time {time} as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse {time}"));
    }
    Ok(())
}

/// Whether a value of bytes is null: a real server stores that otherwise than the empty value that it reads back.
pub(crate) fn has_null_bytes(kind: &Kind, object: &Value) -> bool {
    let field = match kind.kind.as_str() {
        _ if kind.custom => return false,
        "ConfigMap" => "binaryData",
        "Secret" => "data",
        _ => return false,
    };
    object[field].as_object().is_some_and(|data| data.values().any(Value::is_null))
}

/// Base64 without the line ends that a decoder passes over.
fn without_line_ends(text: &str) -> String {
    text.replace(['\n', '\r'], "")
}

/// Where a text stops being base64.
fn not_base64(text: &str) -> Option<usize> {
    match BASE64_STANDARD.decode(without_line_ends(text)) {
        Ok(_) => None,
        Err(base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _)) => Some(at),
        Err(base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding) => Some(text.len()),
    }
}

/// Whether it is a time with six digits after the second: a `MicroTime` has neither more nor fewer.
fn is_micro_time(text: &str) -> bool {
    let Some((_, fraction)) = text.split_once('.') else { return false };
    let zone = fraction.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let zoned = match zone.as_bytes() {
        b"Z" => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].into_iter().all(u8::is_ascii_digit),
        _ => false,
    };
    // There is no leap second in Go.
    let leaps = text.get(17..19) == Some("60");
    fraction.len() - zone.len() == 6 && zoned && !leaps && text.contains('T') && text.parse::<Timestamp>().is_ok()
}

/// Fields with a type of one value, and that type in Go.
fn typed_fields(kind: &Kind) -> &'static [(&'static str, &'static str)] {
    match kind.kind.as_str() {
        "ConfigMap" => &[("/immutable", "bool")],
        "Secret" => &[("/immutable", "bool"), ("/type", "string")],
        "CertificateSigningRequest" => &[
            ("/spec/request", "[]uint8"),
            ("/spec/signerName", "string"),
            ("/spec/expirationSeconds", "int32"),
            ("/spec/usages", "[]v1.KeyUsage"),
            ("/status/certificate", "[]uint8"),
            ("/status/conditions", "[]v1.CertificateSigningRequestCondition"),
        ],
        "Lease" => &[
            ("/spec/holderIdentity", "string"),
            ("/spec/leaseDurationSeconds", "int32"),
            ("/spec/leaseTransitions", "int32"),
            ("/spec/strategy", "string"),
            ("/spec/preferredHolder", "string"),
        ],
        _ => &[],
    }
}

/// The maps that hold what the object is for.
fn data_fields(kind: &Kind) -> &'static [&'static str] {
    match kind.kind.as_str() {
        "ConfigMap" => &["data", "binaryData"],
        "Secret" => &["data", "stringData"],
        _ => &[],
    }
}

/// The ephemeral containers of a Pod that an update removes or changes. It may only add some.
pub(crate) fn changed_ephemeral_containers(old: &Value, new: &Value) -> Vec<Cause> {
    const FIELD: &str = "spec.ephemeralContainers";
    let all = |pod: &'_ Value| pod["spec"]["ephemeralContainers"].as_array().cloned().unwrap_or_default();
    let kept = all(new);
    let problem = |container: Value| {
        let done = match kept.iter().find(|one| one["name"] == container["name"]) {
            Some(same) if *same == container => return None,
            Some(_) => "changed",
            None => "removed",
        };
        Some(Cause::forbidden(
            FIELD,
            &format!("existing ephemeral containers {} may not be {done}\n", container["name"]),
        ))
    };
    all(old).into_iter().filter_map(problem).collect()
}

/// Drops what a typed object would not be written out with: nulls, and empty data.
fn omit_empty(kind: &Kind, object: &mut Value) {
    // The schemas in a definition hold JSON of any kind, where null may mean something.
    if kind.kind == "CustomResourceDefinition" {
        return;
    }
    for field in data_fields(kind) {
        let Some(Value::Object(data)) = object.get_mut(*field) else { continue };
        if data.is_empty() {
            object[*field] = Value::Null;
        } else {
            let encoded = *field == "binaryData" || kind.kind == "Secret" && *field == "data";
            for value in data.values_mut() {
                match value {
                    Value::Null => *value = "".into(),
                    Value::String(text) if encoded && text.contains(['\n', '\r']) => *text = without_line_ends(text),
                    _ => {}
                }
            }
        }
    }
    drop_nulls(object);
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Defaults, and fields that are written one way and read another.
pub(crate) fn fill_in(kind: &Kind, object: &mut Value, new: bool) {
    if kind.custom {
        return;
    }
    omit_empty(kind, object);
    match kind.kind.as_str() {
        "CustomResourceDefinition" => definition_rules::fill_in(object),
        "Namespace" => {
            let name = meta::text(object, "name").to_owned();
            if new {
                meta::object_at(object, "spec").insert("finalizers".to_owned(), json!(["kubernetes"]));
                meta::object_at(object, "status").insert("phase".to_owned(), "Active".into());
            }
            if !meta::metadata_mut(object).get("labels").is_some_and(Value::is_object) {
                meta::metadata_mut(object).insert("labels".to_owned(), Map::new().into());
            }
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name.into();
        }
        "Secret" => {
            if object["type"].as_str().unwrap_or_default().is_empty() {
                object["type"] = "Opaque".into();
            }
            let plain = object.as_object_mut().and_then(|secret| secret.remove("stringData"));
            if let Some(Value::Object(plain)) = plain {
                let data = meta::object_at(object, "data");
                for (key, value) in plain {
                    let encoded = BASE64_STANDARD.encode(value.as_str().unwrap_or_default());
                    data.insert(key, encoded.into());
                }
            }
        }
        "Lease" => {
            let spec = meta::object_at(object, "spec");
            for field in ["acquireTime", "renewTime"] {
                let time = spec.get(field).and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
                if let Some(time) = time {
                    spec.insert(field.to_owned(), time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string().into());
                }
            }
        }
        "CertificateSigningRequest" => {
            meta::object_at(object, "status");
            for field in ["/spec/request", "/status/certificate"] {
                if let Some(Value::String(text)) = object.pointer_mut(field) {
                    *text = without_line_ends(text);
                }
            }
        }
        "Pod" if new => {
            meta::object_at(object, "status").insert("phase".to_owned(), "Pending".into());
        }
        "Deployment" if object["spec"].is_object() && object["spec"]["replicas"].is_null() => {
            object["spec"]["replicas"] = 1.into();
        }
        _ => {}
    }
}

/// Drops the fields of features that are off by default. They have an owner all the same.
pub(crate) fn drop_disabled(kind: &Kind, object: &mut Value) {
    if kind.kind == "Lease" && !kind.custom {
        meta::object_at(object, "spec").retain(|field, _| !matches!(field.as_str(), "strategy" | "preferredHolder"));
    }
}

/// A key that is there twice, and more data than fits.
fn size_problems(kind: &Kind, object: &Value) -> Vec<Cause> {
    const MOST: usize = 1024 * 1024;
    let entries = |field: &str| object[field].as_object().into_iter().flatten();
    let mut causes = Vec::new();
    for (key, _) in entries("data").filter(|(key, _)| object["binaryData"].get(key.as_str()).is_some()) {
        causes.push(Cause::invalid(format!("data[{key}]"), key, "duplicate of key present in binaryData"));
    }
    let text = |value: &Value| value.as_str().map_or(0, str::len);
    // Four letters of base64 are three bytes.
    let bytes = |value: &Value| value.as_str().map_or(0, |text| text.trim_end_matches('=').len() * 3 / 4);
    let encoded = entries("binaryData").map(|(_, value)| bytes(value)).sum::<usize>();
    let (size, field) = if kind.kind == "Secret" {
        (entries("data").map(|(_, value)| bytes(value)).sum(), "data")
    } else {
        (encoded + entries("data").map(|(_, value)| text(value)).sum::<usize>(), "")
    };
    if size > MOST {
        causes.push(Cause::too_long(field, MOST));
    }
    causes
}

/// What is wrong with a core object beyond its metadata.
pub(crate) fn problems(kind: &Kind, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    if kind.is("apiextensions.k8s.io", "customresourcedefinitions") {
        return definition_rules::problems(object, old);
    }
    match kind.kind.as_str() {
        _ if kind.custom => Vec::new(),
        "ConfigMap" | "Secret" => data_problems(kind, object, old),
        "Event" => event_rules::problems(kind, object, old),
        "Lease" => lease_problems(object),
        "CertificateSigningRequest" => signing_request::problems(object, old),
        _ => Vec::new(),
    }
}

fn lease_problems(object: &Value) -> Vec<Cause> {
    let spec = &object["spec"];
    let least = [
        ("leaseDurationSeconds", 1, "must be greater than 0"),
        ("leaseTransitions", 0, "must be greater than or equal to 0"),
    ];
    let wrong = least.into_iter().filter_map(|(field, least, rule)| {
        let number = spec[field].as_i64().filter(|number| *number < least)?;
        Some(Cause::invalid_raw(format!("spec.{field}"), &number.to_string(), rule))
    });
    wrong.collect()
}

fn data_problems(kind: &Kind, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    for field in ["data", "binaryData"] {
        for (key, _) in object[field].as_object().into_iter().flatten() {
            let problems = config_key_problems(key);
            causes.extend(problems.iter().map(|rule| Cause::invalid(format!("{field}[{key}]"), key, rule)));
        }
    }
    causes.extend(size_problems(kind, object));
    if kind.kind == "Secret" {
        secret_problems(object, &mut causes);
    }
    let Some(old) = old else { return causes };
    if old["immutable"] == true {
        if object["immutable"] != true {
            causes.push(Cause::forbidden("immutable", "field is immutable when `immutable` is set"));
        }
        for field in ["data", "binaryData"] {
            if object[field] != old[field] {
                causes.push(Cause::forbidden(field, "field is immutable when `immutable` is set"));
            }
        }
    }
    if kind.kind == "Secret" && old["type"] != object["type"] {
        let shown = object["type"].as_str().unwrap_or_default();
        causes.push(Cause::invalid("type", shown, "field is immutable"));
    }
    causes
}

/// What the type of a Secret requires of its data.
fn secret_problems(object: &Value, causes: &mut Vec<Cause>) {
    let has = |key: &str| object["data"].get(key).is_some();
    let mut require = |key: &str| causes.push(Cause::required(format!("data[{key}]"), ""));
    let json = match object["type"].as_str().unwrap_or_default() {
        "kubernetes.io/dockercfg" => ".dockercfg",
        "kubernetes.io/dockerconfigjson" => ".dockerconfigjson",
        "kubernetes.io/service-account-token" => {
            let name = "kubernetes.io/service-account.name";
            if object["metadata"]["annotations"][name].as_str().unwrap_or_default().is_empty() {
                causes.push(Cause::required(format!("metadata.annotations[{name}]"), ""));
            }
            return;
        }
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            return ["username", "password"].into_iter().for_each(require);
        }
        "kubernetes.io/ssh-auth" if object["data"]["ssh-privatekey"].as_str().unwrap_or_default().is_empty() => {
            return require("ssh-privatekey");
        }
        "kubernetes.io/tls" => {
            return ["tls.crt", "tls.key"].into_iter().filter(|key| !has(key)).for_each(require);
        }
        _ => return,
    };
    if !has(json) {
        return require(json);
    }
    let bytes = BASE64_STANDARD.decode(object["data"][json].as_str().unwrap_or_default()).unwrap_or_default();
    if let Err(error) = serde_json::from_slice::<Option<Map<String, Value>>>(&bytes) {
        causes.push(Cause::invalid(format!("data[{json}]"), "<secret contents redacted>", &error.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_micro_time_has_six_digits_after_the_second() {
        for (text, expected) in [
            ("2026-01-01T00:00:00.000000Z", true),
            ("2026-01-01T00:00:00.123456+01:00", true),
            ("2026-01-01T00:00:00.123456-01:30", true),
            ("2026-01-01T00:00:00.123456+01", false),
            ("2026-01-01T00:00:00.123456+0100", false),
            ("2026-01-01T00:00:00.123456+01:00:00", false),
            ("2026-01-01T00:00:00.123456+01:00[Europe/Paris]", false),
            ("2026-01-01T00:00:00.123456z", false),
            ("2026-06-30T23:59:60.000000Z", false),
            ("2026-01-01T00:00:00.123Z", false),
            ("2026-01-01T00:00:00.123456789Z", false),
            ("2026-01-01T00:00:00Z", false),
            ("2026-01-01 00:00:00.000000Z", false),
            ("2026-13-01T00:00:00.000000Z", false),
            ("2026-01-01T00:00:00.000000", false),
            ("soon", false),
            ("", false),
        ] {
            assert_eq!(is_micro_time(text), expected, "{text}");
        }
    }
}
