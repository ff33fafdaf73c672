//! [`Refusals`]: the TLS errors of a pool's connections. With TLS 1.3 a server refuses a client certificate after the handshake
//! of this side, so on a request. Over HTTP/2 that request fails with the text of it at most: h2 keeps no types.

use std::error::Error;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::body::BoxError;
use crate::error::{Refused, TlsError, chain};

/// A request fails so soon after its connection.
const SOON: Duration = Duration::from_secs(5);

/// See the [module](self).
#[derive(Default)]
pub(super) struct Refusals(Mutex<Noted>);

/// How many there were, and the last one.
#[derive(Default)]
struct Noted {
    count: u64,
    last: Option<(TlsError, Instant)>,
}

impl Refusals {
    /// Notes the TLS error of a connection. Any other error says enough by itself.
    pub(super) fn note(&self, error: &io::Error) {
        if let Some(error) = tls_error(error) {
            let last = (error.to_owned(), Instant::now());
            let mut noted = self.lock();
            noted.count += 1;
            noted.last = Some(last);
        }
    }

    /// How many there were so far.
    pub(super) fn count(&self) -> u64 {
        self.lock().count
    }

    /// Adds to `error` of a request the TLS error that came just now, and since there were `before`, if it has none of its own.
    pub(super) fn explain(&self, before: u64, error: BoxError) -> BoxError {
        if tls_error(&*error).is_some() {
            return error;
        }
        match self.since(before) {
            Some((refusal, at)) if at.elapsed() < SOON => Refused { refusal, failed: error }.into(),
            _ => error,
        }
    }

    fn since(&self, before: u64) -> Option<(TlsError, Instant)> {
        let noted = self.lock();
        noted.last.clone().filter(|_| noted.count > before)
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    chain(error).find_map(|error| error.downcast_ref())
}

#[cfg(all(test, feature = "rustls-tls"))]
mod tests {
    use std::io;

    use rustls::{AlertDescription, Error};

    use super::Refusals;
    use crate::error::{Handshake, TransportError, Unreachable, chain};

    #[test]
    fn a_request_is_explained_by_a_refusal_that_came_after_it_began_and_keeps_its_causes() {
        let refusals = Refusals::default();
        let failed = || Box::new(io::Error::other(io::Error::from(io::ErrorKind::BrokenPipe)));
        refusals.note(&io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(refusals.count(), 0, "that says nothing more");
        refusals.note(&io::Error::other(Error::AlertReceived(AlertDescription::CertificateRequired)));
        let unreached = |before| TransportError::new(refusals.explain(before, failed())).unreached;
        assert_eq!(unreached(0), Unreachable::Tls(Handshake::ClientCertificate));
        assert_eq!(unreached(1), Unreachable::Cut);
        let explained = refusals.explain(0, failed());
        assert!(chain(&*explained).any(|error| error.to_string() == "broken pipe"), "{explained:?}");
    }
}
