//! The errors of keys and certificates.

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The server speaks plain HTTP, and what was asked for needs TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server speaks plain HTTP, and this needs TLS: build the server without `plain_http()`")]
#[non_exhaustive]
pub struct NeedsTls;

/// Why a key or certificate cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The crate was built without cryptography.
    #[error(
        "TLS needs the feature `ring` or `aws-lc-rs` of kube-testserver; without one, build the server with `plain_http()`"
    )]
    NoCryptography,
    /// The certificate cannot be generated or signed.
    #[error("cannot make the certificate")]
    Generate(#[source] Source),
    /// The TLS library refuses the server's certificate or settings.
    #[error("the TLS library refuses the certificate")]
    Refused(#[source] Source),
    /// A client certificate was requested from a server that speaks plain HTTP.
    #[error("cannot issue a client certificate")]
    NeedsTls(#[source] NeedsTls),
}

#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
impl From<rcgen::Error> for CertificateError {
    fn from(error: rcgen::Error) -> Self {
        Self::Generate(error.into())
    }
}

impl From<rustls::Error> for CertificateError {
    fn from(error: rustls::Error) -> Self {
        Self::Refused(error.into())
    }
}

impl From<rustls::pki_types::pem::Error> for CertificateError {
    fn from(error: rustls::pki_types::pem::Error) -> Self {
        Self::Refused(error.into())
    }
}
