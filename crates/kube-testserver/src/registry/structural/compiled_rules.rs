//! The CEL rules of one node, compiled once.

use serde_json::Value;

use crate::registry::structural::{
    broken::Broken,
    cel::{Evaluation, Expression, Shape, Unusable},
};

/// The rules (`x-kubernetes-validations`) on one value.
#[derive(Debug)]
pub(crate) struct Rules {
    shape: Shape,
    /// The type that the schema names.
    kind: String,
    all: Vec<Rule>,
}

/// A rule as it was declared, and its expressions.
#[derive(Debug)]
struct Rule {
    text: String,
    message: Option<String>,
    reason: Option<String>,
    field_path: String,
    condition: Result<Expression, Unusable>,
    message_expression: Option<Result<Expression, Unusable>>,
}

impl Rule {
    fn parse(declared: &Value, shape: &Shape) -> Self {
        let text = |field: &str| declared[field].as_str().map(|text| text.trim().to_owned());
        let compile = |text: &str| Expression::compile(text, shape, declared["optionalOldSelf"] == true);
        let rule = text("rule").unwrap_or_default();
        Self {
            condition: compile(&rule),
            message_expression: text("messageExpression").map(|text| compile(&text)),
            text: rule,
            message: text("message").filter(|message| !message.is_empty()),
            reason: text("reason"),
            field_path: text("fieldPath").unwrap_or_default().trim_start_matches('.').to_owned(),
        }
    }

    fn broken_by(&self, value: &Evaluation, kind: &str) -> Option<Broken> {
        let condition = self.condition.as_ref().ok()?;
        let name = self.message.as_deref().unwrap_or(&self.text);
        match value.keeps(condition, name) {
            Ok(true) => None,
            Ok(false) => {
                let expression = self.message_expression.as_ref().and_then(|expression| expression.as_ref().ok());
                let message = expression.and_then(|expression| value.message(expression));
                let message = message.or_else(|| self.message.clone());
                Some(Broken {
                    path: self.field_path.clone(),
                    message: message.unwrap_or_else(|| format!("failed rule: {}", self.text)),
                    reason: self.reason.clone(),
                    failed_on: None,
                    always: condition.compares,
                })
            }
            Err(message) => Some(Broken {
                path: String::new(),
                message,
                reason: None,
                failed_on: Some(kind.to_owned()),
                always: true,
            }),
        }
    }

    /// The expressions that cannot be evaluated, with the names of their fields.
    fn unusable(&self) -> impl Iterator<Item = (&'static str, &Unusable)> {
        let condition = self.condition.as_ref().err().map(|why| ("rule", why));
        let message = self.message_expression.as_ref().and_then(|expression| expression.as_ref().err());
        condition.into_iter().chain(message.map(|why| ("messageExpression", why)))
    }
}

impl Rules {
    /// Reads and compiles the rules of a node, if it has some. `is_root` says that it is that of a custom resource.
    pub(crate) fn parse(schema: &Value, is_root: bool) -> Option<Self> {
        let declared = schema["x-kubernetes-validations"].as_array().filter(|rules| !rules.is_empty())?;
        let shape = Shape::parse(schema, is_root);
        let all = declared.iter().map(|rule| Rule::parse(rule, &shape)).collect();
        Some(Self { shape, kind: schema["type"].as_str().unwrap_or_default().to_owned(), all })
    }

    /// What is wrong with the rules themselves: the place of each, the field, and why it does not compile.
    pub(crate) fn problems(&self) -> Vec<(usize, &'static str, String)> {
        let unusable = self.all.iter().enumerate().flat_map(|(at, rule)| rule.unusable().map(move |why| (at, why)));
        unusable
            .filter_map(|(at, (field, why))| match why {
                Unusable::Wrong(why) => Some((at, field, why.clone())),
                Unusable::Unsupported(_) => None,
            })
            .collect()
    }

    /// The place and text of each rule that compiles, and whether it compares with an old value.
    pub(crate) fn compared(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        let rules = self.all.iter().enumerate();
        rules.filter_map(|(at, rule)| Some((at, rule.text.as_str(), rule.condition.as_ref().ok()?.compares)))
    }

    /// The rules that a value breaks. `old` is what it was, where there is such a value.
    pub(crate) fn broken(&self, value: &Value, old: Option<&Value>) -> Vec<Broken> {
        let value = Evaluation::new(value, old, &self.shape);
        self.all.iter().filter_map(|rule| rule.broken_by(&value, &self.kind)).collect()
    }
}

/// What the rules of some versions use of CEL that is missing here.
pub(crate) fn unsupported(versions: &Value) -> Option<String> {
    let schemas = versions.as_array().into_iter().flatten().map(|version| &version["schema"]["openAPIV3Schema"]);
    schemas.into_iter().find_map(|schema| unsupported_in(schema, true))
}

fn unsupported_in(schema: &Value, is_root: bool) -> Option<String> {
    let here = || {
        let rules = Rules::parse(schema, is_root)?;
        let mut unusable = rules.all.iter().flat_map(|rule| rule.unusable().map(move |(_, why)| (rule, why)));
        unusable.find_map(|(rule, why)| match why {
            Unusable::Unsupported(name) => Some(format!("{name} in a CEL rule, {:?}", rule.text)),
            Unusable::Wrong(_) => None,
        })
    };
    match schema {
        Value::Object(map) => here().or_else(|| map.values().find_map(|below| unsupported_in(below, false))),
        Value::Array(list) => list.iter().find_map(|below| unsupported_in(below, false)),
        _ => None,
    }
}
