//! kube's errors in this crate's words. A translation and not a wrapper, because kube's texts may quote what a file
//! held: the parser shows the line it stumbled over, a Base64 or PEM error the byte or line that is wrong.

use std::error::Error;
use std::sync::Arc;

use kube::client::AuthError;
use kube::config::{KubeconfigError, LoadDataError};

use super::files;
use crate::error::{AuthProviderError, ConfigError, CredentialFile, Failure, TransportError};

impl From<KubeconfigError> for ConfigError {
    #[cfg_attr(
        not(any(feature = "http-proxy", feature = "socks5")),
        expect(clippy::match_wildcard_for_single_variants, reason = "another crate may enable kube's proxy features")
    )]
    fn from(error: KubeconfigError) -> Self {
        match error {
            KubeconfigError::CurrentContextNotSet => Self::NoContext { context: String::new() },
            KubeconfigError::KindMismatch | KubeconfigError::ApiVersionMismatch => Self::Unmergeable,
            KubeconfigError::LoadContext(context) => Self::NoContext { context },
            KubeconfigError::LoadClusterOfContext(cluster) => Self::NoCluster { context: String::new(), cluster },
            KubeconfigError::FindPath => Self::NoPath,
            KubeconfigError::ReadConfig(source, path) => Self::Unreadable { path, source: Arc::new(source) },
            KubeconfigError::Parse(error) => {
                let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
                Self::Malformed { path: None, line, column }
            }
            KubeconfigError::MissingClusterUrl => Self::NoServer,
            KubeconfigError::ParseClusterUrl(_) => Self::MalformedServer,
            KubeconfigError::LoadCertificateAuthority(error) => material(CredentialFile::CertificateAuthority, error),
            KubeconfigError::LoadClientCertificate(error) => material(CredentialFile::ClientCertificate, error),
            KubeconfigError::LoadClientKey(error) => material(CredentialFile::ClientKey, error),
            KubeconfigError::ParseCertificates(_) => Self::Pem { material: CredentialFile::CertificateAuthority },
            // The proxy's URL, and `NO_PROXY`.
            _ => Self::MalformedProxy,
        }
    }
}

fn material(material: CredentialFile, error: LoadDataError) -> ConfigError {
    match error {
        LoadDataError::DecodeBase64(_) => ConfigError::Base64 { material },
        LoadDataError::ReadFile(source, path) => files::unreadable(material, &path, source),
        LoadDataError::NoBase64DataOrFile => ConfigError::Missing { material },
    }
}

/// Why kube built no client.
pub(crate) fn building(error: kube::Error) -> Failure {
    match error {
        kube::Error::ProxyProtocolUnsupported { proxy_url } => {
            let scheme = proxy_url.scheme_str().unwrap_or_default().to_owned();
            ConfigError::UnsupportedProxy { scheme }.into()
        }
        kube::Error::ProxyProtocolDisabled { protocol_feature, .. } => {
            // kube names its own feature; this crate's has the same name.
            let feature = protocol_feature.strip_prefix("kube/").unwrap_or(protocol_feature);
            ConfigError::ProxyFeature { feature }.into()
        }
        kube::Error::Auth(error) => AuthProviderError::from(&error).into(),
        kube::Error::HttpError(_) => ConfigError::Impersonation { field: "as" }.into(),
        kube::Error::TlsRequired => Failure::NoTlsStack,
        kube::Error::InferKubeconfig(error) => ConfigError::from(error).into(),
        #[cfg(feature = "rustls-tls")]
        kube::Error::RustlsTls(error) => rustls(&error).into(),
        #[cfg(feature = "openssl-tls")]
        kube::Error::OpensslTls(_) => ConfigError::Pem { material: CredentialFile::ClientCertificate }.into(),
        _ => Failure::Refused,
    }
}

/// Why the way to an answer ended. kube renews the tokens of authentication providers on that way, and whatever fails
/// then may quote them.
pub(crate) fn cut_off(error: Box<dyn Error + Send + Sync>) -> Failure {
    let outermost: &(dyn Error + 'static) = &*error;
    let mut chain = std::iter::successors(Some(outermost), |error| (*error).source());
    match chain.find_map(|error| error.downcast_ref::<AuthError>()) {
        Some(error) => AuthProviderError::from(error).into(),
        None => TransportError::new(error).into(),
    }
}

#[cfg(feature = "rustls-tls")]
fn rustls(error: &kube::client::RustlsTlsError) -> ConfigError {
    use kube::client::RustlsTlsError as Tls;
    use rustls::{CertificateError, InconsistentKeys};

    match error {
        Tls::InvalidPrivateKey(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            ConfigError::KeyMismatch
        }
        // rustls reads the certificate to see whether the key fits, so it may be the certificate that is wrong.
        Tls::InvalidIdentityPem(_)
        | Tls::MissingCertificate
        | Tls::InvalidPrivateKey(rustls::Error::InvalidCertificate(CertificateError::BadEncoding)) => {
            ConfigError::Pem { material: CredentialFile::ClientCertificate }
        }
        Tls::InvalidPrivateKey(rustls::Error::InvalidCertificate(_)) => ConfigError::CertificateKind,
        Tls::MissingPrivateKey | Tls::InvalidPrivateKey(_) | Tls::UnknownPrivateKeyFormat => {
            ConfigError::Pem { material: CredentialFile::ClientKey }
        }
        Tls::AddRootCertificate(_) => ConfigError::Pem { material: CredentialFile::CertificateAuthority },
        Tls::NoValidNativeRootCA(_) => ConfigError::NoTrust,
        Tls::InvalidServerName(_) => ConfigError::TlsServerName,
    }
}
