//! A rule that a value breaks.

/// A rule that a value breaks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The path below the node that the rule names.
    pub(crate) path: String,
    pub(crate) reason: Option<String>,
    pub(crate) message: String,
    /// The rule compares with the old value, so it holds for a value that did not change too.
    pub(crate) compares: bool,
}
