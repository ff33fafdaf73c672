//! Reads a node from the `OpenAPI` schema of a definition.

use serde_json::Value;

use crate::registry::structural::{
    compiled_rules::Rules,
    node::{Additional, Checks, Limit, ListType, Node, Type},
};

impl Node {
    /// Reads a schema. A schema that is valid is read whole; of others, what is malformed is left out.
    pub(crate) fn parse(schema: &Value) -> Self {
        Self::parse_at(schema, false)
    }

    /// Reads the schema of a custom resource.
    pub(crate) fn of_resource(schema: &Value) -> Self {
        Self::parse_at(schema, true)
    }

    fn parse_at(schema: &Value, is_root: bool) -> Self {
        let flag = |key: &str| schema[key] == true;
        let mut types: Vec<Type> = schema["type"].as_str().and_then(Type::parse).into_iter().collect();
        if flag("x-kubernetes-int-or-string") {
            types = vec![Type::Integer, Type::String];
        }
        let properties = schema["properties"].as_object();
        Self {
            types,
            nullable: flag("nullable"),
            default: schema.get("default").filter(|default| !default.is_null()).cloned(),
            preserves: flag("x-kubernetes-preserve-unknown-fields"),
            embedded: flag("x-kubernetes-embedded-resource"),
            list_type: match schema["x-kubernetes-list-type"].as_str() {
                Some("set") => ListType::Set,
                Some("map") => ListType::Map(texts(&schema["x-kubernetes-list-map-keys"])),
                _ => ListType::Atomic,
            },
            properties: properties
                .into_iter()
                .flatten()
                .map(|(name, field)| (name.clone(), Self::parse(field)))
                .collect(),
            additional: match schema.get("additionalProperties") {
                Some(Value::Bool(true)) => Additional::Any,
                Some(Value::Bool(false)) => Additional::Forbidden,
                Some(of) if of.is_object() => Additional::Of(Box::new(Self::parse(of))),
                _ => Additional::Undeclared,
            },
            items: schema.get("items").map(|items| Box::new(Self::parse(items))),
            checks: Checks::parse(schema),
            rules: Rules::parse(schema, is_root),
        }
    }
}

impl Checks {
    fn parse(schema: &Value) -> Self {
        let count = |key: &str| schema[key].as_u64();
        let limit = |key: &str, exclusive: &str| {
            schema[key].as_f64().map(|value| Limit { value, exclusive: schema[exclusive] == true })
        };
        let nodes =
            |key: &str| -> Vec<Node> { schema[key].as_array().into_iter().flatten().map(Node::parse).collect() };
        Self {
            format: schema["format"].as_str().map(str::to_owned),
            minimum: limit("minimum", "exclusiveMinimum"),
            maximum: limit("maximum", "exclusiveMaximum"),
            multiple_of: schema["multipleOf"].as_f64(),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            pattern: schema["pattern"].as_str().and_then(|pattern| regex::Regex::new(pattern).ok()),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            unique_items: schema["uniqueItems"] == true,
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            required: texts(&schema["required"]),
            allowed: schema["enum"].as_array().cloned(),
            all_of: nodes("allOf"),
            any_of: nodes("anyOf"),
            one_of: nodes("oneOf"),
            not: schema.get("not").map(|not| Box::new(Node::parse(not))),
        }
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| Some(text.as_str()?.to_owned())).collect()
}
