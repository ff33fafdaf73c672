//! TLS by the stack that the features choose, as kube chooses: rustls before OpenSSL.

mod fingerprint;
#[cfg(all(feature = "openssl-tls", not(feature = "rustls-tls")))]
mod openssl;
#[cfg(not(any(feature = "rustls-tls", feature = "openssl-tls")))]
mod plain;
#[cfg(feature = "rustls-tls")]
mod rustls;
#[cfg(feature = "rustls-tls")]
mod sessions;

pub(crate) use self::fingerprint::{Offer, TlsFingerprint, fingerprint};
#[cfg(all(feature = "openssl-tls", not(feature = "rustls-tls")))]
pub(crate) use self::openssl::{Tls, TlsCache, TlsConnector};
#[cfg(not(any(feature = "rustls-tls", feature = "openssl-tls")))]
pub(crate) use self::plain::{Tls, TlsCache, TlsConnector};
#[cfg(feature = "rustls-tls")]
pub(crate) use self::rustls::{Tls, TlsCache, TlsConnector};
