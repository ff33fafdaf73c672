//! Structural schemas: what a definition says about its objects, parsed once for each version.

pub(crate) mod builtin;
mod junctors;
mod keywords;
pub(crate) mod node;
mod parse;
pub(crate) mod rules;
pub(crate) mod structure;
