//! Why an expression cannot be used.

/// Why an expression cannot be evaluated.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// A real server refuses it too.
    Wrong(String),
    /// A real server evaluates it; this is missing here.
    Unsupported(String),
}

impl Unusable {
    /// The schema does not declare this field.
    pub(super) fn undefined(field: &str) -> Self {
        Self::Wrong(format!("undefined field '{field}'"))
    }

    /// There is no variable and no function with this name.
    pub(super) fn undeclared(name: &str) -> Self {
        Self::Wrong(format!("undeclared reference to '{name}' (in container '')"))
    }
}
