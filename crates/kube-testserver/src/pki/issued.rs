//! What an authority issues.

/// A certificate and its key, both as PEM text, and the certificate as it goes over the wire.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
    pub(crate) der: Vec<u8>,
}

/// Whether a server certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validity {
    Good,
    Expired,
}
