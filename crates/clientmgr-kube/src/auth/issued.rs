//! [`Issued`]: what a credential plugin issued.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use kube::Config;
use secrecy::{ExposeSecret, SecretString};

use super::token::Token;

/// What a plugin issued: a token, a certificate, or both.
pub(crate) struct Issued {
    pub(crate) token: Option<Token>,
    pub(crate) identity: Option<Identity>,
    pub(crate) expires: Option<Timestamp>,
}

/// A client certificate and its key, as PEM.
#[cfg_attr(test, derive(Default))]
pub(crate) struct Identity {
    certificate: String,
    key: SecretString,
}

impl Identity {
    pub(crate) fn new(certificate: &str, key: &str) -> Self {
        Self { certificate: certificate.to_owned(), key: key.into() }
    }

    /// Makes it the identity of a configuration.
    pub(crate) fn put_into(&self, config: &mut Config) {
        config.auth_info.client_certificate_data = Some(STANDARD.encode(&self.certificate));
        config.auth_info.client_key_data = Some(STANDARD.encode(self.key.expose_secret()).into());
    }
}
