//! Why there is no certificate.

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The server speaks plain HTTP, and this has no meaning without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server speaks plain HTTP, and this needs TLS")]
#[non_exhaustive]
pub struct NeedsTls;

/// Why a key or certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The crate was built without cryptography.
    #[error(
        "TLS needs the feature `ring` or `aws-lc-rs` of kube-testserver; without one, build the server with `plain_http()`"
    )]
    NoCryptography,
    /// The certificate could not be generated or signed.
    #[error("the certificate could not be made")]
    Generate(#[source] Source),
    /// The TLS library refused the server's certificate or settings.
    #[error("the certificate was refused by the TLS library")]
    Refused(#[source] Source),
    /// A client certificate was asked of a server that could never be shown it.
    #[error("no client certificate can be used")]
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
