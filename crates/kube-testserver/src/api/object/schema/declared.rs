//! Fields that a schema does not declare: they are removed from an object, and named.

use std::sync::LazyLock;

use serde_json::Value;

use super::path::Path;
use crate::registry::structural::{
    builtin,
    node::{Additional, Node},
};

/// A schema that declares nothing.
static NOTHING: LazyLock<Node> = LazyLock::new(Node::default);

/// Removes the undeclared fields of an object and returns their paths, sorted. What was below one is not listed.
pub(crate) fn prune(object: &mut Value, schema: &Node) -> Vec<String> {
    let mut found = Vec::new();
    walk(object, schema, true, Path::Root, &mut found);
    found.sort();
    found
}

/// [`prune`], for a value within an object.
pub(super) fn prune_part(value: &mut Value, schema: &Node) -> Vec<String> {
    let mut found = Vec::new();
    walk(value, schema, schema.embedded, Path::Root, &mut found);
    found
}

fn walk(value: &mut Value, schema: &Node, resource: bool, path: Path<'_>, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.retain(|name, value| {
            let path = Path::Field(&path, name);
            if resource && matches!(name.as_str(), "apiVersion" | "kind") {
                return true;
            }
            if resource && name == "metadata" {
                walk(value, builtin::object_meta(), false, path, found);
                return true;
            }
            if let Some(below) = schema.field(name) {
                walk(value, below, below.embedded, path, found);
                return true;
            }
            let kept = matches!(schema.additional, Additional::Any) || schema.preserves;
            if !kept {
                let path = path.to_string();
                found.push(path.strip_prefix('.').map_or_else(|| path.clone(), str::to_owned));
            }
            kept
        }),
        Value::Array(list) => {
            if schema.items.is_none() && schema.preserves {
                return;
            }
            let items = schema.items.as_deref().unwrap_or(&NOTHING);
            for (at, item) in list.iter_mut().enumerate() {
                walk(item, items, items.embedded, Path::Index(&path, at), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_schema_does_not_declare_goes() {
        let text = json!({"type": "string"});
        let schema = Node::parse(&json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "size": {"type": "integer"},
                "parts": {"type": "array", "items": {"type": "object", "properties": {"name": text}}},
                "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": text}}},
                "any": {"type": "object", "additionalProperties": true},
                "bare": {"type": "object"},
                "free": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    "properties": {"inner": {"type": "object", "properties": {"a": text}}},
                },
                "template": {
                    "type": "object", "x-kubernetes-embedded-resource": true,
                    "properties": {"spec": {"type": "object", "properties": {"a": text}}},
                },
            }},
        }}));
        for (spec, kept, expected) in [
            (json!({"size": 1, "map": {"k": {"a": "1"}}}), json!({"size": 1, "map": {"k": {"a": "1"}}}), vec![]),
            (json!({"any": {"k": {"v": 1}}}), json!({"any": {"k": {"v": 1}}}), vec![]),
            (json!({"sizee": 1, "other": {"deep": 1}}), json!({}), vec!["spec.other", "spec.sizee"]),
            (
                json!({"parts": [{"name": "a"}, {"nam": "b"}]}),
                json!({"parts": [{"name": "a"}, {}]}),
                vec!["spec.parts[1].nam"],
            ),
            (json!({"map": {"k": {"b": "1"}}}), json!({"map": {"k": {}}}), vec!["spec.map.k.b"]),
            (json!({"bare": {"a": 1}}), json!({"bare": {}}), vec!["spec.bare.a"]),
            (
                json!({"free": {"x": {"y": 1}, "list": [{"z": 1}], "inner": {"b": "1"}}}),
                json!({"free": {"x": {"y": 1}, "list": [{"z": 1}], "inner": {}}}),
                vec!["spec.free.inner.b"],
            ),
            (
                json!({"template": {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a", "nam": 1}, "spec": {"b": 1}}}),
                json!({"template": {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}, "spec": {}}}),
                vec!["spec.template.metadata.nam", "spec.template.spec.b"],
            ),
            (json!("not even a map"), json!("not even a map"), vec![]),
        ] {
            let mut object = json!({"apiVersion": "a/v1", "kind": "A", "metadata": {"name": "a"}, "spec": spec});
            assert_eq!(prune(&mut object, &schema), expected, "{object}");
            assert_eq!(object["spec"], kept);
        }
    }
}
