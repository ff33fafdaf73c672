//! Authentication providers: what is wrong with a token that kube sees to is an error that does not quote it.

use clientmgr_kube::kube::config::{AuthInfo, AuthProviderConfig};
use clientmgr_kube::{ConnectError, ConnectErrorKind};

use crate::support::{everything, failure, kubeconfig_of, server};

/// What connecting with a provider of this configuration fails with.
async fn problem(config: &[(&str, &str)]) -> ConnectError {
    let server = server("east").await;
    let config = config.iter().map(|(field, value)| ((*field).into(), (*value).into())).collect();
    let provider = AuthProviderConfig { name: "oidc".into(), config, ..AuthProviderConfig::default() };
    let user = AuthInfo { auth_provider: Some(provider), ..AuthInfo::default() };
    let error = failure(&kubeconfig_of(&server, user)).await;
    let told = everything(&error);
    assert!(!told.contains("sesame"), "{told}");
    assert!(std::error::Error::source(&error).is_none(), "{error:?}");
    error
}

#[tokio::test]
async fn a_provider_without_a_token_is_an_error_that_says_so() {
    for config in [&[][..], &[("id-token", ""), ("client-secret", "sesame")]] {
        let error = problem(config).await;
        assert_eq!((error.kind(), error.needs_other_config()), (ConnectErrorKind::InvalidConfig, true));
        assert_eq!(error.field(), Some("users[0].user.auth-provider.config.id-token"));
    }
}

/// A JSON Web Token whose payload is `payload`, in Base64 for URLs.
#[cfg(feature = "oidc")]
fn token(payload: &str) -> String {
    use base64::Engine;

    format!("e30.{}.sesame", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(payload))
}

#[cfg(feature = "oidc")]
#[tokio::test]
async fn a_token_that_kube_cannot_read_is_not_quoted() {
    let tokens = [
        "sesame".to_owned(),
        "e30.sesame!.sesame".into(),
        token("sesame"),
        token(r#"{"exp":"sesame"}"#),
        token(r#"{"exp":99999999999999999}"#),
        token(r#"{"exp":4102444800}"#).replace("sesame", "\n"),
    ];
    for token in tokens {
        let error = problem(&[("id-token", &token)]).await;
        assert_eq!((error.kind(), error.needs_other_config()), (ConnectErrorKind::NoCredentials, true), "{token}");
        let expected = "the id-token of the authentication provider is not a usable JSON Web Token";
        assert!(error.to_string().ends_with(expected), "{error}");
    }
}

#[cfg(feature = "oidc")]
#[tokio::test]
async fn what_a_token_that_has_ended_lacks_for_its_renewal_is_an_error_that_says_so() {
    let ended = token(r#"{"exp":1}"#);
    let lacks = "the id-token has expired, and idp-issuer-url is missing or unusable, so it cannot be renewed";
    assert!(problem(&[("id-token", &ended)]).await.to_string().ends_with(lacks));

    let means = |issuer: &'static str| {
        [("idp-issuer-url", issuer), ("refresh-token", "sesame"), ("client-id", "me"), ("client-secret", "sesame")]
    };
    let with = |issuer| [&[("id-token", ended.as_str())][..], &means(issuer)].concat();
    assert!(problem(&with("https://sesame sesame")).await.to_string().ends_with(lacks));
    let error = problem(&with("https://127.0.0.1:1")).await;
    assert!(error.to_string().ends_with("the authentication provider got no new token from its issuer"), "{error}");
    assert!(!error.needs_other_config());
}
