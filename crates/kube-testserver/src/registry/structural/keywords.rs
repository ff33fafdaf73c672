//! Keywords of a schema and paths into it.

pub(crate) const INT_OR_STRING: &str = "x-kubernetes-int-or-string";
pub(crate) const EMBEDDED: &str = "x-kubernetes-embedded-resource";
pub(crate) const PRESERVES: &str = "x-kubernetes-preserve-unknown-fields";

/// The path of the field `name` of the schema at `path`.
pub(crate) fn property(path: &str, name: &str) -> String {
    format!("{path}.properties[{name}]")
}
