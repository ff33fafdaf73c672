//! Numbers that a rule cannot read: a real server reads `1.0` as a floating-point number, and its rules expect an integer.

use serde_json::Value;

use crate::registry::structural::node::{Node, Type};

/// The text in place of such a number. No operation on integers takes a text.
const UNREADABLE: &str = "a floating-point number in place of an integer";

/// A copy of the value in which such numbers are replaced, if there are some.
pub(super) fn marked(value: &Value, schema: &Node) -> Option<Value> {
    match value {
        Value::Number(number) if number.is_f64() && schema.types == [Type::Integer] => Some(UNREADABLE.into()),
        Value::Object(map) => {
            let fields: Vec<(&String, Value)> =
                map.iter().filter_map(|(name, value)| Some((name, marked(value, schema.field(name)?)?))).collect();
            let mut copy = (!fields.is_empty()).then(|| map.clone())?;
            copy.extend(fields.into_iter().map(|(name, value)| (name.clone(), value)));
            Some(copy.into())
        }
        Value::Array(list) => {
            let items = schema.items.as_deref()?;
            let replaced: Vec<Option<Value>> = list.iter().map(|item| marked(item, items)).collect();
            let any = replaced.iter().any(Option::is_some);
            any.then(|| list.iter().zip(replaced).map(|(item, new)| new.unwrap_or_else(|| item.clone())).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_floating_point_numbers_in_place_of_integers_are_marked() {
        let schema = Node::parse(&json!({"type": "object", "properties": {
            "size": {"type": "integer"}, "ratio": {"type": "number"}, "list": {"type": "array", "items": {"type": "integer"}},
        }}));
        for (value, expected) in [
            (json!({"size": 1, "ratio": 1.0, "list": [1]}), None),
            (json!({"size": 1.0, "ratio": 1.0}), Some(json!({"size": UNREADABLE, "ratio": 1.0}))),
            (json!({"list": [1, 2.0]}), Some(json!({"list": [1, UNREADABLE]}))),
        ] {
            assert_eq!(marked(&value, &schema), expected, "{value}");
        }
    }
}
