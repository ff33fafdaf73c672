//! Keys, certificates and the settings of TLS.

pub(crate) mod authority;
pub(crate) mod error;
pub(crate) mod security;
pub(crate) mod tls;
