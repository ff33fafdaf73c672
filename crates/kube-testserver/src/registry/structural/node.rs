//! One node of a structural schema: the structure of a value, and the checks on it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::registry::structural::compiled_rules::Rules;

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Array,
    Boolean,
    Integer,
    Number,
    Object,
    String,
}

impl Type {
    /// The type with this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "array" => Self::Array,
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "object" => Self::Object,
            "string" => Self::String,
            _ => return None,
        })
    }

    /// Its name in a schema.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Array => "array",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Object => "object",
            Self::String => "string",
        }
    }

    /// Whether a value has this type. A number without a fraction is an integer too.
    pub(crate) fn admits(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Integer, Value::Number(number)) => {
                // Beyond 53 bits, a number that is no `int64` has no exact value.
                let is_whole = |number: f64| number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0;
                number.is_i64() || number.as_f64().is_some_and(is_whole)
            }
            (Self::Array, Value::Array(_))
            | (Self::Boolean, Value::Bool(_))
            | (Self::Number, Value::Number(_))
            | (Self::Object, Value::Object(_))
            | (Self::String, Value::String(_)) => true,
            _ => false,
        }
    }

    /// What error messages call the type of a value.
    pub(crate) fn name_of(value: &Value) -> &'static str {
        match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_i64() => "integer",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        }
    }
}

/// How the items of a list relate to each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum ListType {
    /// They do not.
    #[default]
    Atomic,
    /// Each value is there once.
    Set,
    /// The values of these fields are there once.
    Map(Vec<String>),
}

/// What the entries of a map are that no property names.
#[derive(Debug, Default)]
pub(crate) enum Additional {
    /// They are not declared.
    #[default]
    Undeclared,
    /// They may not be declared either.
    Forbidden,
    /// Anything.
    Any,
    /// Values of this schema.
    Of(Box<Node>),
}

/// The schema of one value and of all that is in it.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) types: Vec<Type>,
    pub(crate) nullable: bool,
    pub(crate) default: Option<Value>,
    /// Undeclared fields are kept.
    pub(crate) preserves: bool,
    /// The value is a whole object, with `apiVersion`, `kind` and `metadata`.
    pub(crate) embedded: bool,
    pub(crate) list_type: ListType,
    pub(crate) properties: BTreeMap<String, Node>,
    pub(crate) additional: Additional,
    pub(crate) items: Option<Box<Node>>,
    pub(crate) checks: Checks,
    pub(crate) rules: Option<Rules>,
}

/// The checks on a value of any type; most of them apply to one type only.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) format: Option<String>,
    pub(crate) minimum: Option<Limit>,
    pub(crate) maximum: Option<Limit>,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) min_length: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) pattern: Option<regex::Regex>,
    pub(crate) min_items: Option<u64>,
    pub(crate) max_items: Option<u64>,
    pub(crate) unique_items: bool,
    pub(crate) min_properties: Option<u64>,
    pub(crate) max_properties: Option<u64>,
    pub(crate) required: Vec<String>,
    pub(crate) allowed: Option<Vec<Value>>,
    pub(crate) all_of: Vec<Node>,
    pub(crate) any_of: Vec<Node>,
    pub(crate) one_of: Vec<Node>,
    pub(crate) not: Option<Box<Node>>,
}

/// A limit of a number, and whether it is excluded itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limit {
    pub(crate) value: f64,
    pub(crate) exclusive: bool,
}

impl Node {
    /// The schema of a field or map entry, if it is declared and not free.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or(match &self.additional {
            Additional::Of(node) => Some(node),
            Additional::Any | Additional::Forbidden | Additional::Undeclared => None,
        })
    }

    /// Whether the value is null where the schema allows none.
    pub(crate) fn is_wrong_null(&self, value: &Value) -> bool {
        value.is_null() && !self.nullable
    }

    /// Whether a rule is declared here or further down.
    pub(crate) fn has_rules(&self) -> bool {
        self.rules.is_some()
            || self.properties.values().any(Self::has_rules)
            || self.items.as_deref().is_some_and(Self::has_rules)
            || matches!(&self.additional, Additional::Of(node) if node.has_rules())
    }
}
