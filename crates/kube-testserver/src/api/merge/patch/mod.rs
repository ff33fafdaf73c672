//! Patches: how the body of a PATCH turns one object into another.

mod apply;
mod strategic;

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{
    api::merge::{field_set::Fields, target::Target},
    registry::{kinds::Kind, schema::Schema},
    wire::{
        call::Call,
        negotiate,
        query::Query,
        status::{Cause, Status},
        yaml,
    },
};

/// Operations a JSON patch may have.
const MOST_OPERATIONS: usize = 10_000;
/// How much a JSON patch's copies may add up to, in bytes.
const MOST_COPIED: usize = 3 * 1024 * 1024;

/// A patch, read.
#[derive(Debug)]
pub(crate) enum Patch {
    /// RFC 6902.
    Json(Vec<json_patch::PatchOperation>),
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
            return Err(Status::unsupported_media_type(accepted));
        }
        let invalid = |cause| Status::invalid("meta.k8s.io", "PatchOptions", "", &[cause]);
        let force = query.text("force");
        let text =
            std::str::from_utf8(&call.body).map_err(|_| Status::bad_request("the body of the request is not UTF-8"))?;
        if content_type == TYPES[2] {
            if query.text("fieldManager").is_none() {
                return Err(invalid(Cause::required("fieldManager", "is required for apply patch")));
            }
            let wanted = yaml::read(text)?;
            return Ok(Self::Apply { wanted, force: query.flag("force") });
        }
        if force.is_some() {
            return Err(invalid(Cause::forbidden("force", "may not be specified for non-apply patch")));
        }
        let broken = |error: serde_json::Error| Status::bad_request(format!("error decoding patch: {error}"));
        if content_type == TYPES[0] {
            // What is a list of objects is a patch; whether each is an operation shows when it is carried out.
            let operations: Vec<Map<String, Value>> = serde_json::from_str(text).map_err(broken)?;
            if operations.len() > MOST_OPERATIONS {
                return Err(Status::too_large(format_args!(
                    "The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {}",
                    operations.len()
                )));
            }
            let operation = |fields| serde_json::from_value(Value::Object(fields)).map_err(|_| does_not_fit());
            return operations.into_iter().map(operation).collect::<Result<_, _>>().map(Self::Json);
        }
        let patch: Value = serde_json::from_str(text).map_err(broken)?;
        if !patch.is_object() {
            return Err(Status::bad_request("error decoding patch: it must be a JSON object"));
        }
        if content_type == TYPES[1] {
            return Ok(Self::Merge(patch));
        }
        let schema = Schema::of_core(&kind.kind);
        Ok(Self::Strategic(patch, schema))
    }

    /// What the object becomes, in the client's version.
    pub(crate) fn apply(&self, target: &Target, current: &Value) -> Result<Value, Status> {
        let mut object = current.clone();
        match self {
            Self::Json(operations) => apply_operations(&mut object, operations)?,
            Self::Merge(patch) => json_patch::merge(&mut object, patch),
            Self::Strategic(patch, schema) => strategic::merge(&mut object, patch, schema)?,
            Self::Apply { wanted, force } => return apply::apply(target, current, wanted, *force),
        }
        Ok(object)
    }

    /// The object an apply makes where there is none, and what of it the manager owns.
    pub(crate) fn new_object(&self, target: &Target) -> Result<(Value, Fields), Status> {
        match self {
            Self::Apply { wanted, .. } => apply::new_object(target, wanted),
            _ => Err(target.not_found()),
        }
    }
}

fn apply_operations(object: &mut Value, operations: &[json_patch::PatchOperation]) -> Result<(), Status> {
    let mut copied = 0_usize;
    for operation in operations {
        if let json_patch::PatchOperation::Copy(copy) = operation {
            let size = object.pointer(copy.from.as_str()).map_or(0, |value| value.to_string().len());
            copied = copied.saturating_add(size);
        }
        if tests_for_nothing(object, operation) || replaces_nothing(object, operation) {
            continue;
        }
        let done = json_patch::patch_unsafe(object, std::slice::from_ref(operation));
        if done.is_err() || copied > MOST_COPIED {
            return Err(does_not_fit());
        }
    }
    Ok(())
}

fn does_not_fit() -> Status {
    Status::unprocessable("the server rejected our request due to an error in our request")
}

/// Carries out an operation that replaces a field which is not there: the real server sets it.
fn replaces_nothing(object: &mut Value, operation: &json_patch::PatchOperation) -> bool {
    let json_patch::PatchOperation::Replace(replace) = operation else { return false };
    let path = &replace.path;
    let (Some((parent, last)), None) = (path.split_back(), object.pointer(path.as_str())) else { return false };
    let Some(Value::Object(fields)) = object.pointer_mut(parent.as_str()) else { return false };
    fields.insert(last.decoded().into_owned(), replace.value.clone());
    true
}

/// Whether an operation tests for null what is not there: the real server lets that pass, and clients that add
/// a first finalizer lean on it.
fn tests_for_nothing(object: &Value, operation: &json_patch::PatchOperation) -> bool {
    let json_patch::PatchOperation::Test(test) = operation else { return false };
    let path = test.path.as_str();
    let parent = path.rsplit_once('/').and_then(|(parent, _)| object.pointer(parent));
    test.value.is_null() && parent.is_some_and(Value::is_object) && object.pointer(path).is_none()
}
