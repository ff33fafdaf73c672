//! Patches: how the body of a PATCH turns one object into another.

mod apply;
mod json;
mod strategic;

use std::sync::Arc;

pub(crate) use apply::described;

use serde_json::Value;

use crate::{
    api::merge::{field_set::Fields, target::Target},
    registry::{kinds::Kind, merge_schema::Schema},
    wire::{
        call::Call,
        negotiate,
        query::{FieldValidation, Query},
        status::{Cause, Status},
        yaml,
    },
};

/// Operations a JSON patch may have.
const MOST_OPERATIONS: usize = 10_000;

/// A patch, read.
#[derive(Debug)]
pub(crate) enum Patch {
    /// RFC 6902.
    Json(Vec<json::Operation>),
    /// RFC 7386.
    Merge(Value),
    /// Merges lists by the keys core types declare.
    Strategic(Value, Arc<Schema>),
    /// Server-side apply.
    Apply {
        /// What the manager wants there to be.
        wanted: Value,
        /// Take over what others own.
        force: bool,
    },
    /// A body that is no patch. The error is returned once it is known whether the object exists.
    Malformed { error: Status, creates: bool },
}

impl Patch {
    /// Reads the body by its content type.
    pub(crate) fn read(call: &Call, query: &Query, kind: &Kind) -> Result<Self, Status> {
        const TYPES: [&str; 4] = [
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/apply-patch+yaml",
            "application/strategic-merge-patch+json",
        ];
        let accepted = if kind.custom { &TYPES[..3] } else { &TYPES[..] };
        let content_type = negotiate::body_type(&call.headers);
        if !accepted.contains(&content_type.as_str()) {
            let refused = Status::unsupported_media_type(accepted);
            return Err(if kind.custom { refused } else { refused.with_empty_details() });
        }
        let applies = content_type == TYPES[2];
        let mut causes = match (applies, query.text("fieldManager"), query.text("force")) {
            (true, None, _) => vec![Cause::required("fieldManager", "is required for apply patch")],
            (false, _, Some(_)) => vec![Cause::forbidden("force", "may not be specified for non-apply patch")],
            _ => Vec::new(),
        };
        causes.extend(query.write_options_problems());
        if !causes.is_empty() {
            return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", &causes));
        }
        let text =
            std::str::from_utf8(&call.body).map_err(|_| Status::bad_request("the body of the request is not UTF-8"))?;
        let read = match content_type.as_str() {
            "application/apply-patch+yaml" => {
                yaml::read(text).map(|wanted| Self::Apply { wanted, force: query.flag("force") })
            }
            "application/json-patch+json" => json_operations(text, query.field_validation()).map(Self::Json),
            "application/merge-patch+json" => fields(text).map(Self::Merge),
            _ => fields(text).map(|patch| Self::Strategic(patch, Arc::clone(&kind.versions[0].schema))),
        };
        Ok(read.unwrap_or_else(|error| Self::Malformed { error, creates: applies }))
    }

    /// What the object becomes, in the client's version.
    pub(crate) fn apply(&self, target: &Target, current: &Value) -> Result<Value, Status> {
        let edited = |edit: &dyn Fn(&mut Value) -> Result<(), Status>| {
            let mut object = current.clone();
            edit(&mut object).map(|()| object)
        };
        match self {
            Self::Apply { wanted, force } => apply::apply(target, current, wanted, *force),
            Self::Malformed { error, .. } => Err(error.clone()),
            Self::Json(operations) => edited(&|object| json::patch(object, operations).map_err(|_| does_not_fit())),
            Self::Merge(patch) => edited(&|object| {
                json::merge(object, patch);
                Ok(())
            }),
            Self::Strategic(patch, schema) => edited(&|object| strategic::merge(object, patch, schema)),
        }
    }

    /// Whether it creates an object that does not exist.
    pub(crate) fn creates(&self) -> bool {
        matches!(self, Self::Apply { .. } | Self::Malformed { creates: true, .. })
    }

    /// The object an apply makes where there is none, and what of it the manager owns.
    pub(crate) fn new_object(&self, target: &Target) -> Result<(Value, Fields), Status> {
        match self {
            Self::Apply { wanted, .. } => apply::new_object(target, wanted),
            Self::Malformed { error, .. } => Err(error.clone()),
            _ => Err(target.not_found()),
        }
    }
}

fn malformed(error: &dyn std::fmt::Display) -> Status {
    Status::bad_request(format!("error decoding patch: {error}"))
}

fn fields(text: &str) -> Result<Value, Status> {
    let patch: Value = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    if patch.is_object() { Ok(patch) } else { Err(malformed(&"it is not a JSON object")) }
}

/// The operations of a JSON patch. Whether an operation can be carried out shows later.
fn json_operations(text: &str, validation: FieldValidation) -> Result<Vec<json::Operation>, Status> {
    let operations: Vec<json::Operation> = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    if operations.len() > MOST_OPERATIONS {
        return Err(Status::too_large(format_args!(
            "The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {}",
            operations.len()
        )));
    }
    let is_text = |value: &Value| value.is_string() || value.is_null();
    let wrong = ["op", "path", "from"]
        .into_iter()
        .find(|field| operations.iter().any(|operation| operation.get(*field).is_some_and(|value| !is_text(value))));
    if let Some(field) = wrong.filter(|_| validation != FieldValidation::Ignore) {
        return Err(malformed(&format_args!("the {field} of an operation is not a string")));
    }
    Ok(operations)
}

/// 422 for a patch that cannot be laid over the object.
fn does_not_fit() -> Status {
    Status::unprocessable("the server rejected our request due to an error in our request")
}
