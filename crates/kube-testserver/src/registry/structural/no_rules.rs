//! CEL rules in a server that was built without the feature `cel`: a definition that has some is refused before it gets here.

use serde_json::Value;

use crate::registry::structural::broken::Broken;

/// No rule at all.
#[derive(Debug)]
pub(crate) enum Rules {}

impl Rules {
    /// None: there is nothing that could check them.
    pub(crate) fn parse(_: &Value, _: bool) -> Option<Self> {
        None
    }

    /// What is wrong with the rules themselves.
    pub(crate) fn problems(&self) -> Vec<(usize, &'static str, String)> {
        match *self {}
    }

    /// The place and text of each rule, and whether it compares with an old value.
    pub(crate) fn compared(&self) -> std::iter::Empty<(usize, &str, bool)> {
        match *self {}
    }

    /// The rules that a value breaks.
    pub(crate) fn broken(&self, _: &Value, _: Option<&Value>) -> Vec<Broken> {
        match *self {}
    }
}

/// None: a definition with rules is refused before.
pub(crate) fn unsupported(_: &Value) -> Option<String> {
    None
}
