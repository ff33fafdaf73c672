//! The forms that a change is rendered in.

use crate::{api::store::change::Change, wire::negotiate::Format};

/// Everything a frame's bytes depend on, besides the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) change: Change,
    pub(crate) version: usize,
    pub(crate) alias: bool,
    pub(crate) format: Format,
    pub(crate) headings: bool,
}
