//! Structural schemas: what a definition says about its objects, parsed once for each version.

mod broken;
pub(crate) mod builtin;
#[cfg_attr(not(feature = "cel"), path = "no_rules.rs")]
pub(crate) mod compiled_rules;
mod junctors;
mod keywords;
pub(crate) mod node;
mod parse;
pub(crate) mod structure;
