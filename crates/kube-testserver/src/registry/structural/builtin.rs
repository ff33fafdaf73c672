//! Schemas of kinds that no definition defines, in the form of a definition's schema.
//!
//! To add a kind, put its schema into a file and name it here. A kind without one keeps every field that it is sent.

use std::sync::LazyLock;

use serde_json::Value;

use crate::registry::structural::node::Node;

static OBJECT_META: LazyLock<Node> = LazyLock::new(|| Node::parse(&object_meta_schema()));

/// The parsed schema of the metadata of every object.
pub(crate) fn object_meta() -> &'static Node {
    &OBJECT_META
}

/// The schema of the metadata of every object.
pub(crate) fn object_meta_schema() -> Value {
    parse(include_str!("builtin/object_meta.json"))
}

/// The schema of a kind in version `v1` of its group, if it is known here.
pub(crate) fn of_core(kind: &str) -> Option<Value> {
    Some(parse(match kind {
        "ConfigMap" => include_str!("builtin/config_map.json"),
        "Lease" => include_str!("builtin/lease.json"),
        "Secret" => include_str!("builtin/secret.json"),
        _ => return None,
    }))
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("the schemas next to this file are JSON, see the test")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_declares_fields() {
        assert!(object_meta().field("labels").is_some());
        for kind in ["ConfigMap", "Lease", "Secret"] {
            let node = Node::parse(&of_core(kind).unwrap());
            assert!(!node.properties.is_empty() && node.field("other").is_none(), "{kind}");
        }
        assert!(of_core("Pod").is_none());
    }
}
