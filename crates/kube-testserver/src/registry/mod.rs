//! The kinds that are served: their names, versions, columns and schemas. Data, without objects.

pub(crate) mod column;
pub(crate) mod core_columns;
pub(crate) mod definition;
pub(crate) mod json_path;
pub(crate) mod kinds;
mod pod_columns;
pub(crate) mod schema;
pub(crate) mod structural;
pub(crate) mod view;
