//! Defaults of a schema.

use serde_json::Value;

use crate::registry::structural::node::Node;

/// Fills in defaults, also in place of nulls that the schema does not allow. Such nulls without a default go, unless they are
/// to be kept: what is applied keeps them, and is refused for them.
pub(crate) fn fill(value: &mut Value, schema: &Node, keeps_nulls: bool) {
    match value {
        Value::Object(map) => {
            for (name, field) in &schema.properties {
                if let Some(default) = &field.default
                    && map.get(name).is_none_or(|value| field.is_wrong_null(value))
                {
                    map.insert(name.clone(), default.clone());
                }
            }
            map.retain(|name, value| {
                let Some(below) = schema.field(name) else { return true };
                if below.is_wrong_null(value) {
                    match &below.default {
                        Some(default) => *value = default.clone(),
                        None => return keeps_nulls,
                    }
                }
                fill(value, below, keeps_nulls);
                true
            });
        }
        Value::Array(list) => {
            let Some(items) = &schema.items else { return };
            for item in list {
                if let Some(default) = items.default.as_ref().filter(|_| items.is_wrong_null(item)) {
                    *item = default.clone();
                }
                fill(item, items, keeps_nulls);
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
    fn defaults_replace_what_is_missing_and_nulls_that_are_not_allowed() {
        let schema = Node::parse(&json!({"type": "object", "properties": {
            "mode": {"type": "string", "default": "a"},
            "maybe": {"type": "string", "nullable": true, "default": "m"},
            "plain": {"type": "string"},
            "nested": {"type": "object", "default": {}, "properties": {"level": {"type": "string", "default": "low"}}},
            "ports": {"type": "array", "items": {"type": "object", "properties": {"port": {"type": "integer", "default": 80}}}},
        }}));
        for (given, expected) in [
            (json!({}), json!({"mode": "a", "maybe": "m", "nested": {"level": "low"}})),
            (
                json!({"mode": null, "maybe": null, "plain": null, "nested": {"level": "high"}}),
                json!({"mode": "a", "maybe": null, "nested": {"level": "high"}}),
            ),
            (
                json!({"mode": "b", "maybe": "x", "ports": [{}, {"port": 1}]}),
                json!({"mode": "b", "maybe": "x", "nested": {"level": "low"}, "ports": [{"port": 80}, {"port": 1}]}),
            ),
        ] {
            let mut value = given;
            fill(&mut value, &schema, false);
            assert_eq!(value, expected);
        }
    }
}
