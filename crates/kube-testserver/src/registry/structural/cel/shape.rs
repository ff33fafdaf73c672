//! The types that a schema gives to values, as far as a rule can tell them apart.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::registry::structural::keywords::{EMBEDDED, INT_OR_STRING};

/// The type of a value and of all that is in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    pub(super) nullable: bool,
    pub(super) form: Form,
}

/// What a value is.
#[derive(Debug, Clone, Default)]
pub(super) enum Form {
    /// The schema does not say.
    #[default]
    Any,
    IntOrString,
    Boolean,
    Integer,
    Number,
    Text(Format),
    /// Rules select its fields by their escaped names, and no others.
    Object(BTreeMap<String, Shape>),
    /// Its keys are data.
    Map(Box<Shape>),
    List(Box<Shape>, Identity),
}

/// What a text is to a rule.
#[derive(Debug, Clone, Copy)]
pub(super) enum Format {
    Plain,
    Bytes,
    Date,
    DateTime,
    Duration,
}

/// What makes two items of a list the same.
#[derive(Debug, Clone)]
pub(super) enum Identity {
    /// Their place.
    Place,
    /// Their value: the list is a set.
    Value,
    /// The values of these fields, by their escaped names: the list is a map.
    Keys(Vec<String>),
}

impl Shape {
    /// Reads a schema. `is_root` says that it is that of a custom resource.
    pub(crate) fn parse(schema: &Value, is_root: bool) -> Self {
        let mut form = if schema[INT_OR_STRING] == true { Form::IntOrString } else { Form::parse(schema) };
        if let Form::Object(fields) = &mut form
            && (is_root || schema[EMBEDDED] == true)
        {
            fields.extend(inherent());
        }
        Self { nullable: schema["nullable"] == true, form }
    }

    fn below(schema: &Value) -> Self {
        Self::parse(schema, false)
    }

    fn text() -> Self {
        Self { nullable: false, form: Form::Text(Format::Plain) }
    }
}

/// What rules know of every object: its type, and of its metadata the names.
fn inherent() -> [(String, Shape); 3] {
    let names = ["name", "generateName"].map(|name| (name.to_owned(), Shape::text()));
    let metadata = Shape { nullable: false, form: Form::Object(names.into()) };
    [("apiVersion", Shape::text()), ("kind", Shape::text()), ("metadata", metadata)]
        .map(|(name, shape)| (name.to_owned(), shape))
}

impl Form {
    fn parse(schema: &Value) -> Self {
        match schema["type"].as_str() {
            Some("boolean") => Self::Boolean,
            Some("integer") => Self::Integer,
            Some("number") => Self::Number,
            Some("string") => Self::Text(match schema["format"].as_str() {
                Some("byte") => Format::Bytes,
                Some("date") => Format::Date,
                Some("date-time") => Format::DateTime,
                Some("duration") => Format::Duration,
                _ => Format::Plain,
            }),
            Some("array") => Self::List(Box::new(Shape::below(&schema["items"])), Identity::parse(schema)),
            Some("object") if schema["additionalProperties"].is_object() => {
                Self::Map(Box::new(Shape::below(&schema["additionalProperties"])))
            }
            Some("object") => {
                let fields = schema["properties"].as_object().into_iter().flatten();
                Self::Object(fields.map(|(name, field)| (name.clone(), Shape::below(field))).collect())
            }
            _ => Self::Any,
        }
    }
}

impl Identity {
    fn parse(schema: &Value) -> Self {
        match schema["x-kubernetes-list-type"].as_str() {
            Some("set") => Self::Value,
            Some("map") => {
                let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
                Self::Keys(keys.filter_map(|key| key.as_str().map(super::names::escaped)).collect())
            }
            _ => Self::Place,
        }
    }
}
