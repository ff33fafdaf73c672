//! Structural schemas: what a definition says about its objects, parsed once for each version.

pub(crate) mod broken;
pub(crate) mod builtin;
#[cfg(feature = "cel")]
mod cel;
mod collections;
#[cfg_attr(not(feature = "cel"), path = "no_rules.rs")]
pub(crate) mod compiled_rules;
mod junctors;
mod keywords;
pub(crate) mod node;
mod parse;
mod rule_fields;
pub(crate) mod structure;
