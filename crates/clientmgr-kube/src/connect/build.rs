//! Building a `kube::Client` from a configuration that was checked. Runs on a lane.

use kube::client::ClientBuilder;
use kube::{Client, Config};

use super::authorize::AuthorizeLayer;
use super::identity;
use super::renewal::Bearer;
use super::translate;
use crate::ConnectFailure;

/// Without a process-wide provider of cryptography kube panics where it builds a client with rustls.
///
/// With `aws-lc-rs` kube installs one by itself and with `ring` it does not; a provider that the program installed is
/// left in place.
pub(crate) fn require_cryptography() -> Result<(), ConnectFailure> {
    if has_cryptography() { Ok(()) } else { Err(ConnectFailure::NoCryptoProvider) }
}

#[cfg(feature = "rustls-tls")]
fn has_cryptography() -> bool {
    use rustls::crypto::CryptoProvider;

    if CryptoProvider::get_default().is_some() {
        return true;
    }
    // Fails only if another one was installed just now, which will do as well.
    #[cfg(feature = "aws-lc-rs")]
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    let _ = rustls::crypto::ring::default_provider().install_default();
    CryptoProvider::get_default().is_some()
}

#[cfg(not(feature = "rustls-tls"))]
fn has_cryptography() -> bool {
    true
}

/// Builds a client. Blocks on files and on the system's trust store; must be called within a runtime.
pub(crate) fn client(config: Config, bearer: Bearer) -> Result<Client, ConnectFailure> {
    let valid_until = bearer.client_valid_until();
    let has_encrypted_key = identity::is_key_encrypted(&config.auth_info);
    let builder = ClientBuilder::try_from(config).map_err(|error| {
        let failure = translate::building(error);
        if has_encrypted_key { identity::blame_encryption(failure) } else { failure }
    })?;
    let builder = builder.with_valid_until(valid_until);
    Ok(builder.with_layer(&AuthorizeLayer::new(bearer)).build())
}

#[cfg(test)]
mod tests {
    #[cfg(any(feature = "rustls-tls", feature = "ring", feature = "aws-lc-rs"))]
    use super::require_cryptography;

    #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
    #[test]
    fn a_provider_of_cryptography_is_installed_unless_there_is_one() {
        require_cryptography().unwrap();
        require_cryptography().unwrap();
        #[cfg(feature = "rustls-tls")]
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }

    #[cfg(all(feature = "rustls-tls", not(any(feature = "ring", feature = "aws-lc-rs"))))]
    #[test]
    fn no_provider_of_cryptography_is_an_error() {
        assert!(matches!(require_cryptography(), Err(crate::ConnectFailure::NoCryptoProvider)));
    }
}
