//! What a write asks for and how it merges: its target, patches, apply, and the owners of fields.

pub(super) mod field_set;
pub(super) mod managed_fields;
pub(super) mod manager;
pub(super) mod patch;
pub(super) mod scale_fields;
pub(super) mod target;
