//! What an Event must say: more once it has a time of its own, most through `events.k8s.io`.
//!
//! Works on stored form, and names fields as a real server does: by their internal names, which are those of
//! core/v1 with one exception.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    api::object::meta,
    registry::kinds::Kind,
    wire::{status::Cause, syntax::is_subdomain},
};

/// What may not change through `events.k8s.io`.
const IMMUTABLE: [&str; 13] = [
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
];

/// What is wrong with an Event.
pub(super) fn problems(kind: &Kind, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = place_problems(object);
    if is_set(&object["eventTime"]) {
        causes.extend(timed_problems(kind, object));
    }
    if kind.group == "events.k8s.io" {
        causes.extend(match old {
            None => strict_problems(object),
            Some(old) => changes(object, old),
        });
    }
    causes
}

/// An event is in the namespace of the object that it is about. One that has a time of its own need not be.
fn place_problems(object: &Value) -> Vec<Cause> {
    let (namespace, about) = (meta::text(object, "namespace"), &object["involvedObject"]["namespace"]);
    let about = about.as_str().unwrap_or_default();
    let fine = match (is_set(&object["eventTime"]), about) {
        (false, "") => namespace == "default",
        (false, about) => about == namespace,
        (true, "") => matches!(namespace, "default" | "kube-system"),
        (true, _) => true,
    };
    let cause = || Cause::invalid("involvedObject.namespace", about, "does not match event.namespace");
    if fine { Vec::new() } else { vec![cause()] }
}

/// The reporter of such an event, the action, and the reason.
fn timed_problems(kind: &Kind, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let reporter = if kind.group.is_empty() { "reportingComponent" } else { "reportingController" };
    match text("reportingComponent") {
        "" => causes.push(Cause::required(reporter, "")),
        name if !is_qualified_name(name) => causes.push(Cause::invalid(reporter, name, NOT_QUALIFIED)),
        _ => {}
    }
    for field in ["reportingInstance", "action", "reason"] {
        if text(field).is_empty() {
            causes.push(Cause::required(field, ""));
        }
    }
    for (field, most) in [("reportingInstance", 128), ("action", 128), ("reason", 128), ("message", 1024)] {
        if text(field).len() > most {
            causes.push(Cause::invalid(field, "", &format!("can have at most {most} characters")));
        }
    }
    causes
}

/// A new event of the newer API has a time and a type, and nothing of the older one.
fn strict_problems(object: &Value) -> Vec<Cause> {
    let mut causes = series_problems(object);
    if !is_set(&object["eventTime"]) {
        causes.push(Cause::required("eventTime", ""));
    }
    let type_ = object["type"].as_str().unwrap_or_default();
    if !matches!(type_, "Normal" | "Warning") {
        causes.push(Cause::invalid("type", "", &format!("has invalid value: {type_}")));
    }
    for field in ["firstTimestamp", "lastTimestamp", "count"] {
        if is_set(&object[field]) {
            causes.push(Cause::invalid(field, "", "needs to be unset"));
        }
    }
    if ["component", "host"].iter().any(|field| is_set(&object["source"][field])) {
        causes.push(Cause::invalid("source", "", "needs to be unset"));
    }
    causes
}

fn series_problems(object: &Value) -> Vec<Cause> {
    let series = &object["series"];
    let mut causes = Vec::new();
    if series.is_null() {
        return causes;
    }
    if series["count"].as_i64().is_none_or(|count| count < 2) {
        causes.push(Cause::invalid("series.count", "", "should be at least 2"));
    }
    if !is_set(&series["lastObservedTime"]) {
        causes.push(Cause::required("series.lastObservedTime", ""));
    }
    causes
}

/// The newer API counts an event and changes nothing else of it.
fn changes(object: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = if object["series"] == old["series"] { Vec::new() } else { series_problems(object) };
    let differs = |field: &str| {
        let (new, old) = (&object[field], &old[field]);
        (is_set(new) || is_set(old)) && new != old && (instant(new).is_none() || instant(new) != instant(old))
    };
    for field in IMMUTABLE.into_iter().filter(|field| differs(field)) {
        let name = if field == "reportingComponent" { "reportingController" } else { field };
        causes.push(Cause::invalid_raw(name, &object[field].to_string(), "field is immutable"));
    }
    causes
}

/// A time that is written in another zone is the same time.
fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// Whether a typed object would hold more than the zero of the field's type.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Number(number) => number.as_i64() != Some(0),
        Value::Object(fields) => fields.values().any(is_set),
        Value::Bool(_) | Value::Array(_) => true,
    }
}

const NOT_QUALIFIED: &str = "\
    name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
    character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/// Whether it is a name, or a DNS subdomain, a slash and a name.
