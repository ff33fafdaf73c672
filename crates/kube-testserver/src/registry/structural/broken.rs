//! A rule that a value breaks.

/// A rule that a value breaks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The path below the node that the rule names.
    pub(crate) path: String,
    pub(crate) message: String,
    /// Whether the value breaks the rule or the rule cannot be evaluated.
    pub(crate) how: How,
    /// The rule holds for a value that did not change too.
    pub(crate) always: bool,
}

/// How a value breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// The rule says no, and gives this reason.
    Refused(Option<String>),
    /// The rule cannot be evaluated on values of this type.
    Failed(String),
}
