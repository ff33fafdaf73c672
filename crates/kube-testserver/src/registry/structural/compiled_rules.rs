//! The CEL rules of one node, compiled once.

use std::fmt;

use kube_cel::{CompiledSchema, ErrorKind, ValidationError, compile_schema};
use serde_json::Value;

use crate::registry::structural::broken::Broken;

/// The rules (`x-kubernetes-validations`) on one value.
pub(crate) struct Rules {
    /// The node's rules, with the types of all that is below it and without the rules there.
    compiled: CompiledSchema,
    texts: Vec<String>,
    /// What each says when it is broken, where that is a plain text.
    messages: Vec<Option<String>>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Rules").field(&self.texts).finish()
    }
}

impl Rules {
    /// Reads and compiles the rules of a node, if it has some.
    pub(crate) fn parse(schema: &Value) -> Option<Self> {
        let declared = schema["x-kubernetes-validations"].as_array().filter(|rules| !rules.is_empty())?;
        let mut compiled = compile_schema(&with_plain_old_values(schema));
        let below = compiled.properties.values_mut().chain(compiled.items.as_deref_mut());
        below.chain(compiled.additional_properties.as_deref_mut()).for_each(without_rules);
        for branches in [&mut compiled.all_of, &mut compiled.one_of, &mut compiled.any_of] {
            branches.clear();
        }
        let texts = declared.iter().filter_map(|rule| Some(rule["rule"].as_str()?.to_owned())).collect();
        let messages = declared.iter().map(|rule| rule["message"].as_str().map(str::to_owned)).collect();
        Some(Self { compiled, texts, messages })
    }

    /// What is wrong with the rules themselves: the place of each, and why it does not compile.
    pub(crate) fn problems(&self) -> Vec<(usize, String)> {
        let results = self.compiled.validations.iter().enumerate();
        results.filter_map(|(at, result)| Some((at, result.as_ref().err()?.to_string()))).collect()
    }

    /// The text of the rule at this place.
    pub(crate) fn text(&self, at: usize) -> &str {
        self.texts.get(at).map_or("", String::as_str)
    }

    /// The rules that a value breaks in which some numbers cannot be read.
    pub(crate) fn broken_of_unreadable(&self, value: &Value, old: Option<&Value>) -> Vec<Broken> {
        self.evaluate(value, old, |error| {
            let at = self.texts.iter().position(|text| *text == error.rule);
            let message = at.and_then(|at| self.messages.get(at)?.as_deref()).unwrap_or(&error.rule);
            format!("invalid data, expected int, got float64 evaluating rule: {message}")
        })
    }

    /// The rules that a value breaks. `old` is what it was, where there is such a value.
    pub(crate) fn broken(&self, value: &Value, old: Option<&Value>) -> Vec<Broken> {
        self.evaluate(value, old, |error| error.message.trim().to_owned())
    }

    /// `describe` says why a rule cannot be evaluated.
    fn evaluate(
        &self,
        value: &Value,
        old: Option<&Value>,
        describe: impl Fn(&ValidationError) -> String,
    ) -> Vec<Broken> {
        let Err(errors) = kube_cel::validate_compiled(&self.compiled, value, old) else { return Vec::new() };
        errors
            .into_vec()
            .into_iter()
            .map(|error| {
                // The path and the reason of a rule are for a value that breaks it, not for a rule that cannot be
                // evaluated.
                let broken = error.kind == ErrorKind::ValidationFailure;
                Broken {
                    path: if broken { error.field_path.trim_start_matches('.').to_owned() } else { String::new() },
                    reason: error.reason.clone().filter(|_| broken),
                    message: if broken { error.message.trim().to_owned() } else { describe(&error) },
                    compares: error.rule.contains("oldSelf"),
                }
            })
            .collect()
    }
}

/// The schema with the rules of its own node rewritten for `kube-cel`, to which an optional old value is one that may be null.
fn with_plain_old_values(schema: &Value) -> Value {
    let mut schema = schema.clone();
    let rules = schema["x-kubernetes-validations"].as_array_mut();
    for rule in rules.into_iter().flatten().filter(|rule| rule["optionalOldSelf"] == true) {
        for field in ["rule", "messageExpression"] {
            if let Some(text) = rule[field].as_str().map(plain_old_value) {
                rule[field] = text.into();
            }
        }
    }
    schema
}

fn plain_old_value(text: &str) -> String {
    text.replace("oldSelf.hasValue()", "(oldSelf != null)").replace("oldSelf.value()", "oldSelf")
}

/// Whether the rules of a schema, at any depth, use an optional old value in a way that is not supported here.
pub(crate) fn has_unsupported_optional(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => {
            let rules = map.get("x-kubernetes-validations").and_then(Value::as_array);
            let unsupported = |rule: &Value| {
                let text = |field: &str| rule[field].as_str().unwrap_or_default();
                rule["optionalOldSelf"] == true
                    && ["rule", "messageExpression"].into_iter().any(|field| {
                        let rest = text(field).replace("oldSelf.hasValue()", "").replace("oldSelf.value()", "");
                        rest.contains("oldSelf")
                    })
            };
            rules.is_some_and(|rules| rules.iter().any(unsupported)) || map.values().any(has_unsupported_optional)
        }
        Value::Array(list) => list.iter().any(has_unsupported_optional),
        _ => false,
    }
}

fn without_rules(schema: &mut CompiledSchema) {
    schema.validations.clear();
    let below = schema.properties.values_mut().chain(schema.items.as_deref_mut());
    below.chain(schema.additional_properties.as_deref_mut()).for_each(without_rules);
}
