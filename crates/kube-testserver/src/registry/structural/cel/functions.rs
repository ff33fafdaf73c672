//! The functions and types that every rule knows.

use std::sync::{Arc, LazyLock};

use kube_cel::{
    KubeCelExt as _,
    cel::{
        Context, ExecutionError, IdedExpr as Expression, Value,
        common::ast::{CallExpr, Expr},
        extractors::This,
        objects::{Key, Map, Opaque, OptionalValue, ResolveResult},
    },
};

use super::lists;

/// The names of the functions that expressions are rewritten to.
pub(super) const OPTIONAL_FIELD: &str = "@optional_field";
pub(super) const OPTIONAL: &str = "@optional";
pub(super) const PRINTABLE: &str = "@printable";
pub(super) const NEGATED: &str = "@negated";

/// What rules have in common: functions, and types as variables.
pub(super) static COMMON: LazyLock<Context<'static>> = LazyLock::new(|| {
    let mut context = Context::default().with_all();
    context.add_function("dyn", |value: Value| -> ResolveResult { Ok(value) });
    context.add_function("type", |value: Value| -> ResolveResult { Ok(type_value(type_name(&value))) });
    context.add_function("size", size);
    context.add_function(OPTIONAL_FIELD, optional_field);
    context.add_function(OPTIONAL, |value: Value| -> ResolveResult { Ok(optional(value)) });
    context.add_function(PRINTABLE, |value: Value| -> ResolveResult { Ok(printable(value)) });
    context.add_function(NEGATED, negated);
    context.add_function(lists::EQUAL, lists::equal);
    context.add_function(lists::SUM, lists::sum);
    for name in TYPES {
        context.add_variable_from_value(name, type_value(name));
    }
    let types = ["Duration", "Timestamp"];
    let types = types.map(|name| (name, type_value(&format!("google.protobuf.{name}"))));
    context.add_variable_from_value("google", map_of([("protobuf", map_of(types))]));
    context
});

/// The types that have a name of one part.
const TYPES: [&str; 11] =
    ["bool", "bytes", "double", "int", "list", "map", "null_type", "optional_type", "string", "type", "uint"];

/// Whether there is a function with this name; for a function of a library, it includes the library's, as in `sets.contains`.
pub(super) fn is_function(name: &str) -> bool {
    let call = CallExpr { func_name: name.to_owned(), target: None, args: Vec::new() };
    let call = Expression { id: 0, expr: Expr::Call(call) };
    // The functions cannot be listed, but a call of an unknown one fails in a way of its own.
    !matches!(COMMON.resolve(&call), Err(ExecutionError::UndeclaredReference(_)))
}

/// Whether there is a type, or a package of types, with this name.
pub(super) fn is_type(name: &str) -> bool {
    name == "google" || TYPES.contains(&name)
}

/// A type as a value.
#[derive(Debug, PartialEq, Eq)]
struct TypeValue(String);

impl Opaque for TypeValue {
    fn runtime_type_name(&self) -> &'static str {
        "type"
    }
}

fn type_value(name: &str) -> Value {
    Value::Opaque(Arc::new(TypeValue(name.to_owned())))
}

fn map_of<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.into_iter().map(|(name, value)| (Key::String(Arc::new(name.to_owned())), value));
    Value::Map(Map { map: Arc::new(fields.collect()) })
}

fn type_name(value: &Value) -> &str {
    match value {
        Value::List(_) => "list",
        Value::Map(_) => "map",
        Value::Int(_) => "int",
        Value::UInt(_) => "uint",
        Value::Float(_) => "double",
        Value::String(_) => "string",
        Value::Bytes(_) => "bytes",
        Value::Bool(_) => "bool",
        Value::Duration(_) => "google.protobuf.Duration",
        Value::Timestamp(_) => "google.protobuf.Timestamp",
        Value::Null => "null_type",
        Value::Opaque(value) => value.runtime_type_name(),
        Value::Function(..) => "function",
    }
}

/// The size of a value; of a text, in code points.
fn size(This(value): This<Value>) -> ResolveResult {
    let size = match &value {
        Value::List(items) => items.len(),
        Value::Map(map) => map.map.len(),
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        _ => return Err(ExecutionError::NoSuchOverload),
    };
    Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

/// A field that may be missing, of a value that may be missing.
fn optional_field(value: Value, name: Arc<String>) -> ResolveResult {
    let value = match <&OptionalValue>::try_from(&value) {
        Ok(optional) => match optional.value() {
            Some(value) => value.clone(),
            None => return Ok(value),
        },
        Err(_) => value,
    };
    let Value::Map(map) = value else { return Err(ExecutionError::NoSuchOverload) };
    let field = map.map.get(&Key::String(name)).cloned().map_or_else(OptionalValue::none, OptionalValue::of);
    Ok(Value::Opaque(Arc::new(field)))
}

/// An optional value; none for null.
fn optional(value: Value) -> Value {
    let optional = if value == Value::Null { OptionalValue::none() } else { OptionalValue::of(value) };
    Value::Opaque(Arc::new(optional))
}

/// A number with the other sign. The least integer has none.
fn negated(value: Value) -> ResolveResult {
    match value {
        Value::Int(number) => {
            let negated = number.checked_neg().map(Value::Int);
            negated.ok_or(ExecutionError::Overflow("minus", Value::Int(0), value))
        }
        Value::Float(number) => Ok(Value::Float(-number)),
        _ => Err(ExecutionError::NoSuchOverload),
    }
}

/// Times and durations as the texts that a real server makes of them; all else as it is.
fn printable(value: Value) -> Value {
    let text = match &value {
        Value::Timestamp(time) => {
            let text = time.to_rfc3339();
            text.strip_suffix("+00:00").map_or(text.clone(), |utc| format!("{utc}Z"))
        }
        Value::Duration(duration) => format!("{}s", duration.as_seconds_f64()),
        _ => return value,
    };
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_by_their_names() {
        for name in [
            "size",
            "type",
            "dyn",
            "int",
            "string",
            "duration",
            "timestamp",
            "matches",
            "contains",
            "startsWith",
            "value",
            "hasValue",
            "orValue",
            "optional.of",
            "charAt",
            "split",
            "join",
            "format",
            "isSorted",
            "sum",
            "min",
            "max",
            "indexOf",
            "slice",
            "distinct",
            "lists.range",
            "sets.contains",
            "sets.equivalent",
            "find",
            "findAll",
            "url",
            "isURL",
            "getHost",
            "ip",
            "isIP",
            "cidr",
            "containsIP",
            "semver",
            "isSemver",
            "quantity",
            "isQuantity",
            "isGreaterThan",
            "compareTo",
            "format.dns1123Label",
            "format.named",
            "validate",
            "getFullYear",
            "reverse",
        ] {
            assert!(is_function(name), "{name}");
        }
        // A real server has none of the last four for rules of custom resources.
        for name in ["sortBy", "nothing", "math.greatest", "base64.decode", "jsonpatch.escapeKey", "cel.bind"] {
            assert!(!is_function(name), "{name}");
        }
    }
}
