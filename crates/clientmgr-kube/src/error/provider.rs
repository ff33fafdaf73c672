//! [`AuthProviderError`]: why an authentication provider gave no credentials. Has no source: the texts of kube's
//! errors quote what a token or an answer held.

use kube::client::AuthError;

/// Why an authentication provider (`auth-provider` in a kubeconfig) gave nothing to authorize requests by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(not(feature = "oidc"), expect(dead_code, reason = "only the provider oidc fails so"))]
pub(crate) enum AuthProviderError {
    /// The kubeconfig holds no `id-token`. It takes one to begin with, also where it can be renewed.
    #[error("the authentication provider has no id-token")]
    NoToken,

    /// The `id-token` is no JSON Web Token with a time at which it ends, or it cannot be sent.
    #[error("the id-token of the authentication provider is not a usable JSON Web Token")]
    MalformedToken,

    /// The `id-token` has ended, and what it takes to renew it is missing or wrong.
    #[error("the id-token has expired, and {field} is missing or unusable, so it cannot be renewed")]
    NotRenewable {
        /// The field of the provider's configuration.
        field: &'static str,
    },

    /// No new token was issued: the issuer was not reached, or it refused.
    #[error("the authentication provider got no new token from its issuer")]
    NotRenewed,

    /// The provider's own credentials are missing or wrong.
    #[error("the credentials of the authentication provider cannot be used")]
    Unusable,
}

impl AuthProviderError {
    /// Whether only another configuration helps.
    pub(super) fn needs_other_config(self) -> bool {
        match self {
            Self::NoToken | Self::MalformedToken | Self::NotRenewable { .. } | Self::Unusable => true,
            Self::NotRenewed => false,
        }
    }
}

impl From<&AuthError> for AuthProviderError {
    fn from(error: &AuthError) -> Self {
        match error {
            AuthError::InvalidBearerToken(_) => Self::MalformedToken,
            #[cfg(feature = "oidc")]
            AuthError::Oidc(error) => oidc(error),
            #[cfg(feature = "oauth")]
            AuthError::OAuth(error) => oauth(error),
            AuthError::NoValidNativeRootCA(_) | AuthError::UnrefreshableTokenResponse => Self::NotRenewed,
            _ => Self::Unusable,
        }
    }
}

#[cfg(feature = "oidc")]
fn oidc(error: &kube::client::oidc_errors::Error) -> AuthProviderError {
    use kube::client::oidc_errors::{Error, RefreshError, RefreshInitError};

    match error {
        Error::IdTokenMissing => AuthProviderError::NoToken,
        Error::IdToken(_) => AuthProviderError::MalformedToken,
        Error::RefreshInit(RefreshInitError::MissingField(field)) => AuthProviderError::NotRenewable { field },
        Error::Refresh(RefreshError::InvalidURI(_) | RefreshError::HttpError(_)) => {
            AuthProviderError::NotRenewable { field: "idp-issuer-url" }
        }
        Error::RefreshInit(_) | Error::Refresh(_) => AuthProviderError::NotRenewed,
    }
}

#[cfg(feature = "oauth")]
fn oauth(error: &kube::client::OAuthError) -> AuthProviderError {
    use kube::client::OAuthError as Error;

    match error {
        Error::InvalidDefaultProviderConfig(_)
        | Error::NoDefaultProvider
        | Error::LoadCredentials(_)
        | Error::ParseCredentials(_)
        | Error::InvalidKeyFormat(_)
        | Error::InvalidRsaKey(_) => AuthProviderError::Unusable,
        _ => AuthProviderError::NotRenewed,
    }
}
