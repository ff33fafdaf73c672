//! Whether the schema of a definition is structural: it says the type of every value, outside of what only checks values.
//!
//! Reads the schema as it was sent, because a parsed [`Node`](super::node::Node) no longer holds what is refused here.

use serde_json::{Value, json};

use crate::{
    registry::structural::{
        collections, junctors,
        keywords::{EMBEDDED, INT_OR_STRING, PRESERVES, property},
        node::Type,
        rule_fields,
    },
    wire::status::Cause,
};

/// Where in the tree a schema is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// What is wrong with the schema at `path`, sorted.
pub(crate) fn problems(schema: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    check_structure(schema, Level::Root, path, &mut causes);
    junctors::check_complete(schema, path, &mut causes);
    if causes.is_empty() {
        rule_fields::check_comparisons(schema, path, &mut causes);
    }
    causes.sort_by(|left, right| (&left.field, &left.message).cmp(&(&right.field, &right.message)));
    causes
}

fn is(schema: &Value, flag: &str) -> bool {
    schema[flag] == true
}

fn type_of(schema: &Value) -> &str {
    schema["type"].as_str().unwrap_or_default()
}

fn check_structure(schema: &Value, level: Level, path: &str, causes: &mut Vec<Cause>) {
    check_keywords(schema, path, causes);
    if schema["items"].is_array() {
        causes.push(Cause::forbidden(format!("{path}.items"), "items must be a schema object and not an array"));
    } else if let Some(items) = schema.get("items") {
        check_structure(items, Level::Item, &format!("{path}.items"), causes);
    } else if type_of(schema) == "array" {
        causes.push(Cause::required(format!("{path}.items"), "must be specified"));
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        if name != "metadata" || level != Level::Root && !is(schema, EMBEDDED) {
            check_structure(field, Level::Field, &property(path, name), causes);
        }
    }
    if let Some(additional) = schema.get("additionalProperties") {
        let path = format!("{path}.additionalProperties");
        if level == Level::Root {
            causes.push(Cause::forbidden(&path, "must not be used at the root"));
        }
        if is(schema, EMBEDDED) {
            causes.push(Cause::forbidden(&path, "must not be used if x-kubernetes-embedded-resource is set"));
        }
        if additional.is_object() {
            check_structure(additional, Level::Field, &path, causes);
        }
    }
    for flag in [PRESERVES, EMBEDDED] {
        if is(schema, INT_OR_STRING) && is(schema, flag) {
            let rule = "must be false if x-kubernetes-int-or-string is true";
            causes.push(Cause::invalid_raw(format!("{path}.{flag}"), "true", rule));
        }
    }
    junctors::check(schema, path, causes);
    check_type(schema, level, path, causes);
    if level == Level::Root || is(schema, EMBEDDED) {
        check_type_and_metadata(schema, level, path, causes);
    }
    rule_fields::check(schema, level == Level::Root, path, causes);
}

/// The type must be there, and be an object's where objects are.
fn check_type(schema: &Value, level: Level, path: &str, causes: &mut Vec<Cause>) {
    let (field, named) = (format!("{path}.type"), type_of(schema));
    if !named.is_empty() && Type::parse(named).is_none() {
        let known = ["array", "boolean", "integer", "number", "object", "string"];
        causes.push(Cause::not_supported(&field, named, &known));
    }
    if is(schema, EMBEDDED) && named != "object" {
        let rule = "must be object if x-kubernetes-embedded-resource is true";
        causes.push(if named.is_empty() { Cause::required(&field, rule) } else { Cause::invalid(&field, named, rule) });
    } else if named.is_empty() && !is(schema, INT_OR_STRING) && !is(schema, PRESERVES) {
        let rule = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        causes.push(Cause::required(&field, rule));
    }
    if level == Level::Root && !named.is_empty() && named != "object" {
        causes.push(Cause::invalid(&field, named, "must be object at the root"));
    }
    if is(schema, EMBEDDED)
        && !is(schema, PRESERVES)
        && schema["properties"].as_object().is_none_or(serde_json::Map::is_empty)
    {
        let rule = "must not be empty if x-kubernetes-embedded-resource is true without \
                    x-kubernetes-preserve-unknown-fields";
        causes.push(Cause::required(format!("{path}.properties"), rule));
    }
}

