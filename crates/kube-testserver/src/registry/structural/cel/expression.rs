//! Expressions: compiled once, evaluated on many values.

use std::sync::Arc;

use kube_cel::cel::{self, Context, Value as Cel, objects::OptionalValue, parser::Parser};
use serde_json::Value;

use super::{depth, errors, functions::COMMON, rewrite::Scope, shape::Shape, unusable::Unusable, values};

/// A rule, or the expression of its message.
#[derive(Debug)]
pub(crate) struct Expression {
    compiled: cel::IdedExpr,
    depth: usize,
    /// It names `oldSelf`.
    pub(crate) compares: bool,
    has_optional_old: bool,
}

impl Expression {
    /// Compiles an expression on values of this shape. `has_optional_old` says that `oldSelf` is an optional value.
    pub(crate) fn compile(text: &str, shape: &Shape, has_optional_old: bool) -> Result<Self, Unusable> {
        if text.len() > depth::LONGEST {
            return Err(Unusable::Unsupported(format!("an expression of more than {} bytes", depth::LONGEST)));
        }
        let compiled = depth::on_large_stack(|| Self::compile_here(text, shape, has_optional_old));
        compiled.unwrap_or_else(|| Err(Unusable::Unsupported("an expression that its library cannot read".to_owned())))
    }

    fn compile_here(text: &str, shape: &Shape, has_optional_old: bool) -> Result<Self, Unusable> {
        let parsed = Parser::default().enable_optional_syntax(true).parse(text);
        let mut compiled = parsed.map_err(|error| Unusable::Wrong(error.to_string()))?;
        let depth = depth::of(&compiled);
        if depth > depth::DEEPEST {
            return Err(Unusable::Wrong("ERROR: <input>:-1:0: max recursion depth exceeded".to_owned()));
        }
        let compares = compiled.references().has_variable("oldSelf");
        Scope::of_rule(shape, has_optional_old).rewrite(&mut compiled)?;
        Ok(Self { compiled, depth, compares, has_optional_old })
    }
}

/// A value and what it was, as rules see them.
pub(crate) struct Evaluation {
    value: Cel,
    old: Option<Cel>,
    unreadable: Option<String>,
}

impl Evaluation {
    /// Converts a value, and what it was where there is such a value.
    pub(crate) fn new(value: &Value, old: Option<&Value>, shape: &Shape) -> Self {
        let mut unreadable = None;
        let value = values::convert(value, shape, &mut unreadable);
        // A part of the old value that cannot be read is no error.
        let old = old.filter(|old| !old.is_null()).map(|old| values::convert(old, shape, &mut None));
        Self { value, old, unreadable }
    }

    /// Whether the value keeps a rule. A rule on an old value is kept where there is none, unless it may be missing.
    ///
    /// # Errors
    /// Why the rule cannot be evaluated, with its `name`.
    pub(crate) fn keeps(&self, rule: &Expression, name: &str) -> Result<bool, String> {
        if rule.compares && self.old.is_none() && !rule.has_optional_old {
            return Ok(true);
        }
        match (self.evaluate(rule), &self.unreadable) {
            (Ok(Cel::Bool(true)), _) => Ok(true),
            (_, Some(why)) => Err(errors::evaluating(why, name)),
            (Ok(Cel::Bool(false)), None) => Ok(false),
            (Ok(_), None) => Err(errors::described(&cel::ExecutionError::NoSuchOverload, name)),
            (Err(error), None) => Err(errors::described(&error, name)),
        }
    }

    /// The message that an expression makes, if it makes one.
    pub(crate) fn message(&self, expression: &Expression) -> Option<String> {
        let Ok(Cel::String(text)) = self.evaluate(expression) else { return None };
        let text = text.trim();
        (!text.is_empty() && !text.contains('\n')).then(|| text.to_owned())
    }

    fn evaluate(&self, expression: &Expression) -> cel::ResolveResult {
        let mut scope: Context<'_> = COMMON.new_inner_scope();
        scope.add_variable_from_value("self", self.value.clone());
        if expression.has_optional_old {
            let old = self.old.clone().map_or_else(OptionalValue::none, OptionalValue::of);
            scope.add_variable_from_value("oldSelf", Cel::Opaque(Arc::new(old)));
        } else if let Some(old) = &self.old {
            scope.add_variable_from_value("oldSelf", old.clone());
        }
        if expression.depth <= depth::SHALLOW {
            return scope.resolve(&expression.compiled);
        }
        let resolved = depth::on_large_stack(|| scope.resolve(&expression.compiled));
        resolved.unwrap_or(Err(cel::ExecutionError::NoSuchOverload))
    }
}
