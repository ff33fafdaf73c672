//! Fields that a custom resource has and its schema does not declare, and the answer to a client that asked for
//! `fieldValidation`.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value};

use crate::{
    api::merge::target::Target,
    registry::view::View,
    wire::{
        query::FieldValidation,
        status::{Cause, Status},
    },
};

/// Every resource has these, whatever its schema says.
const OF_EVERY_RESOURCE: [&str; 3] = ["apiVersion", "kind", "metadata"];

const OF_METADATA: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// The paths of undeclared fields, sorted. What is below one of them is not listed.
fn undeclared(object: &Value, openapi: Option<&Value>) -> Vec<String> {
    let Some(schema) = openapi else { return Vec::new() };
    let mut found = Vec::new();
    walk(object, Some(schema), Place::Resource, "", &mut found);
    found.sort();
    found
}

fn of_view(view: &View, object: &Value) -> Vec<String> {
    undeclared(object, view.kind.versions[view.version].openapi.as_ref())
}

/// Refuses the undeclared fields of an object that a client sends, or returns those to warn of.
pub(crate) fn check(view: &View, validation: FieldValidation, object: &Value) -> Result<Vec<String>, Status> {
    let found = if validation == FieldValidation::Ignore { Vec::new() } else { of_view(view, object) };
    if validation == FieldValidation::Strict && !found.is_empty() {
        let (kind, version) = (&view.kind.kind, &view.kind.versions[view.version].name);
        return Err(Status::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: {}",
            complaint(&found)
        )));
    }
    Ok(found)
}

/// The same for what a patch made. What was undeclared before is not the patch's doing: a real server would not
/// have kept it.
pub(crate) fn check_patched(
    view: &View,
    validation: FieldValidation,
    before: &Value,
    patched: &Value,
) -> Result<Vec<String>, Status> {
    if validation == FieldValidation::Ignore {
        return Ok(Vec::new());
    }
    let (known, mut found) = (of_view(view, before), of_view(view, patched));
    found.retain(|path| !known.contains(path));
    if validation == FieldValidation::Strict && !found.is_empty() {
        let cause = Cause::invalid("patch", &patched.to_string(), &complaint(&found));
        return Err(Status::invalid("", "", "", &[cause]));
    }
    Ok(found)
}

/// The same for what a manager applies.
pub(crate) fn check_applied(target: &Target, validation: FieldValidation, wanted: &Value) -> Result<(), Status> {
    let found = if validation == FieldValidation::Strict { of_view(&target.view, wanted) } else { Vec::new() };
    let listed: Vec<String> = found.iter().map(|path| format!(".{path}: field not declared in schema")).collect();
    let problems = match listed.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    let (key, view) = (&target.key, &target.view);
    let place = if key.namespace.is_empty() { String::new() } else { format!("{}/", key.namespace) };
    let message = format!(
        "failed to create typed patch object ({place}{}; {}, Kind={}): {problems}",
        key.name,
        view.api_version(),
        view.kind.kind
    );
    Err(Status::failure(StatusCode::INTERNAL_SERVER_ERROR, "", message))
}

/// Adds a `Warning` header for each undeclared field.
pub(crate) fn warn(mut answer: Response<Bytes>, paths: &[String]) -> Response<Bytes> {
    for path in paths {
        let quoted = describe(path).replace('\\', "\\\\").replace('"', "\\\"");
        // A name that no header can carry is one nobody is warned of.
        if let Ok(value) = HeaderValue::try_from(format!("299 - \"{quoted}\"")) {
            answer.headers_mut().append(header::WARNING, value);
        }
    }
    answer
}

fn complaint(paths: &[String]) -> String {
    let fields: Vec<String> = paths.iter().map(|path| describe(path)).collect();
    format!("strict decoding error: {}", fields.join(", "))
}

fn describe(path: &str) -> String {
    format!("unknown field \"{path}\"")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// An object with a type and metadata.
    Resource,
    Inside,
}

/// Without a schema nothing is declared.
fn walk(value: &Value, schema: Option<&Value>, place: Place, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => walk_map(map, schema, place, path, found),
        Value::Array(list) => {
            for (at, item) in list.iter().enumerate() {
                let items = schema.and_then(|schema| schema.get("items"));
                if items.is_some() || !keeps_unknown(schema) {
                    walk(item, items, place_of(items), &format!("{path}[{at}]"), found);
                }
            }
        }
        _ => {}
    }
}

