//! Fields that a custom resource has and its schema does not declare, and the answer to a client that asked for
//! `fieldValidation`.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use serde_json::Value;

use crate::{
    api::object::schema,
    registry::{structural::node::Node, view::View},
    wire::{
        query::FieldValidation,
        status::{Cause, Status},
    },
};

fn schema(view: &View) -> Option<&Node> {
    view.kind.versions[view.version].structural.as_deref()
}

/// Removes the undeclared fields of an object. Returns those to warn of.
///
/// # Errors
/// What is wrong with them, where the client wants to know.
fn prune(view: &View, validation: FieldValidation, object: &mut Value) -> Result<Vec<String>, String> {
    let found = schema(view).map(|schema| schema::prune(object, schema)).unwrap_or_default();
    match validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Strict if !found.is_empty() => Err(complaint(&found)),
        FieldValidation::Strict | FieldValidation::Warn => Ok(found),
    }
}

/// Removes or refuses the undeclared fields of an object that a client sends, and returns those to warn of.
pub(crate) fn check(view: &View, validation: FieldValidation, object: &mut Value) -> Result<Vec<String>, Status> {
    prune(view, validation, object).map_err(|complaint| {
        let (kind, version) = (&view.kind.kind, &view.kind.versions[view.version].name);
        Status::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {complaint}"))
    })
}

/// The same for what a patch made.
pub(crate) fn check_patched(
    view: &View,
    validation: FieldValidation,
    patched: &mut Value,
) -> Result<Vec<String>, Status> {
    // Only strict validation makes an error, which shows the object as it was sent.
    let sent = if validation == FieldValidation::Strict { patched.to_string() } else { String::new() };
    prune(view, validation, patched).map_err(|complaint| refused_patch(&sent, &complaint))
}

/// 422 for a patch that makes an object which cannot be read.
pub(crate) fn refused_patch(patched: &str, complaint: &str) -> Status {
    Status::invalid("", "", "", &[Cause::invalid("patch", patched, complaint)])
}

/// Adds a `Warning` header for each undeclared field.
pub(crate) fn warn(mut answer: Response<Bytes>, paths: &[String]) -> Response<Bytes> {
    for path in paths {
        let quoted = describe(path).replace('\\', "\\\\").replace('"', "\\\"");
        // There is no warning for a name that a header cannot contain.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_quoted() {
        let answer = warn(Response::new(Bytes::new()), &["spec.a".to_owned(), "b".to_owned()]);
        let warnings: Vec<&HeaderValue> = answer.headers().get_all(header::WARNING).iter().collect();
        assert_eq!(warnings, [r#"299 - "unknown field \"spec.a\"""#, r#"299 - "unknown field \"b\"""#]);
    }
}
