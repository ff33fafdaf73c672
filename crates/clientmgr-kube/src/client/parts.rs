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
            Credentials::Token(token) | Credentials::TokenFile(token) => Some(token.clone()),
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

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use jiff::Timestamp;
    use kube::Config;
    use kube::config::ExecConfig;
    use secrecy::SecretString;

    use super::Parts;
    use crate::auth::{Identity, Issued, Token, testing};
    use crate::config::{Credentials, Loaded};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn token(exp: i64) -> Token {
        let claims = URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{exp}}}"));
        Token::new(&SecretString::from(format!("e30.{claims}.c2ln"))).unwrap()
    }

    fn loaded(credentials: Credentials) -> Loaded {
        Loaded::of(Config::new("https://127.0.0.1:1".parse().unwrap()), credentials)
    }

    fn until(loaded: &Loaded, issued: Option<&Issued>) -> Option<i64> {
        Parts::new(loaded, issued, at(0)).validity.map(|validity| validity.until().as_second())
    }

    #[test]
    fn the_credentials_that_end_first_count() {
        assert_eq!(until(&loaded(Credentials::None), None), None);
        assert_eq!(until(&loaded(Credentials::Token(token(50))), None), Some(50));
        let plugin = loaded(Credentials::Exec(Box::new(ExecConfig::default())));
        let issued = |exp, expires| Issued { token: Some(token(exp)), identity: None, expires: Some(at(expires)) };
        assert_eq!(until(&plugin, Some(&issued(50, 60))), Some(50));
        assert_eq!(until(&plugin, Some(&issued(60, 50))), Some(50));

        let (certificate, key) = testing::certificate("2020-01-01", "2026-01-11");
        let end = Some("2026-01-11T00:00:00Z".parse::<Timestamp>().unwrap().as_second());
        let identity = Some(Identity::new(&certificate, &key));
        assert_eq!(until(&plugin, Some(&Issued { token: None, identity, expires: None })), end);
        let mut with_certificate = loaded(Credentials::Token(token(i64::MAX)));
        with_certificate.config.auth_info.client_certificate_data = Some(STANDARD.encode(certificate));
        assert_eq!(until(&with_certificate, None), end);
    }

    #[test]
    fn what_is_sent_is_what_was_loaded_or_issued() {
        let sent = |loaded: &Loaded, issued| Parts::new(loaded, issued, at(0)).token;
        let issued = Issued { token: Some(token(1)), identity: None, expires: None };
        assert_eq!(sent(&loaded(Credentials::None), Some(&issued)), None);
        assert_eq!(sent(&loaded(Credentials::Token(token(2))), None), Some(token(2)));
        let file = Credentials::TokenFile(token(3));
        assert_eq!(sent(&loaded(file), None), Some(token(3)));
        let plugin = loaded(Credentials::Exec(Box::new(ExecConfig::default())));
        assert_eq!(sent(&plugin, Some(&issued)), Some(token(1)));
        assert_eq!(sent(&plugin, None), None);
    }
}
