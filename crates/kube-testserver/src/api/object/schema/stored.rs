//! Stored objects and their schemas: they are read by the schema of the version that they are stored in, as it is now, and then
//! by that of the version that is asked for.

use serde_json::Value;

use super::{declared::prune, fill::fill};
use crate::api::object::go_values::whole_numbers;
use crate::registry::{structural::node::Node, view::View};

/// Makes of an object what is read of it once it is stored: without nulls that the schema does not allow, and without what only
/// another version declares. Returns whether something was stored that is not read.
pub(crate) fn read_back(view: &View, object: &mut Value) -> bool {
    let Some(schema) = of_storage(view) else { return false };
    whole_numbers(object);
    let stored = object.clone();
    read(object, schema);
    stored != *object
}

/// Prunes a stored object and fills in defaults, as the schemas say now. What is stored stays as it is.
pub(crate) fn bring_up_to_date(view: &View, object: &mut Value) {
    if let Some(schema) = of_storage(view) {
        read(object, schema);
    }
    if let Some(schema) = of_version(view, view.version).filter(|_| !view.is_storage_form()) {
        prune(object, schema);
    }
}

fn read(object: &mut Value, schema: &Node) {
    prune(object, schema);
    fill(object, schema, false);
}

fn of_storage(view: &View) -> Option<&Node> {
    of_version(view, view.kind.versions.iter().position(|version| version.storage)?)
}

fn of_version(view: &View, version: usize) -> Option<&Node> {
    view.kind.versions[version].structural.as_deref().filter(|_| view.kind.custom)
}
