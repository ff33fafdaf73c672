//! Label and field selectors: parsed from the query, matched against objects.

mod fields;
mod labels;
mod lexer;

pub(crate) use fields::FieldSelector;
pub(crate) use labels::LabelSelector;
