//! Stored objects and a schema that changed since they were written.

use serde_json::Value;

use super::{declared::prune, fill::fill};
use crate::api::object::go_values::whole_numbers;
use crate::registry::view::View;

/// Makes of an object what is read of it once it is stored: nulls that the schema does not allow are not. Returns whether
/// something was stored that is not read.
pub(crate) fn read_back(view: &View, object: &mut Value) -> bool {
    let schema = view.kind.versions[view.version].structural.as_deref();
    let Some(schema) = schema.filter(|_| view.kind.custom) else { return false };
    whole_numbers(object);
    let stored = object.clone();
    fill(object, schema, false);
    stored != *object
}

/// Prunes a stored object and fills in defaults, as the schema says now. What is stored stays as it is.
pub(crate) fn bring_up_to_date(view: &View, object: &mut Value) {
    let schema = view.kind.versions[view.version].structural.as_deref();
    if let Some(schema) = schema.filter(|_| view.kind.custom) {
        prune(object, schema);
        fill(object, schema, false);
    }
}
