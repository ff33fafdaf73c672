//! Whether the defaults of a schema are valid by the schema itself.

use super::{cel_rules, check, declared::prune_part, embedded};
use crate::{registry::structural::node::Node, wire::status::Cause};

/// What is wrong with the defaults in a schema at `path`.
pub(crate) fn default_problems(schema: &Node, path: &str, causes: &mut Vec<Cause>) {
    if let Some(default) = &schema.default {
        let path = format!("{path}.default");
        let mut pruned = default.clone();
        if !prune_part(&mut pruned, schema).is_empty() {
            causes.push(Cause::invalid_raw(path.clone(), &default.to_string(), "must not have unknown fields"));
        }
        let before = causes.len();
        embedded::problems(default, schema, &path, causes);
        if causes.len() == before {
            check::check_part(default, None, schema, &path, causes);
        }
        if causes.len() == before {
            cel_rules::broken(default, None, schema, &path, causes);
        }
    }
    if let Some(items) = &schema.items {
        default_problems(items, &format!("{path}.items"), causes);
    }
    for (name, field) in &schema.properties {
        default_problems(field, &format!("{path}.properties[{name}]"), causes);
    }
}
