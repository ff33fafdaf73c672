//! What goes over the wire: paths, queries, media types, selectors, names, Status. It knows no kinds and no objects.

pub(crate) mod call;
pub(crate) mod negotiate;
pub(crate) mod object_body;
pub(crate) mod protobuf;
pub(crate) mod query;
pub(crate) mod route;
pub(crate) mod select;
pub(crate) mod status;
pub(crate) mod syntax;
pub(crate) mod yaml;
