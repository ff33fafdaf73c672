//! The path to a value, which is written out only where an error names it.

use std::fmt;

/// The path to a value in an object.
#[derive(Debug, Clone, Copy)]
pub(super) enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    /// An item of a list, with the brackets.
    Item(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    /// `.spec.list[0].field`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, step) => write!(f, "{parent}{step}"),
            Self::Index(parent, at) => write!(f, "{parent}[{at}]"),
        }
    }
}
