//! What is checked and changed in a parsed expression before it is evaluated.
//!
//! Names that are not known are found here, so that a definition is refused and not each of its objects. Operators that the
//! library does otherwise than a real server become calls of functions of this folder.

use std::mem;

use kube_cel::cel::{
    IdedExpr as Expression,
    common::{
        ast::{CallExpr, EntryExpr, Expr, ListExpr, LiteralValue, SelectExpr, operators},
        types::CelString,
    },
};

use super::{
    functions::{self, NEGATED, OPTIONAL, OPTIONAL_FIELD, PRINTABLE},
    lists,
    names::escaped,
    shape::{Form, Shape},
    unusable::Unusable,
};

/// Functions, macros and packages that a real server knows, and that are missing here.
const UNSUPPORTED: [&str; 13] = [
    "all",
    "exists",
    "exists_one",
    "existsOne",
    "net",
    "optFlatMap",
    "optMap",
    "sortBy",
    "transformList",
    "transformMap",
    "transformMapEntry",
    "unwrap",
    "unwrapOpt",
];

fn unknown(name: &str) -> Unusable {
    if UNSUPPORTED.contains(&name) { Unusable::Unsupported(name.to_owned()) } else { Unusable::undeclared(name) }
}

#[derive(Clone, Copy)]
struct Variable<'s> {
    shape: Option<&'s Shape>,
    is_optional: bool,
}

/// The variables of an expression.
pub(super) struct Scope<'s>(Vec<(String, Variable<'s>)>);

impl<'s> Scope<'s> {
    /// The variables of a rule on a value of this shape.
    pub(super) fn of_rule(shape: &'s Shape, has_optional_old: bool) -> Self {
        let variable = |is_optional| Variable { shape: Some(shape), is_optional };
        Self(vec![("self".to_owned(), variable(false)), ("oldSelf".to_owned(), variable(has_optional_old))])
    }

