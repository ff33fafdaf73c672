//! Checks on the values of an object: types, ranges, lengths, patterns, formats, and what must be there.

use serde_json::{Map, Value};

use super::{correlate, formats, numbers};
use crate::api::object::go_values::shown;
use crate::{
    registry::structural::node::{Checks, Node, Type},
    wire::status::Cause,
};

/// Checks a value and all that is in it. A value that is as it was in `old` is not checked again.
pub(super) fn check(value: &Value, old: Option<&Value>, schema: &Node, path: &str, causes: &mut Vec<Cause>) {
    if old == Some(value) {
        return;
    }
    check_type(value, schema, path, causes);
    check_allowed(value, &schema.checks, path, causes);
    match value {
        Value::Null => return,
        Value::String(text) => check_text(text, &schema.checks, path, causes),
        Value::Number(number) => numbers::check(number, &schema.types, &schema.checks, path, causes),
        Value::Array(list) => check_list(list, old, schema, path, causes),
        Value::Object(map) => check_map(map, old, schema, path, causes),
        Value::Bool(_) => {}
    }
    check_branches(value, &schema.checks, path, causes);
}

/// Checks a part of an object, whose fields error messages name from this part on.
pub(super) fn check_part(value: &Value, old: Option<&Value>, schema: &Node, path: &str, causes: &mut Vec<Cause>) {
    let mut found = Vec::new();
    check(value, old, schema, "", &mut found);
    causes.extend(found.into_iter().map(|mut cause| {
        match cause.field.as_str() {
            "<nil>" => {}
            "" => path.clone_into(&mut cause.field),
            below if below.starts_with('[') => cause.field = format!("{path}{below}"),
            below => cause.field = format!("{path}.{below}"),
        }
        cause
    }));
}

fn invalid(path: &str, value: &str, rule: &str) -> Cause {
    Cause::invalid_raw(path, value, &format!("{path} in body {rule}"))
}

fn check_type(value: &Value, schema: &Node, path: &str, causes: &mut Vec<Cause>) {
    let fits = value.is_null() && schema.nullable || schema.types.iter().any(|kind| kind.admits(value));
    let is_number = |kind: &Type| matches!(kind, Type::Integer | Type::Number);
    // The format is checked in place of the type: of texts there, of lists nowhere.
    let has_format = schema.checks.format.is_some() && !schema.types.iter().any(is_number);
    if schema.types.is_empty() || fits || has_format && (value.is_string() || value.is_array()) {
        return;
    }
    let types: Vec<&str> = schema.types.iter().map(|kind| kind.as_str()).collect();
    let (found, wanted) = (Type::name_of(value), types.join(","));
    causes.push(match (schema.checks.format.as_deref(), found) {
        (None, _) | (_, "string" | "array" | "null") => type_invalid(path, found, &wanted),
        // In place of the type, the format is named, which a number has and another value has not.
        (Some(format), "integer") => type_invalid(path, "int64", format),
        (Some(format), "number") => type_invalid(path, "float64", format),
        (Some(format), _) => type_invalid(path, "", format),
    });
}

fn type_invalid(path: &str, found: &str, wanted: &str) -> Cause {
    let message = format!("Invalid value: {found:?}: {path} in body must be of type {wanted}: {found:?}");
    Cause { reason: "FieldValueTypeInvalid", message, field: path.to_owned() }
}

fn check_allowed(value: &Value, checks: &Checks, path: &str, causes: &mut Vec<Cause>) {
    // Null is no value of any enumeration, even of one that lists it.
    let is_allowed = |allowed: &Vec<Value>| !value.is_null() && allowed.iter().any(|known| same_value(known, value));
    let Some(allowed) = checks.allowed.as_ref().filter(|allowed| !is_allowed(allowed)) else { return };
    let texts: Vec<String> =
        allowed.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect();
    let listed: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    causes.push(Cause {
        reason: "FieldValueNotSupported",
        message: format!("Unsupported value: {}: supported values: {}", shown(value), listed.join(", ")),
        field: path.to_owned(),
    });
}

/// Whether two values are equal; `1` and `1.0` are.
fn same_value(left: &Value, right: &Value) -> bool {
    left == right || left.is_number() && left.as_f64() == right.as_f64()
}

fn check_text(text: &str, checks: &Checks, path: &str, causes: &mut Vec<Cause>) {
    let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
    let shown = format!("{text:?}");
    if let Some(most) = checks.max_length.filter(|most| length > *most) {
        causes.push(Cause::too_long(path, usize::try_from(most).unwrap_or(usize::MAX)));
    } else if let Some(least) = checks.min_length.filter(|least| length < *least) {
        causes.push(invalid(path, &shown, &format!("should be at least {least} chars long")));
    } else if let Some(pattern) = checks.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
        causes.push(invalid(path, &shown, &format!("should match '{pattern}'")));
    }
    if let Some(format) = checks.format.as_deref().filter(|format| !formats::fits(format, text)) {
        causes.push(type_invalid(path, text, format));
    }
}

