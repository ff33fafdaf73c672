//! Values as a rule sees them: converted by their schema.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kube_cel::cel::{
    Value as Cel, functions,
    objects::{Key, Map, Opaque},
};
use serde_json::{Number, Value};

use super::{
    names::escaped,
    shape::{Form, Format, Shape},
};
use crate::registry::go_types::go_type;

/// A value that does not have the type that its schema says. No function takes it.
#[derive(Debug, PartialEq, Eq)]
struct Unreadable;

impl Opaque for Unreadable {
    fn runtime_type_name(&self) -> &'static str {
        "error"
    }
}

/// Converts a value. `unreadable` says why a part of it could not be.
pub(super) fn convert(value: &Value, shape: &Shape, unreadable: &mut Option<String>) -> Cel {
    let mut refuse = |why: String| {
        unreadable.get_or_insert(why);
        Cel::Opaque(Arc::new(Unreadable))
    };
    let mistyped = |wanted: &str| format!("invalid data, expected {wanted}, got {}", go_type(value));
    match (&shape.form, value) {
        (Form::Any, value) => plain(value),
        (_, Value::Null) if shape.nullable => Cel::Null,
        (_, Value::Null) => refuse("invalid data, got null for schema with nullable=false".to_owned()),
        (Form::IntOrString, Value::String(text)) => self::text(text.clone()),
        (Form::IntOrString | Form::Integer, Value::Number(number)) if number.is_i64() => int_or_float(number),
        (Form::IntOrString, _) => {
            refuse("invalid data, expected XIntOrString value to be either a string or integer".to_owned())
        }
        (Form::Integer, _) => refuse(mistyped("int")),
        (Form::Number, Value::Number(number)) => Cel::Float(number.as_f64().unwrap_or_default()),
        (Form::Number, _) => refuse(mistyped("float")),
        (Form::Boolean, Value::Bool(value)) => Cel::Bool(*value),
        (Form::Boolean, _) => refuse(mistyped("bool")),
        (Form::Text(format), Value::String(text)) => formatted(text, *format).unwrap_or_else(refuse),
        (Form::Text(_), _) => refuse(mistyped("string")),
        (Form::List(items, _), Value::Array(list)) => {
            Cel::List(Arc::new(list.iter().map(|item| convert(item, items, unreadable)).collect()))
        }
        (Form::List(..), _) => {
            refuse("invalid data, expected an array for the provided schema with type=array".to_owned())
        }
        // A field that is null is missing.
        (Form::Object(fields), Value::Object(map)) => {
            collect(map.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| {
                let field = fields.get(name).map(|shape| convert(value, shape, unreadable));
                (escaped(name), field.unwrap_or_else(|| plain(value)))
            }))
        }
        (Form::Map(entries), Value::Object(map)) => {
            collect(map.iter().map(|(name, value)| (name.clone(), convert(value, entries, unreadable))))
        }
        (Form::Object(_) | Form::Map(_), _) => {
            refuse("invalid data, expected a map for the provided schema with type=object".to_owned())
        }
    }
}

fn text(text: String) -> Cel {
    Cel::String(Arc::new(text))
}

fn collect(fields: impl Iterator<Item = (String, Cel)>) -> Cel {
    let map: HashMap<Key, Cel> = fields.map(|(name, value)| (Key::String(Arc::new(name)), value)).collect();
    Cel::Map(Map { map: Arc::new(map) })
}

fn int_or_float(number: &Number) -> Cel {
    number.as_i64().map_or_else(|| Cel::Float(number.as_f64().unwrap_or_default()), Cel::Int)
}

/// Converts a value of which the schema says nothing.
fn plain(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::Number(number) => int_or_float(number),
        Value::String(value) => text(value.clone()),
        Value::Array(list) => Cel::List(Arc::new(list.iter().map(plain).collect())),
        Value::Object(map) => collect(map.iter().map(|(name, value)| (name.clone(), plain(value)))),
    }
}

fn formatted(value: &str, format: Format) -> Result<Cel, String> {
    let shared = || Arc::new(value.to_owned());
    match format {
        Format::Plain => Ok(text(value.to_owned())),
        Format::Bytes => STANDARD
            .decode(value)
            .map(|bytes| Cel::Bytes(Arc::new(bytes)))
            .map_err(|error| format!("Invalid byte formatted string {value}: {error}")),
        Format::Date => functions::time::timestamp(Arc::new(format!("{value}T00:00:00Z")))
            .map_err(|error| format!("Invalid date formatted string {value}: {error}")),
        Format::DateTime => functions::time::timestamp(shared())
            .map_err(|error| format!("Invalid date-time formatted string {value}: {error}")),
        Format::Duration => {
            functions::time::duration(shared()).map_err(|error| format!("Invalid duration {value}: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_converted_by_its_schema() {
        let schema = |schema: Value| Shape::parse(&schema, false);
        for (value, shape, expected) in [
            (json!(1), schema(json!({"type": "integer"})), Cel::Int(1)),
            (json!(1), schema(json!({"type": "number"})), Cel::Float(1.0)),
            (json!(null), schema(json!({"type": "string", "nullable": true})), Cel::Null),
            (json!("aGk="), schema(json!({"type": "string", "format": "byte"})), Cel::Bytes(Arc::new(b"hi".to_vec()))),
            (json!(5), schema(json!({"x-kubernetes-int-or-string": true})), Cel::Int(5)),
            (json!("5%"), schema(json!({"x-kubernetes-int-or-string": true})), text("5%".to_owned())),
        ] {
            let mut unreadable = None;
            assert_eq!((convert(&value, &shape, &mut unreadable), unreadable), (expected, None), "{value}");
        }
    }

    #[test]
    fn a_value_of_another_type_is_unreadable() {
        for (value, schema, expected) in [
            (json!(1.5), json!({"type": "integer"}), "invalid data, expected int, got float64"),
            (json!({}), json!({"type": "string"}), "invalid data, expected string, got map[string]interface {}"),
            (
                json!([null]),
                json!({"type": "array", "items": {"type": "string"}}),
                "invalid data, got null for schema with nullable=false",
            ),
        ] {
            let mut unreadable = None;
            convert(
                &json!({"a": value}),
                &Shape::parse(&json!({"type": "object", "properties": {"a": schema}}), false),
                &mut unreadable,
            );
            assert_eq!(unreadable.as_deref(), Some(expected), "{value}");
        }
    }
}
