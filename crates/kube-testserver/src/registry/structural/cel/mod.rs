//! The language of rules, CEL: the values that a rule sees, the functions it calls, and the expressions it is made of.
//!
//! Functions come from `cel` and `kube-cel`. What they do otherwise than a real API server, or not at all, is done here.

mod depth;
mod errors;
mod expression;
mod functions;
mod lists;
mod names;
mod rewrite;
mod shape;
mod unusable;
mod values;

pub(super) use self::{
    expression::{Evaluation, Expression},
    shape::Shape,
    unusable::Unusable,
};
