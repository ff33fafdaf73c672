//! [`chain`]: an error with all that it is caused by.

use std::error::Error;
use std::io;

/// Returns `error`, its source, the source of that and so on. Looks inside I/O errors and those of h2.
pub(crate) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // An I/O error that wraps another one reports the *source* of that one as its own: look inside first.
        if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            return Some(inner as &(dyn Error + 'static));
        }
        // h2 reports no source.
        match error.downcast_ref::<h2::Error>().and_then(h2::Error::get_io) {
            Some(io) => Some(io),
            None => error.source(),
        }
    })
}
