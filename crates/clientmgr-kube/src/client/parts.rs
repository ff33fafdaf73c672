//! [`Parts`]: what a transport is built from, apart from where it was loaded.

use jiff::Timestamp;
use kube::Config;
use kube::config::AuthInfo;

use crate::auth::{Issued, Token, Validity};
use crate::config::{Credentials, Loaded};

/// A configuration, with its credentials apart.
pub(crate) struct Parts {
    /// With the client certificate, and without tokens and plugins.
    pub(crate) config: Config,
    pub(crate) token: Option<Token>,
    /// Of the credentials that end first.
    pub(crate) validity: Option<Validity>,
}

impl Parts {
    /// The parts of `loaded`, with what a plugin issued where it names one. `now` is when they were loaded.
    pub(crate) fn new(loaded: &Loaded, issued: Option<&Issued>, now: Timestamp) -> Self {
        let mut config = loaded.config.clone();
        let user = &mut config.auth_info;
        (user.token, user.token_file, user.exec) = (None, None, None);
        if config.root_cert.is_some() {
            // kube would read the file again in the middle of handshakes. It is watched instead.
            config.root_cert_file = None;
        }
        let issued_cert = issued.and_then(|issued| issued.identity.as_ref());
        if let Some(identity) = issued_cert.or(loaded.client_cert.as_ref()) {
            identity.put_into(&mut config);
        }
        let token = match &loaded.credentials {
            Credentials::Token(token) | Credentials::TokenFile { token, .. } => Some(token.clone()),
            Credentials::Exec(_) => issued.and_then(|issued| issued.token.clone()),
            Credentials::None | Credentials::Kube => None,
        };
        let validities = [
            token.as_ref().and_then(|token| token.validity(now)),
            issued.and_then(|issued| issued.expires).map(|until| Validity::new(now, until)),
            certificate(&config.auth_info),
        ];
        let validity = validities.into_iter().flatten().reduce(Validity::earlier);
        Self { config, token, validity }
    }
}

/// The validity of the client certificate.
fn certificate(user: &AuthInfo) -> Option<Validity> {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    let pem = match (&user.client_certificate_data, &user.client_certificate) {
        (Some(data), _) => STANDARD.decode(data).ok()?,
        (None, Some(path)) => std::fs::read(path).ok()?,
        (None, None) => return None,
    };
    Validity::of_certificate(std::str::from_utf8(&pem).ok()?)
}