fn too_many(path: &str, found: usize, most: u64) -> Cause {
    let items = if most == 1 { "item" } else { "items" };
    let message = format!("Too many: {found}: must have at most {most} {items}");
    Cause { reason: "FieldValueTooMany", message, field: path.to_owned() }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn check_list(list: &[Value], old: Option<&Value>, schema: &Node, path: &str, causes: &mut Vec<Cause>) {
    let checks = &schema.checks;
    if let Some(most) = checks.max_items.filter(|most| count(list.len()) > *most) {
        causes.push(too_many(path, list.len(), most));
    }
    if let Some(least) = checks.min_items.filter(|least| count(list.len()) < *least) {
        causes.push(invalid(path, &list.len().to_string(), &format!("should have at least {least} items")));
    }
    let repeats = |(at, item): (usize, &Value)| list.iter().take(at).any(|earlier| earlier == item);
    if checks.unique_items && list.iter().enumerate().any(repeats) {
        causes.push(invalid(path, "\"\"", "shouldn't contain duplicates"));
    }
    let Some(items) = &schema.items else { return };
    for (at, item) in list.iter().enumerate() {
        check(item, correlate::item(old, schema, item), items, &format!("{path}[{at}]"), causes);
    }
}

fn check_map(map: &Map<String, Value>, old: Option<&Value>, schema: &Node, path: &str, causes: &mut Vec<Cause>) {
    let checks = &schema.checks;
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if let Some(most) = checks.max_properties.filter(|most| count(map.len()) > *most) {
        causes.push(too_many(path, map.len(), most));
    }
    if let Some(least) = checks.min_properties.filter(|least| count(map.len()) < *least) {
        causes.push(invalid(path, &map.len().to_string(), &format!("should have at least {least} properties")));
    }
    for name in checks.required.iter().filter(|name| !map.contains_key(*name)) {
        causes.push(Cause::required(below(name), ""));
    }
    for (name, value) in map {
        if let Some(field) = schema.field(name) {
            check(value, correlate::entry(old, name), field, &below(name), causes);
        }
    }
}

/// `allOf`, `anyOf`, `oneOf` and `not`.
fn check_branches(value: &Value, checks: &Checks, path: &str, causes: &mut Vec<Cause>) {
    let said_of = |branch: &Node| {
        let mut said = Vec::new();
        check(value, None, branch, path, &mut said);
        said
    };
    let composite = |rule: &str| Cause::invalid("<nil>", "", &format!("{path:?} must {rule}"));
    if !checks.any_of.is_empty() {
        let failures: Vec<Vec<Cause>> = checks.any_of.iter().map(said_of).collect();
        if failures.iter().all(|said| !said.is_empty()) {
            causes.push(composite("validate at least one schema (anyOf)"));
            causes.extend(closest(value, &checks.any_of, failures));
        }
    }
    if !checks.one_of.is_empty() {
        let failures: Vec<Vec<Cause>> = checks.one_of.iter().map(said_of).collect();
        match failures.iter().filter(|said| said.is_empty()).count() {
            1 => {}
            0 => {
                causes.push(composite("validate one and only one schema (oneOf). Found none valid"));
                causes.extend(closest(value, &checks.one_of, failures));
            }
            valid => {
                let rule = format!("validate one and only one schema (oneOf). Found {valid} valid alternatives");
                causes.push(composite(&rule));
            }
        }
    }
    let failures: Vec<Vec<Cause>> = checks.all_of.iter().map(said_of).collect();
    let failed = failures.iter().filter(|said| !said.is_empty()).count();
    if failed > 0 {
        let none = if failed == failures.len() { ". None validated" } else { "" };
        causes.push(composite(&format!("validate all the schemas (allOf){none}")));
        causes.extend(failures.into_iter().flatten());
    }
    if checks.not.as_deref().is_some_and(|branch| said_of(branch).is_empty()) {
        causes.push(composite("not validate the schema (not)"));
    }
}

/// What the first of the branches says that check most of the value.
fn closest(value: &Value, branches: &[Node], failures: Vec<Vec<Cause>>) -> Vec<Cause> {
    let checked = branches.iter().map(|branch| values_checked(value, branch));
    let best = checked.zip(failures).reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, said)| said).unwrap_or_default()
}

