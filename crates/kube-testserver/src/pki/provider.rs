//! The cryptography of TLS, by feature.

use rustls::crypto::CryptoProvider;

use crate::pki::certificate_error::CertificateError;

/// The provider that the server uses, and that it installs for kube's clients where the process has none.
///
/// # Errors
/// [`CertificateError::NoCryptography`] if the crate was built without one.
#[cfg_attr(
    any(feature = "aws-lc-rs", feature = "ring"),
    expect(clippy::unnecessary_wraps, reason = "it fails without either feature")
)]
pub(crate) fn provider() -> Result<CryptoProvider, CertificateError> {
    #[cfg(feature = "aws-lc-rs")]
    return Ok(rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    return Ok(rustls::crypto::ring::default_provider());
    #[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
    Err(CertificateError::NoCryptography)
}