fn is_qualified_name(text: &str) -> bool {
    let name = match text.split_once('/') {
        Some((prefix, _)) if !is_subdomain(prefix) => return false,
        Some((_, name)) => name,
        None => text,
    };
    let ends = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
    name.len() <= 63
        && ends(name.chars().next())
        && ends(name.chars().next_back())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({
            "metadata": {"namespace": "a"}, "involvedObject": {"namespace": "a"}, "type": "Normal",
            "eventTime": "2026-01-01T00:00:00.000000Z", "reportingComponent": "example.com/it",
            "reportingInstance": "it-0", "action": "Test", "reason": "Tested", "message": "done",
        })
    }

    fn kind(group: &str) -> std::sync::Arc<Kind> {
        let kinds = crate::registry::kinds::core();
        kinds.into_iter().find(|kind| kind.is(group, "events")).expect("both are served")
    }

    /// The fields found wrong in a new event through core/v1, and through `events.k8s.io`.
    fn refused(event: &Value) -> [Vec<String>; 2] {
        ["", "events.k8s.io"].map(|group| {
            let causes = problems(&kind(group), event, None);
            causes.into_iter().map(|cause| cause.field).collect()
        })
    }

    #[test]
    fn an_event_is_beside_its_object_unless_it_has_a_time_of_its_own() {
        for (namespace, about, timed, fine) in [
            ("a", "a", false, true),
            ("a", "b", false, false),
            ("a", "", false, false),
            ("default", "", false, true),
            ("kube-system", "", false, false),
            ("a", "b", true, true),
            ("a", "", true, false),
            ("default", "", true, true),
            ("kube-system", "", true, true),
        ] {
            let mut event = json!({"metadata": {"namespace": namespace}, "involvedObject": {"namespace": about}});
            if timed {
                event["eventTime"] = "2026-01-01T00:00:00.000000Z".into();
            }
            assert_eq!(place_problems(&event).is_empty(), fine, "{namespace} {about} {timed}");
        }
    }

    #[test]
    fn an_event_with_a_time_of_its_own_needs_a_reporter_an_action_and_a_reason() {
        assert_eq!(refused(&event()), [Vec::<String>::new(), Vec::new()]);
        let both = |field: &'static str| [field, field];
        for (field, value, expected) in [
            ("reportingComponent", json!(null), ["reportingComponent", "reportingController"]),
            ("reportingComponent", json!("a b"), ["reportingComponent", "reportingController"]),
            ("reportingComponent", json!("/b"), ["reportingComponent", "reportingController"]),
            ("reportingComponent", json!("a/b/c"), ["reportingComponent", "reportingController"]),
            ("reportingComponent", json!("x".repeat(64)), ["reportingComponent", "reportingController"]),
            ("reportingInstance", json!(""), both("reportingInstance")),
            ("reportingInstance", json!("x".repeat(129)), both("reportingInstance")),
            ("action", json!(null), both("action")),
            ("action", json!("x".repeat(129)), both("action")),
            ("reason", json!(null), both("reason")),
            ("reason", json!("x".repeat(129)), both("reason")),
            ("message", json!("x".repeat(1025)), both("message")),
        ] {
            let mut event = event();
            event[field] = value;
            assert_eq!(refused(&event), expected.map(|field| vec![field.to_owned()]), "{event}");
        }
    }

    #[test]
    fn the_newer_api_wants_a_time_and_a_type_and_nothing_of_the_older() {
        for (field, value, expected) in [
            ("eventTime", json!(null), vec!["eventTime"]),
            ("type", json!(null), vec!["type"]),
            ("type", json!("Fatal"), vec!["type"]),
            ("firstTimestamp", json!("2026-01-01T00:00:00Z"), vec!["firstTimestamp"]),
            ("lastTimestamp", json!("2026-01-01T00:00:00Z"), vec!["lastTimestamp"]),
            ("count", json!(1), vec!["count"]),
            ("count", json!(0), vec![]),
            ("source", json!({"component": "it"}), vec!["source"]),
            ("source", json!({"component": ""}), vec![]),
            ("series", json!({}), vec!["series.count", "series.lastObservedTime"]),
            ("series", json!({"count": 1, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}), vec!["series.count"]),
            ("series", json!({"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}), vec![]),
        ] {
            let mut event = event();
            event[field] = value;
            let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(refused(&event), [Vec::new(), expected], "{event}");
        }
    }

    #[test]
    fn through_the_newer_api_an_event_is_counted_and_not_changed() {
        let changed = |group: &str, field: &str, value: Value| -> Vec<String> {
            let (old, mut new) = (event(), event());
            new[field] = value;
            problems(&kind(group), &new, Some(&old)).into_iter().map(|cause| cause.field).collect()
        };
        for field in IMMUTABLE {
            let value = if field == "involvedObject" { json!({"namespace": "a", "name": "b"}) } else { json!("new") };
            assert!(changed("", field, value.clone()).is_empty(), "{field}");
            let said = if field == "reportingComponent" { "reportingController" } else { field };
            assert_eq!(changed("events.k8s.io", field, value), [said]);
        }
        let counted = json!({"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"});
        assert!(changed("events.k8s.io", "series", counted).is_empty());
        assert_eq!(changed("events.k8s.io", "series", json!({"count": 2})), ["series.lastObservedTime"]);
        assert!(changed("events.k8s.io", "source", json!({})).is_empty());
        assert!(changed("events.k8s.io", "eventTime", json!("2026-01-01T01:00:00.000000+01:00")).is_empty());
        assert_eq!(changed("events.k8s.io", "eventTime", json!("2026-01-01T00:00:00.000001Z")), ["eventTime"]);
    }
}
