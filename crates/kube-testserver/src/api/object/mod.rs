//! What is valid in one object, and what the server fills in. Pure functions, without the store.

pub(super) mod core_rules;
mod definition_rules;
mod event_rules;
pub(super) mod go_values;
pub(super) mod meta;
mod pem;
pub(super) mod schema;
pub(super) mod signing_request;
