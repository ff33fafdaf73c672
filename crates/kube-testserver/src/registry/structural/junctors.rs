//! What `allOf`, `anyOf`, `oneOf` and `not` may say in a structural schema.

use serde_json::{Value, json};

use crate::{
    registry::structural::keywords::{EMBEDDED, INT_OR_STRING, PRESERVES, property},
    wire::status::Cause,
};

const JUNCTORS: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// Junctors check values, and may say nothing that only the structure says.
pub(crate) fn check(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let int_or_string = json!([{"type": "integer"}, {"type": "string"}]);
    for junctor in JUNCTORS {
        for (at, branch) in schema[junctor].as_array().into_iter().flatten().enumerate() {
            if junctor == "anyOf" && schema["anyOf"] == int_or_string
                || junctor == "allOf" && at == 0 && branch["anyOf"] == int_or_string
            {
                continue;
            }
            check_branch(branch, &format!("{path}.{junctor}[{at}]"), causes);
        }
    }
    if let Some(branch) = schema.get("not") {
        check_branch(branch, &format!("{path}.not"), causes);
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && let Err(error) = regex::Regex::new(pattern)
    {
        let rule = format!("must be a valid regular expression, but isn't: {error}");
        causes.push(Cause::invalid(format!("{path}.pattern"), pattern, &rule));
    }
}

fn check_branch(branch: &Value, path: &str, causes: &mut Vec<Cause>) {
    check(branch, path, causes);
    if let Some(items) = branch.get("items") {
        check_branch(items, &format!("{path}.items"), causes);
    }
    for (name, field) in branch["properties"].as_object().into_iter().flatten() {
        check_branch(field, &property(path, name), causes);
        if name == "metadata" {
            causes.push(Cause::forbidden(property(path, name), "must not be specified in a nested context"));
        }
    }
    for (key, rule) in [
        ("type", "must be empty to be structural"),
        ("additionalProperties", "must be undefined to be structural"),
        ("default", "must be undefined to be structural"),
        ("title", "must be empty to be structural"),
        ("description", "must be empty to be structural"),
        ("nullable", "must be false to be structural"),
        ("externalDocs", "must be undefined to be structural"),
        (PRESERVES, "must be false to be structural"),
        (EMBEDDED, "must be false to be structural"),
        (INT_OR_STRING, "must be false to be structural"),
        ("x-kubernetes-list-map-keys", "must be empty to be structural"),
        ("x-kubernetes-list-type", "must be undefined to be structural"),
        ("x-kubernetes-map-type", "must be undefined to be structural"),
        ("x-kubernetes-validations", "must be empty to be structural"),
    ] {
        if !matches!(branch.get(key), None | Some(Value::Bool(false))) {
            causes.push(Cause::forbidden(format!("{path}.{key}"), rule));
        }
    }
}

/// Whatever the junctors of a schema name must be in its structure as well.
pub(crate) fn check_complete(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    check_junctors_complete(schema, Some(schema), path, path, causes);
}

fn check_junctors_complete(
    branch: &Value,
    structure: Option<&Value>,
    structure_path: &str,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    for junctor in JUNCTORS {
        for (at, below) in branch[junctor].as_array().into_iter().flatten().enumerate() {
            check_branch_complete(below, structure, structure_path, &format!("{path}.{junctor}[{at}]"), causes);
        }
    }
    if let Some(below) = branch.get("not") {
        check_branch_complete(below, structure, structure_path, &format!("{path}.not"), causes);
    }
}

fn check_branch_complete(
    branch: &Value,
    structure: Option<&Value>,
    structure_path: &str,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    let Some(there) = structure else {
        causes.push(Cause::required(structure_path, &format!("because it is defined in {path}")));
        return;
    };
    check_junctors_complete(branch, structure, structure_path, path, causes);
    if let Some(items) = branch.get("items") {
        check_branch_complete(
            items,
            there.get("items"),
            &format!("{structure_path}.items"),
            &format!("{path}.items"),
            causes,
        );
    }
    for (name, field) in branch["properties"].as_object().into_iter().flatten() {
        let below = there["properties"].get(name);
        check_branch_complete(field, below, &property(structure_path, name), &property(path, name), causes);
    }
}
