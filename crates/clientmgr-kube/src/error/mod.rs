//! [`ConnectError`]: why a cluster is not connected, and what to do about it. One file for each area.
//!
//! What must not live here: a secret. Errors of kube that may quote a credential are translated, never kept as source.

mod chain;
mod config;
mod config_judged;
mod connect_error;
mod denied;
mod failure;
mod field;
mod field_error;
mod kind;
mod plugin;
mod provider;
mod token;
mod transport;

pub(crate) use self::chain::chain;
pub(crate) use self::config::ConfigError;
pub use self::connect_error::ConnectError;
pub(crate) use self::denied::Permission;
pub(crate) use self::failure::Failure;
pub(crate) use self::field::{About, CredentialFile, Entry, Field};
pub(crate) use self::field_error::FieldError;
pub use self::kind::ConnectErrorKind;
pub(crate) use self::plugin::{ExecProblem, PluginError};
pub(crate) use self::provider::AuthProviderError;
pub(crate) use self::token::TokenError;
#[cfg(all(test, feature = "rustls-tls", feature = "ring"))]
pub(crate) use self::transport::{Handshake, Unreachable};
pub(crate) use self::transport::{Refused, TlsError, TransportError};
