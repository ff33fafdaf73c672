//! [`TransportError`]: why no HTTP answer came. Distinguishes refused, name, TLS and time by walking the sources, since
//! the outermost error only says that the connection failed.

use std::error::Error;
use std::io;

use clientmgr_core::Cause;

use super::chain::chain;

/// No HTTP answer came from the server.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the {peer} was not reached: {unreached}")]
pub(crate) struct TransportError {
    /// How far it went.
    pub unreached: Unreachable,
    /// What was not reached.
    pub peer: Peer,
    /// The error of the HTTP client.
    pub source: Cause,
}

/// The other end of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Server,
    Proxy,
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Proxy => "proxy",
        })
    }
}

/// How a server was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Unreachable {
    /// Nothing listens there.
    Refused,
    /// There is no route to the host.
    NoRoute,
    /// The host's name could not be resolved.
    Dns,
    /// The TLS handshake failed.
    Tls(Handshake),
    /// The proxy refused the connection, or failed.
    Proxy,
    /// The proxy wants a user and a password, or others.
    ProxyLogin,
    /// No answer came in time.
    TimedOut,
    /// The connection was cut.
    Cut,
    /// What answers speaks another protocol than HTTP.
    NoHttp,
    /// Something else.
    Other,
}

/// Why a TLS handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(feature = "rustls-tls"), expect(dead_code, reason = "only rustls says it"))]
pub(crate) enum Handshake {
    /// The server's certificate is signed by an authority that is not trusted.
    UnknownAuthority,
    /// The server's certificate has expired, or is not valid yet.
    NotInTime,
    /// The server's certificate is for another name.
    OtherName,
    /// The server refused the client certificate, or wants one.
    ClientCertificate,
    /// Something else.
    Other,
}

impl Handshake {
    fn text(self) -> &'static str {
        match self {
            Self::UnknownAuthority => {
                "the TLS handshake failed: an unknown authority signed the server's certificate: correct \
                 certificate-authority-data"
            }
            Self::NotInTime => {
                "the TLS handshake failed: the server's certificate has expired or is not valid yet: renew it"
            }
            Self::OtherName => {
                "the TLS handshake failed: the server's certificate is for another name: set tls-server-name"
            }
            Self::ClientCertificate => "the TLS handshake failed: the server refused the client certificate: renew it",
            Self::Other => "the TLS handshake failed",
        }
    }
}

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused",
            Self::NoRoute => "no route to the host",
            Self::Dns => "the host's name could not be resolved",
            Self::Tls(handshake) => handshake.text(),
            Self::Proxy => "the proxy refused or failed the connection: look at proxy-url",
            Self::ProxyLogin => "the proxy refused the user and password, or wants some: correct those in proxy-url",
            Self::TimedOut => "no answer in time",
            Self::Cut => "the connection was cut",
            Self::NoHttp => "what answers does not speak HTTP",
            Self::Other => "the connection failed",
        })
    }
}

impl TransportError {
    pub(crate) fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = Cause::new(error);
        let is_of_proxy = chain(&*source).any(|error| error.to_string() == TO_PROXY);
        let peer = if is_of_proxy { Peer::Proxy } else { Peer::Server };
        Self { unreached: classify(&*source), peer, source }
    }

    /// Whether a SOCKS proxy takes no login, or has no way to.
    #[cfg(feature = "socks5")]
    pub(crate) fn is_no_login_wanted(error: &(dyn Error + 'static)) -> bool {
        chain(error).any(|error| matches!(error.to_string().as_str(), NO_LOGIN | OTHER_METHOD))
    }
}

#[cfg(feature = "rustls-tls")]
pub(crate) type TlsError = rustls::Error;
/// Without rustls none is found: connections fail with no error of this type.
#[cfg(not(feature = "rustls-tls"))]
pub(crate) type TlsError = std::sync::Arc<io::Error>;

/// A request that failed because its connection was refused, with the TLS error of that.
#[derive(Debug, thiserror::Error)]
#[error("{refusal}")]
pub(crate) struct Refused {
    pub(crate) refusal: TlsError,
    #[source]
    pub(crate) failed: Box<dyn Error + Send + Sync>,
}

/// How hyper-util words these.
const TO_PROXY: &str = "tunnel error: failed to create underlying connection";
const NO_LOGIN: &str = "SOCKS error: server does not support user/pass authentication";
#[cfg(feature = "socks5")]
const OTHER_METHOD: &str = "SOCKS error: server implements authentication incorrectly";

