//! All that a schema finds wrong with a custom resource, in the order in which a real API server checks it.

use serde_json::Value;

use super::{cel_rules, check, embedded, scale_values, unique_items};
use crate::{
    registry::{kinds::Version, structural::node::Node},
    wire::status::Cause,
};

/// What of an object is checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checked {
    /// It has the type that the schema is for. Of one that has not, only lists and rules are checked.
    pub(crate) is_known: bool,
    /// Only its status is written.
    pub(crate) status: bool,
}

/// What is wrong with an object beyond its metadata. What was wrong in `old` already and did not change is let pass.
///
/// `found` is what is wrong with the metadata: rules are checked only if no other error prevents it.
pub(crate) fn problems(
    version: &Version,
    object: &Value,
    old: Option<&Value>,
    found: &[Cause],
    checked: Checked,
) -> Vec<Cause> {
    let Some(schema) = version.structural.as_deref() else { return Vec::new() };
    let mut causes = Vec::new();
    if checked.is_known {
        check_values(version, schema, object, old, checked.status, &mut causes);
    }
    if !checked.status {
        embedded::problems(object, schema, "", &mut causes);
    }
    if old.is_none_or(|old| !has_duplicates(old, schema)) {
        unique_items::duplicates(object, schema, "", &mut causes);
    }
    if schema.has_rules() {
        if found.iter().chain(&causes).any(prevents_rules) {
            let rule = "some validation rules were not checked because the object was invalid; correct the existing \
                        errors to complete validation";
            causes.push(Cause::invalid_raw("<nil>", "null", rule));
        } else {
            cel_rules::broken(object, old, schema, "", &mut causes);
        }
    }
    causes
}

fn check_values(
    version: &Version,
    schema: &Node,
    object: &Value,
    old: Option<&Value>,
    status: bool,
    causes: &mut Vec<Cause>,
) {
    if !status {
        check::check(object, old, schema, "", causes);
    } else if let (Some(value), Some(below)) = (object.get("status"), schema.field("status")) {
        // A status that was not there was null.
        check::check_part(value, old.map(|old| &old["status"]), below, "status", causes);
    }
    if let Some(paths) = &version.scale {
        scale_values::problems(object, paths, status, causes);
    }
}

fn has_duplicates(object: &Value, schema: &Node) -> bool {
    let mut causes = Vec::new();
    unique_items::duplicates(object, schema, "", &mut causes);
    !causes.is_empty()
}

fn prevents_rules(cause: &Cause) -> bool {
    matches!(
        cause.reason,
        "FieldValueNotSupported"
            | "FieldValueRequired"
            | "FieldValueTooLong"
            | "FieldValueTooMany"
            | "FieldValueTypeInvalid"
    )
}
