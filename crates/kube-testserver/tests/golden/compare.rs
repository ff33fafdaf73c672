//! What makes two answers the same.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

static UID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").expect("the pattern is valid")
});
static TIME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").expect("the pattern is valid"));
static QUOTED_VERSION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(resourceVersion\\?":\\?")\d+"#).expect("the pattern is valid"));

/// Replaces what differs between any two servers: UIDs, resource versions, times and the namespace's name.
pub(crate) fn normalize(value: &mut Value, namespace: &str) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let varies = match name.as_str() {
                    "uid" | "creationTimestamp" | "deletionTimestamp" | "time" => field.is_string(),
                    "resourceVersion" | "continue" => field.as_str().is_some_and(|text| !text.is_empty()),
                    _ => false,
                };
                if varies {
                    *field = "*".into();
                } else {
                    normalize(field, namespace);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| normalize(item, namespace)),
        Value::String(text) => {
            let named = text.replace(namespace, "NS");
            let identified = UID.replace_all(&named, "UID");
            let versioned = QUOTED_VERSION.replace_all(&identified, "${1}*");
            *text = TIME.replace_all(&versioned, "TIME").into_owned();
        }
        _ => {}
    }
}

/// Removes the order of causes, and of the errors in a message: a real server iterates over Go maps, so it changes.
pub(crate) fn remove_random_order(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(remove_random_order);
            if let Some(Value::Array(causes)) = fields.get_mut("causes") {
                causes.sort_by_cached_key(Value::to_string);
            }
            if fields.get("kind").is_some_and(|kind| kind == "Status")
                && let Some(Value::String(message)) = fields.get_mut("message")
            {
                let mut words: Vec<&str> =
                    message.split(|c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']')).collect();
                words.retain(|word| !word.is_empty());
                words.sort_unstable();
                *message = words.join(" ");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(remove_random_order),
        _ => {}
    }
}

/// An answer without its messages: what clients act on.
pub(crate) fn without_messages(value: &Value) -> Value {
    let mut value = value.clone();
    let is_status = value["kind"] == "Status";
    if let Some(status) = value.as_object_mut().filter(|_| is_status) {
        status.remove("message");
        let causes = status.get_mut("details").and_then(|details| details.get_mut("causes"));
        for cause in causes.and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut) {
            cause.remove("message");
        }
        remove_random_order(&mut value);
    }
    value
}

/// The first path at which two values differ, with what each holds there.
pub(crate) fn difference<'a>(
    left: Option<&'a Value>,
    right: Option<&'a Value>,
    path: &str,
) -> Option<(String, Option<&'a Value>, Option<&'a Value>)> {
    match (left, right) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let mut names: Vec<&String> = left.keys().chain(right.keys()).collect();
            names.sort_unstable();
            names.into_iter().find_map(|name| difference(left.get(name), right.get(name), &format!("{path}/{name}")))
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) if left.len() == right.len() => {
            let mut pairs = left.iter().zip(right).enumerate();
            pairs.find_map(|(at, (left, right))| difference(Some(left), Some(right), &format!("{path}/{at}")))
        }
        _ => (left != right).then(|| (path.to_owned(), left, right)),
    }
}
