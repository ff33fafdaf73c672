//! [`Refusals`]: the TLS errors of a pool's connections. With TLS 1.3 a server refuses a client certificate after the handshake
//! of this side, so on a request. Over HTTP/2 that request fails with the text of it at most: h2 keeps no types.

use std::error::Error;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::body::BoxError;
use crate::error::chain;

#[cfg(feature = "rustls-tls")]
type TlsError = rustls::Error;
/// Without rustls none is found: connections fail with no error of this type.
#[cfg(not(feature = "rustls-tls"))]
type TlsError = std::sync::Arc<io::Error>;

/// See the [module](self).
#[derive(Default)]
pub(super) struct Refusals(Mutex<Noted>);

/// The last one, and how many there were.
#[derive(Default)]
struct Noted {
    count: u64,
    last: Option<TlsError>,
}

/// A request that failed with its connection.
#[derive(Debug, thiserror::Error)]
#[error("{failed}")]
struct Refused {
    failed: BoxError,
    source: TlsError,
}

impl Refusals {
    /// Notes the TLS error of a connection. Any other error says enough by itself.
    pub(super) fn note(&self, error: &io::Error) {
        if let Some(error) = tls_error(error) {
            let mut noted = self.lock();
            noted.count += 1;
            noted.last = Some(error.to_owned());
        }
    }

    /// How many there were so far.
    pub(super) fn count(&self) -> u64 {
        self.lock().count
    }

    /// Adds to `error` of a request the TLS error that came since there were `before`, if it has none of its own.
    pub(super) fn explain(&self, before: u64, error: BoxError) -> BoxError {
        let noted = self.lock();
        match &noted.last {
            Some(source) if noted.count > before && tls_error(&*error).is_none() => {
                Refused { failed: error, source: source.to_owned() }.into()
            }
            _ => error,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    chain(error).find_map(|error| error.downcast_ref())
}