    fn find(&self, name: &str) -> Option<Variable<'s>> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, variable)| *variable)
    }

    /// Checks an expression and changes it to one that is evaluated as on a real server.
    pub(super) fn rewrite(&mut self, node: &mut Expression) -> Result<(), Unusable> {
        match &mut node.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => {
                if !name.starts_with('@') && self.find(name).is_none() && !functions::is_type(name) {
                    return Err(unknown(name));
                }
            }
            Expr::Struct(message) => {
                return Err(Unusable::Unsupported(format!("{}{{}}", message.type_name)));
            }
            Expr::List(list) => list.elements.iter_mut().try_for_each(|item| self.rewrite(item))?,
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    match &mut entry.expr {
                        EntryExpr::MapEntry(entry) => {
                            self.rewrite(&mut entry.key)?;
                            self.rewrite(&mut entry.value)?;
                        }
                        EntryExpr::StructField(field) => self.rewrite(&mut field.value)?,
                    }
                }
            }
            Expr::Select(select) => {
                let is_optional = self.is_optional(&select.operand);
                if self.is_undefined(&select.operand, &select.field) {
                    return Err(Unusable::undefined(&select.field));
                }
                self.rewrite(&mut select.operand)?;
                if is_optional {
                    node.expr = optional_select(select);
                }
            }
            Expr::Call(call) => {
                if let Some(changed) = self.rewrite_call(call)? {
                    node.expr = changed;
                }
            }
            Expr::Comprehension(loop_) => {
                let item = self.shape_of(&loop_.iter_range).and_then(|range| match &range.form {
                    Form::List(items, _) => Some(&**items),
                    _ => None,
                });
                self.rewrite(&mut loop_.iter_range)?;
                self.rewrite(&mut loop_.accu_init)?;
                let outside = self.0.len();
                self.0.push((loop_.iter_var.clone(), Variable { shape: item, is_optional: false }));
                self.0.push((loop_.accu_var.clone(), Variable { shape: None, is_optional: false }));
                for part in [&mut loop_.loop_cond, &mut loop_.loop_step, &mut loop_.result] {
                    self.rewrite(part)?;
                }
                self.0.truncate(outside);
            }
        }
        Ok(())
    }

    /// Checks a call. Returns what takes its place, if something does.
    fn rewrite_call(&mut self, call: &mut CallExpr) -> Result<Option<Expr>, Unusable> {
        if let Some((operand, field)) = optional_field_of(call)
            && self.is_undefined(operand, field)
        {
            return Err(Unusable::undefined(field));
        }
        let unordered = match (call.func_name.as_str(), call.args.first()) {
            (operators::EQUALS | operators::NOT_EQUALS | operators::ADD, Some(left)) => self.keys_of(left),
            _ => None,
        };
        let qualified = self.qualified_name(call);
        if qualified.as_deref().is_none_or(|name| !functions::is_function(name)) {
            if UNSUPPORTED.contains(&call.func_name.as_str()) {
                return Err(unknown(&call.func_name));
            }
            call.target.as_deref_mut().map_or(Ok(()), |target| self.rewrite(target))?;
            // An operator is no name.
            if call.func_name.starts_with(char::is_alphabetic) && !functions::is_function(&call.func_name) {
                return Err(Unusable::undeclared(&call.func_name));
            }
        }
        call.args.iter_mut().try_for_each(|argument| self.rewrite(argument))?;
        Ok(match (call.func_name.as_str(), unordered) {
            (operators::EQUALS, Some(keys)) => Some(with_keys(call, lists::EQUAL, keys)),
            (operators::ADD, Some(keys)) => Some(with_keys(call, lists::SUM, keys)),
            (operators::NOT_EQUALS, Some(keys)) => {
                let equal = with_keys(call, lists::EQUAL, keys);
                Some(call_of(operators::LOGICAL_NOT, vec![equal]))
            }
            (operators::NEGATE, _) => Some(Expr::Call(CallExpr {
                func_name: NEGATED.to_owned(),
                target: None,
                args: mem::take(&mut call.args),
            })),
            (operators::OPT_SELECT, _) => Some(Expr::Call(CallExpr {
                func_name: OPTIONAL_FIELD.to_owned(),
                target: None,
                args: mem::take(&mut call.args),
            })),
            ("string", _) if call.target.is_none() => {
                let printable = call_of(PRINTABLE, mem::take(&mut call.args).into_iter().map(|arg| arg.expr).collect());
                Some(call_of("string", vec![printable]))
            }
            ("named", _) if qualified.as_deref() == Some("format.named") => {
                Some(call_of(OPTIONAL, vec![Expr::Call(mem::take(call))]))
            }
            _ => None,
        })
    }

    /// The name of a library's function with the library's: `sets.contains`. A variable hides the library.
    fn qualified_name(&self, call: &CallExpr) -> Option<String> {
        match &call.target.as_ref()?.expr {
            Expr::Ident(library) if self.find(library).is_none() => Some(format!("{library}.{}", call.func_name)),
            _ => None,
        }
    }

    /// What identifies the items of a list whose order does not count.
    fn keys_of(&self, node: &Expression) -> Option<&'s [String]> {
        match &self.shape_of(node)?.form {
            Form::List(_, identity) => lists::keys_of(identity),
            _ => None,
        }
    }

    /// The shape of the value of an expression, where it is a part of `self` or `oldSelf`.
    fn shape_of(&self, node: &Expression) -> Option<&'s Shape> {
        let below = |operand: &Expression, field: Option<&str>| match &self.shape_of(operand)?.form {
            Form::Object(fields) => {
                fields.iter().find(|(name, _)| Some(escaped(name).as_str()) == field).map(|(_, s)| s)
            }
            Form::Map(below) | Form::List(below, _) => Some(&**below),
            _ => None,
        };
        match &node.expr {
            Expr::Ident(name) => self.find(name)?.shape,
            Expr::Select(select) if !select.test => below(&select.operand, Some(&select.field)),
            Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice(), &call.target) {
                (operators::OPT_SELECT, ..) => {
                    let (operand, field) = optional_field_of(call)?;
                    below(operand, Some(field))
                }
                (operators::INDEX | operators::OPT_INDEX, [operand, _], _) => below(operand, None),
                (operators::ADD, [left, _], _) => self.shape_of(left),
                ("value" | "orValue", _, Some(target)) => self.shape_of(target),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether an object has no such field.
    fn is_undefined(&self, operand: &Expression, field: &str) -> bool {
        match self.shape_of(operand).map(|shape| &shape.form) {
            Some(Form::Object(fields)) => fields.keys().all(|name| escaped(name) != field),
            _ => false,
        }
    }

    /// Whether a value is optional because of its syntax.
    fn is_optional(&self, node: &Expression) -> bool {
        match &node.expr {
            Expr::Ident(name) => self.find(name).is_some_and(|variable| variable.is_optional),
            Expr::Select(select) => !select.test && self.is_optional(&select.operand),
            Expr::Call(call) => match call.func_name.as_str() {
                operators::OPT_SELECT | operators::OPT_INDEX => true,
                operators::INDEX => call.args.first().is_some_and(|operand| self.is_optional(operand)),
                _ => false,
            },
            _ => false,
        }
    }
}

/// The operand and the field of `operand.?field`.
fn optional_field_of(call: &CallExpr) -> Option<(&Expression, &str)> {
    match call.args.as_slice() {
        [operand, Expression { expr: Expr::Literal(LiteralValue::String(field)), .. }]
            if call.func_name == operators::OPT_SELECT =>
        {
            Some((operand, field.inner()))
        }
        _ => None,
    }
}

fn node(expr: Expr) -> Expression {
    Expression { id: 0, expr }
}

fn call_of(function: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(node).collect();
    Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args })
}

fn literal(text: &str) -> Expr {
    Expr::Literal(LiteralValue::String(CelString::from(text)))
}

fn with_keys(call: &mut CallExpr, function: &str, keys: &[String]) -> Expr {
    let keys = keys.iter().map(|key| node(literal(key))).collect();
    let mut args = mem::take(&mut call.args);
    args.push(node(Expr::List(ListExpr::new(keys))));
    Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args })
}

/// `a.?b.c`: the field of an optional value is optional.
fn optional_select(select: &mut SelectExpr) -> Expr {
    let operand = mem::take(&mut select.operand);
    let field = call_of(OPTIONAL_FIELD, vec![operand.expr, literal(&select.field)]);
    if !select.test {
        return field;
    }
    Expr::Call(CallExpr { func_name: "hasValue".to_owned(), target: Some(Box::new(node(field))), args: Vec::new() })
}
