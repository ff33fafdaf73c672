//! What a check looks at and what it finds.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// The texts of the workspace, by their paths relative to the root, with slashes.
pub(super) type Texts = BTreeMap<String, String>;

/// Something that is not as it should be, and what to do about it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Violation {
    /// Relative to the root of the workspace, with slashes.
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) message: String,
}

impl Violation {
    pub(super) fn new(path: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.into(), line, message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Whether a path ends in `.extension`.
pub(super) fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

#[cfg(test)]
mod tests {
    use super::Violation;

    #[test]
    fn a_violation_is_shown_so_that_an_editor_can_go_there() {
        assert_eq!(Violation::new("a/b.rs", 3, "mend it").to_string(), "a/b.rs:3: mend it");
    }
}
