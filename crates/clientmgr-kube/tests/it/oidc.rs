//! Authentication providers: what is wrong with a token that kube sees to is told without quoting it.

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
async fn a_provider_without_a_token_is_told() {
    assert_eq!(problem(&[]).await, AuthProviderProblem::NoToken);
    assert_eq!(problem(&[("id-token", ""), ("client-secret", "sesame")]).await, AuthProviderProblem::NoToken);
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
        assert_eq!(problem(&[("id-token", &token)]).await, AuthProviderProblem::MalformedToken, "{token}");
    }
}

#[cfg(feature = "oidc")]
#[tokio::test]
async fn what_a_token_that_has_ended_lacks_for_its_renewal_is_told() {
    let ended = token(r#"{"exp":1}"#);
    let found = problem(&[("id-token", &ended)]).await;
    assert_eq!(found, AuthProviderProblem::NotRenewable { field: "idp-issuer-url" });

    let means = |issuer: &'static str| {
        [("idp-issuer-url", issuer), ("refresh-token", "sesame"), ("client-id", "me"), ("client-secret", "sesame")]
    };
    let with = |issuer| [&[("id-token", ended.as_str())][..], &means(issuer)].concat();
    let found = problem(&with("https://sesame sesame")).await;
    assert_eq!(found, AuthProviderProblem::NotRenewable { field: "idp-issuer-url" });
    assert_eq!(problem(&with("https://127.0.0.1:1")).await, AuthProviderProblem::NotRenewed);
}
