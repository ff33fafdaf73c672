//! Whether connections are encrypted, and which versions of HTTP they may speak.

/// HTTP/2's name in a TLS handshake.
pub(crate) const H2: &[u8] = b"h2";

/// Whether connections are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    Tls,
    Plain,
}

/// The versions of HTTP that are offered in a TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocols {
    Http2AndHttp1,
    Http1,
}

impl Protocols {
    /// The names of the protocols, the preferred one first.
    pub(crate) fn alpn(self) -> Vec<Vec<u8>> {
        let names: &[&[u8]] = match self {
            Self::Http2AndHttp1 => &[H2, b"http/1.1"],
            Self::Http1 => &[b"http/1.1"],
        };
        names.iter().map(|name| name.to_vec()).collect()
    }
}