/// `apiVersion` and `kind` are strings, and metadata is what it is for every object.
fn check_type_and_metadata(schema: &Value, level: Level, path: &str, causes: &mut Vec<Cause>) {
    let properties = &schema["properties"];
    for name in ["apiVersion", "kind"] {
        if properties.get(name).is_some_and(|field| type_of(field) != "string") {
            let field = format!("{}.type", property(path, name));
            causes.push(Cause::invalid(field, type_of(&properties[name]), "must be string"));
        }
    }
    let Some(metadata) = properties.get("metadata") else { return };
    let path = property(path, "metadata");
    if type_of(metadata) != "object" {
        causes.push(Cause::invalid(format!("{path}.type"), type_of(metadata), "must be object"));
    }
    let mut specified = metadata.as_object().into_iter().flatten();
    let only_names = |fields: &Value| {
        fields.as_object().is_some_and(|fields| fields.keys().all(|name| name == "name" || name == "generateName"))
    };
    let fine = specified.all(|(key, value)| match key.as_str() {
        "type" | "default" | "description" => true,
        "properties" => only_names(value),
        _ => false,
    });
    if level == Level::Root && !fine {
        let rule = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        causes.push(Cause::forbidden(path, rule));
    }
}

/// Keywords that a definition may not use, or not in this way.
fn check_keywords(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut forbid = |key: &str, rule: &str| causes.push(Cause::forbidden(format!("{path}.{key}"), rule));
    if is(schema, "uniqueItems") {
        forbid("uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
    }
    if schema.get("additionalProperties").is_some_and(|additional| additional != false)
        && schema["properties"].as_object().is_some_and(|all| !all.is_empty())
    {
        forbid("additionalProperties", "additionalProperties and properties are mutual exclusive");
    }
    for (key, rule) in [
        ("$ref", "$ref is not supported"),
        ("dependencies", "dependencies is not supported"),
        ("patternProperties", "patternProperties is not supported"),
        ("definitions", "definitions is not supported"),
        ("additionalItems", "additionalItems is not supported"),
        ("id", "id is not supported"),
    ] {
        if schema.get(key).is_some() {
            forbid(key, rule);
        }
    }
    if schema.get(PRESERVES) == Some(&json!(false)) {
        causes.push(Cause::invalid_raw(format!("{path}.{PRESERVES}"), "false", "must be true or undefined"));
    }
    collections::check(schema, path, causes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(schema: &Value) -> Vec<String> {
        problems(schema, "s").into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
    }

    fn with_spec(spec: &Value) -> Value {
        json!({"type": "object", "properties": {"spec": spec}})
    }

    #[test]
    fn a_structural_schema_has_no_problems() {
        let text = json!({"type": "string"});
        for schema in [
            json!({"type": "object"}),
            json!({"type": "object", "properties": {"metadata": {"type": "object"}, "kind": text, "apiVersion": text}}),
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
            with_spec(&json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]})),
            with_spec(&json!({
                "type": "object", "properties": {"a": text}, "oneOf": [{"required": ["a"]}, {"properties": {"a": {"pattern": "x"}}}],
            })),
            with_spec(&json!({
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"],
                "items": {"type": "object", "required": ["a"], "properties": {"a": text}},
            })),
        ] {
            assert_eq!(said(&schema), Vec::<String>::new(), "{schema}");
        }
    }

    #[test]
    fn what_is_not_structural_is_refused_in_the_real_words() {
        for (spec, expected) in [
            (json!({}), "s.properties[spec].type: Required value: must not be empty for specified object fields"),
            (json!({"type": "array"}), "s.properties[spec].items: Required value: must be specified"),
            (
                json!({"type": "array", "items": {}}),
                "s.properties[spec].items.type: Required value: must not be empty for specified array items",
            ),
            (
                json!({"type": "object", "anyOf": [{"type": "object"}]}),
                "s.properties[spec].anyOf[0].type: Forbidden: must be empty to be structural",
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}}),
                "s.properties[spec].additionalProperties: Forbidden: additionalProperties and properties are mutual \
                 exclusive",
            ),
            (
                json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object"}}),
                "s.properties[spec].items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with \
                 x-kubernetes-list-type=set",
            ),
            (
                json!({"type": "object", "x-kubernetes-map-type": "foo"}),
                "s.properties[spec].x-kubernetes-map-type: Unsupported value: \"foo\": supported values: \"atomic\", \
                 \"granular\"",
            ),
            (
                json!({"type": "object", "x-kubernetes-preserve-unknown-fields": false}),
                "s.properties[spec].x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined",
            ),
            (json!({"type": "string", "id": "x"}), "s.properties[spec].id: Forbidden: id is not supported"),
        ] {
            assert_eq!(said(&with_spec(&spec)), [expected], "{spec}");
        }
        assert_eq!(
            said(
                &json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {}}}}})
            ),
            ["s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but \
                 metadata is implicitly specified"]
        );
        assert_eq!(
            said(&json!({"type": "object", "not": {"properties": {"a": {}}}})),
            ["s.properties[a]: Required value: because it is defined in s.not.properties[a]"]
        );
        assert_eq!(said(&json!({})), ["s.type: Required value: must not be empty at the root"]);
    }
}