/// How many values within a value a schema says something about.
fn values_checked(value: &Value, schema: &Node) -> usize {
    let below: usize = match value {
        Value::Object(map) => {
            map.iter().filter_map(|(name, value)| Some(values_checked(value, schema.field(name)?))).sum()
        }
        Value::Array(list) => list.iter().filter_map(|item| Some(values_checked(item, schema.items.as_deref()?))).sum(),
        _ => 0,
    };
    1 + below
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(schema: &Value, value: &Value) -> Vec<String> {
        let mut causes = Vec::new();
        check(value, None, &Node::parse(schema), "f", &mut causes);
        causes.into_iter().map(|cause| format!("{} {}: {}", cause.reason, cause.field, cause.message)).collect()
    }

    #[test]
    fn values_that_fit_are_fine() {
        for (schema, value) in [
            (json!({"type": "integer", "maximum": 5, "minimum": 0}), json!(5)),
            (json!({"type": "integer"}), json!(2.0)),
            (json!({"type": "number", "multipleOf": 0.25}), json!(0.5)),
            (json!({"type": "number"}), json!(1)),
            (json!({"x-kubernetes-int-or-string": true}), json!("a")),
            (json!({"x-kubernetes-int-or-string": true}), json!(1)),
            (json!({"type": "string", "nullable": true}), json!(null)),
            (json!({"type": "string", "maxLength": 2}), json!("éé")),
            (json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}), json!({"a": "b"})),
            (
                json!({"type": "object", "properties": {"a": {}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}),
                json!({"a": 1}),
            ),
        ] {
            assert_eq!(said(&schema, &value), Vec::<String>::new(), "{value} by {schema}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_in_the_real_words() {
        for (schema, value, expected) in [
            (
                json!({"type": "integer"}),
                json!("x"),
                "FieldValueTypeInvalid f: Invalid value: \"string\": f in body must be of type integer: \"string\"",
            ),
            (
                json!({"type": "string"}),
                json!(null),
                "FieldValueTypeInvalid f: Invalid value: \"null\": f in body must be of type string: \"null\"",
            ),
            (
                json!({"x-kubernetes-int-or-string": true}),
                json!(true),
                "FieldValueTypeInvalid f: Invalid value: \"boolean\": f in body must be of type integer,string: \
                 \"boolean\"",
            ),
            (
                json!({"type": "integer", "maximum": 5}),
                json!(9),
                "FieldValueInvalid f: Invalid value: 9: f in body should be less than or equal to 5",
            ),
            (
                json!({"type": "integer", "minimum": 0, "exclusiveMinimum": true}),
                json!(0),
                "FieldValueInvalid f: Invalid value: 0: f in body should be greater than 0",
            ),
            (
                json!({"type": "number", "multipleOf": 0.25}),
                json!(0.3),
                "FieldValueInvalid f: Invalid value: 0.3: f in body should be a multiple of 0.25",
            ),
            (
                json!({"type": "number", "multipleOf": 0.25}),
                json!(1),
                "FieldValueInvalid f: Invalid value: 0: factor MultipleOf declared for f must be positive: 0",
            ),
            (
                json!({"type": "integer", "format": "int32"}),
                json!(3_000_000_000_u32),
                "FieldValueInvalid <nil>: Invalid value: \"\": Checked value must be of type integer with format int32 \
                 in f",
            ),
            (
                json!({"type": "string", "enum": ["a", "b"]}),
                json!("z"),
                "FieldValueNotSupported f: Unsupported value: \"z\": supported values: \"a\", \"b\"",
            ),
            (
                json!({"type": "string", "maxLength": 1}),
                json!("zz"),
                "FieldValueTooLong f: Too long: may not be more than 1 byte",
            ),
            (
                json!({"type": "string", "pattern": "^a$"}),
                json!("z"),
                "FieldValueInvalid f: Invalid value: \"z\": f in body should match '^a$'",
            ),
            (
                json!({"type": "string", "format": "date-time"}),
                json!("yesterday"),
                "FieldValueTypeInvalid f: Invalid value: \"yesterday\": f in body must be of type date-time: \
                 \"yesterday\"",
            ),
            (
                json!({"type": "array", "maxItems": 1, "items": {"type": "integer"}}),
                json!([1, 2]),
                "FieldValueTooMany f: Too many: 2: must have at most 1 item",
            ),
            (
                json!({"type": "array", "items": {"type": "integer"}}),
                json!([1, "a"]),
                "FieldValueTypeInvalid f[1]: Invalid value: \"string\": f[1] in body must be of type integer: \"string\"",
            ),
            (json!({"type": "object", "required": ["a"]}), json!({}), "FieldValueRequired f.a: Required value"),
            (
                json!({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}),
                json!({"a": 1, "b": 1}),
                "FieldValueInvalid <nil>: Invalid value: \"\": \"f\" must validate one and only one schema (oneOf). \
                 Found 2 valid alternatives",
            ),
            (
                json!({"type": "string", "not": {"enum": ["a"]}}),
                json!("a"),
                "FieldValueInvalid <nil>: Invalid value: \"\": \"f\" must not validate the schema (not)",
            ),
        ] {
            assert_eq!(said(&schema, &value), [expected], "{value} by {schema}");
        }
    }

    #[test]
    fn what_was_wrong_before_is_let_pass_until_it_changes() {
        let schema = Node::parse(&json!({"type": "object", "properties": {
            "a": {"type": "string", "maxLength": 1}, "b": {"type": "string", "maxLength": 1},
        }}));
        let old = json!({"a": "long"});
        let mut causes = Vec::new();
        check(&json!({"a": "long", "b": "x"}), Some(&old), &schema, "", &mut causes);
        assert_eq!(causes, []);
        check(&json!({"a": "longer"}), Some(&old), &schema, "", &mut causes);
        assert_eq!(causes.len(), 1);
    }
}
