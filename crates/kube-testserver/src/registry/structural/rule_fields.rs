//! What the fields of a rule may say, and whether its expressions compile.

use serde_json::{Value, json};

use crate::{
    registry::{
        json_path,
        structural::{compiled_rules::Rules, keywords::property},
    },
    wire::status::Cause,
};

const REASONS: [&str; 4] = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// What is wrong with the rules on the value at `path`. `is_root` says that it is a custom resource.
pub(super) fn check(schema: &Value, is_root: bool, path: &str, causes: &mut Vec<Cause>) {
    let earlier = causes.len();
    for (at, rule) in schema["x-kubernetes-validations"].as_array().into_iter().flatten().enumerate() {
        let path = format!("{path}.x-kubernetes-validations[{at}]");
        check_rule(rule, &path, causes);
        let named = rule["fieldPath"].as_str().unwrap_or_default();
        if !named.is_empty() && json_path::schema_at(schema, named).is_none() {
            causes.push(Cause::invalid(format!("{path}.fieldPath"), named, "must be a valid path"));
        }
    }
    let Some(rules) = Rules::parse(schema, is_root).filter(|_| causes.len() == earlier) else { return };
    for (at, field, why) in rules.problems() {
        let value = shown(&schema["x-kubernetes-validations"][at]);
        let field = format!("{path}.x-kubernetes-validations[{at}].{field}");
        causes.push(Cause::invalid_raw(field, &value, &format!("compilation failed: {why}")));
    }
}

/// Refuses rules that compare with an old value where there is none: in a list whose items have no identity.
pub(super) fn check_comparisons(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    check_comparisons_at(schema, true, None, path, causes);
}

/// `whole` is the path of a list whose items have no identity.
fn check_comparisons_at(schema: &Value, is_root: bool, whole: Option<&str>, path: &str, causes: &mut Vec<Cause>) {
    for (at, text, compares) in Rules::parse(schema, is_root).iter().flat_map(Rules::compared) {
        let field = |name: &str| format!("{path}.x-kubernetes-validations[{at}].{name}");
        let optional = &schema["x-kubernetes-validations"][at]["optionalOldSelf"];
        if let Some(whole) = whole.filter(|_| compares) {
            let rule = format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {whole}");
            causes.push(Cause::invalid(field("rule"), text, &rule));
        } else if !compares && optional.is_boolean() {
            let rule = "may not be set if oldSelf is not used in rule";
            causes.push(Cause::invalid_raw(field("optionalOldSelf"), &optional.to_string(), rule));
        }
    }
    let mut below = |schema, whole, path: String| check_comparisons_at(schema, false, whole, &path, causes);
    if let Some(items) = schema.get("items") {
        let is_whole = schema["x-kubernetes-list-type"] != "map";
        below(items, whole.or(is_whole.then_some(path)), format!("{path}.items"));
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        below(field, whole, property(path, name));
    }
    if let Some(entries) = schema.get("additionalProperties").filter(|entries| entries.is_object()) {
        below(entries, whole, format!("{path}.additionalProperties"));
    }
}

fn check_rule(rule: &Value, path: &str, causes: &mut Vec<Cause>) {
    let text = |field: &str| rule[field].as_str().unwrap_or_default();
    let is_blank = |field: &str| !text(field).is_empty() && text(field).trim().is_empty();
    let breaks = |field: &str| text(field).trim().contains('\n');
    let at = |field: &str| format!("{path}.{field}");
    if text("rule").trim().is_empty() {
        causes.push(Cause::required(at("rule"), "rule is not specified"));
    } else if is_blank("message") {
        causes.push(Cause::invalid(at("message"), text("message"), "must be non-empty if specified"));
    } else if breaks("message") {
        causes.push(Cause::invalid(at("message"), text("message"), "must not contain line breaks"));
    } else if breaks("rule") && text("message").is_empty() {
        causes.push(Cause::required(at("message"), "message must be specified if rule contains line breaks"));
    }
    if is_blank("messageExpression") {
        let rule = "messageExpression must be non-empty if specified";
        causes.push(Cause::required(at("messageExpression"), rule));
    }
    if rule["reason"].is_string() && !REASONS.contains(&text("reason")) {
        causes.push(Cause::not_supported(at("reason"), text("reason"), &REASONS));
    }
    if is_blank("fieldPath") {
        causes.push(Cause::invalid(at("fieldPath"), text("fieldPath"), "must be non-empty if specified"));
    }
    if text("fieldPath").contains('\n') {
        causes.push(Cause::invalid(at("fieldPath"), text("fieldPath"), "must not contain line breaks"));
    }
}

/// A rule as a real server shows it: as Go encodes its internal form.
fn shown(rule: &Value) -> String {
    let fields = [
        ("Rule", "rule", json!("")),
        ("Message", "message", json!("")),
        ("MessageExpression", "messageExpression", json!("")),
        ("Reason", "reason", Value::Null),
        ("FieldPath", "fieldPath", json!("")),
        ("OptionalOldSelf", "optionalOldSelf", Value::Null),
    ];
    let fields = fields.map(|(shown, name, default)| format!("{shown:?}:{}", rule.get(name).unwrap_or(&default)));
    let escapes = [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026")];
    let text = format!("{{{}}}", fields.join(","));
    escapes.into_iter().fold(text, |text, (plain, escape)| text.replace(plain, escape))
}
