//! [`TransportProblem`]: why no HTTP answer came. Tells refused, name, TLS and time apart by walking the sources, since
//! the outermost error only says that the connection failed.

use std::error::Error;
use std::io;

use clientmgr_core::Cause;

/// No HTTP answer came from the server.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the server was not reached: {unreached}")]
#[non_exhaustive]
pub struct TransportProblem {
    /// How far it went.
    pub unreached: Unreached,
    /// The error of the HTTP client.
    pub source: Cause,
}

/// How a server was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unreached {
    /// Nothing listens there.
    Refused,
    /// There is no route to the host.
    NoRoute,
    /// The host's name could not be resolved.
    Dns,
    /// The TLS handshake failed: an unknown authority, another name, an expired certificate.
    ///
    /// Told with the feature `rustls-tls`. With `openssl-tls` alone it is [`Other`](Self::Other), since the errors of
    /// that one are not known by type.
    Tls,
    /// No answer came in time.
    TimedOut,
    /// The connection was cut.
    Cut,
    /// Something else.
    Other,
}

impl std::fmt::Display for Unreached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused",
            Self::NoRoute => "no route to the host",
            Self::Dns => "the host's name could not be resolved",
            Self::Tls => "the TLS handshake failed",
            Self::TimedOut => "no answer in time",
            Self::Cut => "the connection was cut",
            Self::Other => "the connection failed",
        })
    }
}

impl TransportProblem {
    pub(crate) fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = Cause::new(error);
        Self { unreached: classify(&*source), source }
    }
}

/// Finds the first error in the chain that tells something.
fn classify(error: &(dyn Error + 'static)) -> Unreached {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = recognise(error) {
            return found;
        }
        // An I/O error that wraps another one reports the *source* of that one as its own: look inside first.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    Unreached::Other
}

fn recognise(error: &(dyn Error + 'static)) -> Option<Unreached> {
    #[cfg(feature = "rustls-tls")]
    if error.is::<rustls::Error>() {
        return Some(Unreached::Tls);
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return match error.kind() {
            io::ErrorKind::ConnectionRefused => Some(Unreached::Refused),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Some(Unreached::NoRoute),
            io::ErrorKind::TimedOut => Some(Unreached::TimedOut),
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            // A handshake that is cut short and a body that is cut short alike.
            | io::ErrorKind::UnexpectedEof => Some(Unreached::Cut),
            _ => None,
        };
    }
    // The connection ended before an answer did, in order.
    if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message) {
        return Some(Unreached::Cut);
    }
    // hyper-util keeps the type of this one to itself; its text is all there is to go by. A test holds it in place.
    (error.to_string() == "dns error").then_some(Unreached::Dns)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{TransportProblem, Unreached};

    #[derive(Debug, thiserror::Error)]
    #[error("client error (Connect)")]
    struct Outer(#[source] Box<dyn std::error::Error + Send + Sync>);

    #[derive(Debug, thiserror::Error)]
    #[error("dns error")]
    struct Dns(#[source] io::Error);

    fn found(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Unreached {
        TransportProblem::new(Outer(error.into())).unreached
    }

    #[test]
    fn every_kind_is_found_below_an_error_that_tells_nothing() {
        let table = [
            (io::ErrorKind::ConnectionRefused, Unreached::Refused),
            (io::ErrorKind::HostUnreachable, Unreached::NoRoute),
            (io::ErrorKind::NetworkUnreachable, Unreached::NoRoute),
            (io::ErrorKind::TimedOut, Unreached::TimedOut),
            (io::ErrorKind::ConnectionReset, Unreached::Cut),
            (io::ErrorKind::ConnectionAborted, Unreached::Cut),
            (io::ErrorKind::BrokenPipe, Unreached::Cut),
            (io::ErrorKind::UnexpectedEof, Unreached::Cut),
            (io::ErrorKind::Other, Unreached::Other),
        ];
        for (kind, expected) in table {
            assert_eq!(found(io::Error::from(kind)), expected, "{kind}");
        }
        assert_eq!(found(Dns(io::Error::other("no such host"))), Unreached::Dns);
    }

    #[test]
    fn an_error_wrapped_in_an_io_error_is_found() {
        assert_eq!(found(io::Error::other(io::Error::from(io::ErrorKind::ConnectionRefused))), Unreached::Refused);
        #[cfg(feature = "rustls-tls")]
        assert_eq!(found(io::Error::other(rustls::Error::HandshakeNotComplete)), Unreached::Tls);
    }
}
