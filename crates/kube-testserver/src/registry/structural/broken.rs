//! A rule that a value breaks.

/// A rule that a value breaks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The path below the node that the rule names.
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) reason: Option<String>,
    /// The type of the value, if the rule cannot be evaluated on it.
    pub(crate) failed_on: Option<String>,
    /// The rule holds for a value that did not change too.
    pub(crate) always: bool,
}
