//! One request's way through the server, and the state that all requests share.

mod account_tokens;
pub(crate) mod body;
pub(crate) mod cluster;
mod health;
pub(crate) mod malformed;
pub(crate) mod respond;
pub(crate) mod settings;
pub(crate) mod state;