/// Finds the first error in the chain that says something.
fn classify(error: &(dyn Error + 'static)) -> Unreachable {
    chain(error).find_map(recognise).unwrap_or(Unreachable::Other)
}

fn recognise(error: &(dyn Error + 'static)) -> Option<Unreachable> {
    #[cfg(feature = "rustls-tls")]
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(Unreachable::Tls(handshake(error)));
    }
    #[cfg(feature = "rustls-tls")]
    if let Some(refused) = error.downcast_ref::<Refused>() {
        return Some(Unreachable::Tls(handshake(&refused.refusal)));
    }
    // Its other errors are those of the connection, which are its source.
    #[cfg(feature = "openssl-tls")]
    if error.downcast_ref::<openssl::ssl::Error>().is_some_and(|error| error.ssl_error().is_some()) {
        return Some(Unreachable::Tls(Handshake::Other));
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return match error.kind() {
            io::ErrorKind::ConnectionRefused => Some(Unreachable::Refused),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Some(Unreachable::NoRoute),
            io::ErrorKind::TimedOut => Some(Unreachable::TimedOut),
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            // A handshake that is cut short and a body that is cut short alike.
            | io::ErrorKind::UnexpectedEof => Some(Unreachable::Cut),
            _ => None,
        };
    }
    if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
        return Some(Unreachable::NoHttp);
    }
    // The connection ended before an answer did, in order.
    if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message) {
        return Some(Unreachable::Cut);
    }
    // hyper-util keeps the types of these to itself; their texts are all there is to go by. Tests hold them in place.
    match error.to_string().as_str() {
        "dns error" => Some(Unreachable::Dns),
        "tunnel error: proxy authorization required" | NO_LOGIN | "SOCKS error: credentials not accepted" => {
            Some(Unreachable::ProxyLogin)
        }
        text if text.starts_with("tunnel error: ") || text.starts_with("SOCKS error: ") => {
            // Where there is a source, that says more: the handshake with the proxy failed, say.
            error.source().is_none().then_some(Unreachable::Proxy)
        }
        _ => None,
    }
}

#[cfg(feature = "rustls-tls")]
fn handshake(error: &rustls::Error) -> Handshake {
    use rustls::{AlertDescription as Alert, CertificateError as Certificate};

    match error {
        // The latter is an authority of the same name with another key.
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer | Certificate::BadSignature) => {
            Handshake::UnknownAuthority
        }
        rustls::Error::InvalidCertificate(
            Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. },
        ) => Handshake::NotInTime,
        rustls::Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => Handshake::OtherName,
        rustls::Error::AlertReceived(
            Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::CertificateRequired,
        ) => Handshake::ClientCertificate,
        _ => Handshake::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{TransportError, Unreachable};

    #[derive(Debug, thiserror::Error)]
    #[error("client error (Connect)")]
    struct Outer(#[source] Box<dyn std::error::Error + Send + Sync>);

    #[derive(Debug, thiserror::Error)]
    #[error("dns error")]
    struct Dns(#[source] io::Error);

    fn found(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Unreachable {
        TransportError::new(Outer(error.into())).unreached
    }

    #[test]
    fn every_kind_is_found_below_an_error_that_says_nothing() {
        let table = [
            (io::ErrorKind::ConnectionRefused, Unreachable::Refused),
            (io::ErrorKind::HostUnreachable, Unreachable::NoRoute),
            (io::ErrorKind::NetworkUnreachable, Unreachable::NoRoute),
            (io::ErrorKind::TimedOut, Unreachable::TimedOut),
            (io::ErrorKind::ConnectionReset, Unreachable::Cut),
            (io::ErrorKind::ConnectionAborted, Unreachable::Cut),
            (io::ErrorKind::BrokenPipe, Unreachable::Cut),
            (io::ErrorKind::UnexpectedEof, Unreachable::Cut),
            (io::ErrorKind::Other, Unreachable::Other),
        ];
        for (kind, expected) in table {
            assert_eq!(found(io::Error::from(kind)), expected, "{kind}");
        }
        assert_eq!(found(Dns(io::Error::other("no such host"))), Unreachable::Dns);
    }

    #[test]
    fn an_error_wrapped_in_an_io_error_is_found() {
        assert_eq!(found(io::Error::other(io::Error::from(io::ErrorKind::ConnectionRefused))), Unreachable::Refused);
        #[cfg(feature = "rustls-tls")]
        assert_eq!(
            found(io::Error::other(rustls::Error::HandshakeNotComplete)),
            Unreachable::Tls(super::Handshake::Other)
        );
    }

    #[cfg(feature = "rustls-tls")]
    #[test]
    fn a_failed_handshake_says_why() {
        use rustls::{AlertDescription as Alert, CertificateError as Certificate, Error};

        use super::Handshake;

        let table = [
            (Error::InvalidCertificate(Certificate::UnknownIssuer), Handshake::UnknownAuthority),
            (Error::InvalidCertificate(Certificate::Expired), Handshake::NotInTime),
            (Error::InvalidCertificate(Certificate::NotValidYet), Handshake::NotInTime),
            (Error::InvalidCertificate(Certificate::NotValidForName), Handshake::OtherName),
            (Error::InvalidCertificate(Certificate::BadSignature), Handshake::UnknownAuthority),
            (Error::InvalidCertificate(Certificate::BadEncoding), Handshake::Other),
            (Error::AlertReceived(Alert::CertificateExpired), Handshake::ClientCertificate),
            (Error::AlertReceived(Alert::CertificateRequired), Handshake::ClientCertificate),
            (Error::AlertReceived(Alert::UnknownCA), Handshake::ClientCertificate),
            (Error::AlertReceived(Alert::ProtocolVersion), Handshake::Other),
        ];
        for (error, expected) in table {
            let text = format!("{error}");
            assert_eq!(found(io::Error::other(error)), Unreachable::Tls(expected), "{text}");
        }
    }
}
