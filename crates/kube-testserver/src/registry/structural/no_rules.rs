//! CEL rules in a server that was built without the feature `cel`: a definition that has some is refused before it gets here.

use serde_json::Value;

use crate::registry::structural::broken::Broken;

/// No rule at all.
#[derive(Debug)]
pub(crate) enum Rules {}

impl Rules {
    /// None: there is nothing that could check them.
    pub(crate) fn parse(_: &Value) -> Option<Self> {
        None
    }

    /// What is wrong with the rules themselves.
    pub(crate) fn problems(&self) -> Vec<(usize, String)> {
        match *self {}
    }

    /// The text of a rule.
    pub(crate) fn text(&self, _: usize) -> &str {
        match *self {}
    }

    /// The rules that a value breaks in which some numbers cannot be read.
    pub(crate) fn broken_of_unreadable(&self, _: &Value, _: Option<&Value>) -> Vec<Broken> {
        match *self {}
    }

    /// The rules that a value breaks.
    pub(crate) fn broken(&self, _: &Value, _: Option<&Value>) -> Vec<Broken> {
        match *self {}
    }
}

/// None: a definition with rules is refused before.
pub(crate) fn has_unsupported_optional(_: &Value) -> bool {
    false
}
