//! Keys, certificates and the settings of TLS.

#[cfg_attr(not(any(feature = "aws-lc-rs", feature = "ring")), path = "no_authority.rs")]
pub(crate) mod authority;
pub(crate) mod certificate_error;
pub(crate) mod issued;
pub(crate) mod provider;
pub(crate) mod security;
pub(crate) mod tls;
