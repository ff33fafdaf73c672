//! The kinds that are served: their names, versions, columns and schemas. Data, without objects.

pub(crate) mod column;
pub(crate) mod core_columns;
pub(crate) mod definition;
pub(crate) mod go_types;
pub(crate) mod json_path;
pub(crate) mod kinds;
pub(crate) mod merge_schema;
mod pod_columns;
pub(crate) mod structural;
pub(crate) mod view;
