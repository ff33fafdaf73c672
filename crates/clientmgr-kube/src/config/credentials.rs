//! Which of a user's credentials are used. The order is kubectl's: a token, then a password, then an authentication
//! provider, then a credential plugin, which gives way to a client certificate too.

use kube::config::{AuthInfo, ExecConfig};
use secrecy::SecretString;

use crate::auth::Token;
use crate::error::ConfigError;

/// How a user authorizes its requests, beside a client certificate.
pub(crate) enum Method<'a> {
    /// By nothing, or by a client certificate alone.
    None,
    Token(Token),
    /// By a token in a file; `fallback` while the file cannot be read.
    TokenFile {
        path: &'a str,
        fallback: Option<Token>,
    },
    /// By what kube's own layer adds: a password, or an authentication provider.
    Kube,
    Exec(&'a ExecConfig),
}

/// Returns the method of `user`, whose empty fields were taken out.
pub(crate) fn method(user: &AuthInfo) -> Result<Method<'_>, ConfigError> {
    let has_token = user.token.is_some() || user.token_file.is_some();
    if has_token && (user.username.is_some() || user.password.is_some()) {
        return Err(ConfigError::SeveralCredentials);
    }
    // Even where something else is used: kubectl refuses a provider that it does not know.
    let provider = provider(user)?;
    if has_token {
        return of_tokens(user);
    }
    let has_certificate = user.client_certificate.is_some() || user.client_certificate_data.is_some();
    match (&user.username, &user.password) {
        (Some(_), Some(_)) => return Ok(Method::Kube),
        (Some(_), None) if !has_certificate => return Err(ConfigError::NoPassword),
        (None, Some(_)) if !has_certificate => return Err(ConfigError::NoUsername),
        _ => {}
    }
    if let Some(provider) = provider {
        return Ok(provider);
    }
    match &user.exec {
        Some(exec) if !has_certificate => Ok(Method::Exec(exec)),
        _ => Ok(Method::None),
    }
}

fn of_tokens(user: &AuthInfo) -> Result<Method<'_>, ConfigError> {
    let fixed = user.token.as_ref().map(|text| token("token", text)).transpose()?;
    match (&user.token_file, fixed) {
        (Some(path), fallback) => Ok(Method::TokenFile { path, fallback }),
        (None, Some(token)) => Ok(Method::Token(token)),
        (None, None) => Ok(Method::None),
    }
}

fn provider(user: &AuthInfo) -> Result<Option<Method<'_>>, ConfigError> {
    let Some(provider) = &user.auth_provider else { return Ok(None) };
    match provider.name.as_str() {
        "oidc" => {
            let id_token = provider.config.get("id-token").filter(|token| !token.is_empty());
            let Some(id_token) = id_token else { return Err(ConfigError::NoIdToken) };
            if cfg!(feature = "oidc") {
                return Ok(Some(Method::Kube));
            }
            // Without the feature it is sent as it is, and not renewed.
            token("auth-provider.config.id-token", &SecretString::from(id_token.as_str()))
                .map(|token| Some(Method::Token(token)))
        }
        // With a command it would run as a plugin does, and without a deadline.
        "gcp" if !provider.config.contains_key("cmd-path") => {
            let without = || ConfigError::AuthProvider { name: "gcp".to_owned(), feature: Some("oauth") };
            cfg!(feature = "oauth").then_some(Some(Method::Kube)).ok_or_else(without)
        }
        name => Err(ConfigError::AuthProvider { name: name.to_owned(), feature: None }),
    }
}

/// Takes a token from the field `field`.
pub(crate) fn token(field: &'static str, text: &SecretString) -> Result<Token, ConfigError> {
    Token::new(text).map_err(|source| ConfigError::Token { field, source })
}