fn walk_map(map: &Map<String, Value>, schema: Option<&Value>, place: Place, path: &str, found: &mut Vec<String>) {
    for (name, value) in map {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if place == Place::Resource && OF_EVERY_RESOURCE.contains(&name.as_str()) {
            if name == "metadata" {
                let fields = value.as_object().into_iter().flat_map(Map::keys);
                let unknown = fields.filter(|field| !OF_METADATA.contains(&field.as_str()));
                found.extend(unknown.map(|field| format!("{path}.{field}")));
            }
            continue;
        }
        let declared = schema.and_then(|schema| schema.get("properties")?.get(name));
        let free = schema.and_then(|schema| schema.get("additionalProperties"));
        match declared.or(free) {
            Some(Value::Bool(true)) => {}
            Some(schema) if schema.is_object() => walk(value, Some(schema), place_of(Some(schema)), &path, found),
            _ if keeps_unknown(schema) => {}
            _ => found.push(path),
        }
    }
}

fn keeps_unknown(schema: Option<&Value>) -> bool {
    schema.is_some_and(|schema| schema["x-kubernetes-preserve-unknown-fields"] == true)
}

fn place_of(schema: Option<&Value>) -> Place {
    let embedded = schema.is_some_and(|schema| schema["x-kubernetes-embedded-resource"] == true);
    if embedded { Place::Resource } else { Place::Inside }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_schema_does_not_declare_is_found() {
        let text = json!({"type": "string"});
        let schema = json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "size": {"type": "integer"},
                "parts": {"type": "array", "items": {"type": "object", "properties": {"name": text}}},
                "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": text}}},
                "any": {"type": "object", "additionalProperties": true},
                "bare": {"type": "object"},
                "free": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    "properties": {"inner": {"type": "object", "properties": {"a": text}}},
                },
                "template": {
                    "type": "object", "x-kubernetes-embedded-resource": true,
                    "properties": {"spec": {"type": "object", "properties": {"a": text}}},
                },
            }},
        }});
        for (spec, expected) in [
            (json!({"size": 1, "parts": [{"name": "a"}], "map": {"k": {"a": "1"}}, "any": {"k": {"v": 1}}}), vec![]),
            (json!({"sizee": 1, "another": {"deep": 1}}), vec!["spec.another", "spec.sizee"]),
            (json!({"parts": [{"name": "a"}, {"nam": "b"}]}), vec!["spec.parts[1].nam"]),
            (json!({"map": {"k": {"b": "1"}}}), vec!["spec.map.k.b"]),
            (json!({"bare": {"a": 1}}), vec!["spec.bare.a"]),
            (json!({"free": {"x": {"y": 1}, "list": [{"z": 1}]}}), vec![]),
            (json!({"free": {"inner": {"b": "1"}}}), vec!["spec.free.inner.b"]),
            (json!({"template": {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}}}), vec![]),
            (
                json!({"template": {"spec": {"b": 1}, "metadata": {"nam": 1}}}),
                vec!["spec.template.metadata.nam", "spec.template.spec.b"],
            ),
            (json!("not even a map"), vec![]),
        ] {
            let object = json!({"apiVersion": "a/v1", "kind": "A", "metadata": {"name": "a"}, "spec": spec});
            assert_eq!(undeclared(&object, Some(&schema)), expected, "{object}");
            assert!(undeclared(&object, None).is_empty());
        }
        let object = json!({"metadata": {"nam": "a"}, "status": {}});
        assert_eq!(undeclared(&object, Some(&schema)), ["metadata.nam", "status"]);
    }

    #[test]
    fn a_warning_is_quoted() {
        let answer = warn(Response::new(Bytes::new()), &["spec.a".to_owned(), "b".to_owned()]);
        let told: Vec<&HeaderValue> = answer.headers().get_all(header::WARNING).iter().collect();
        assert_eq!(told, [r#"299 - "unknown field \"spec.a\"""#, r#"299 - "unknown field \"b\"""#]);
    }
}
