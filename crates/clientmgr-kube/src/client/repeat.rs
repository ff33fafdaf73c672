//! Requests that a server did not take, and that are sent once more on another connection.
//!
//! A kube-apiserver ends an HTTP/2 connection after each 401, gracefully. A request that is on its way then fails with
//! GOAWAY, though nothing is wrong with it. The frame names the last stream that the server took, and h2 fails exactly the
//! later ones with this error: such a request did nothing, whatever its method. Go's own client repeats it too. A request
//! that the server took fails otherwise, and its error is passed on.

use std::error::Error;

use http::Request;
use kube::client::Body;

use crate::error::chain;

/// How often one request is repeated.
pub(super) const REPEATS: usize = 3;

/// Returns whether the server says that it did not take the request: it ended the connection without an error before
/// that, or refused the stream.
pub(super) fn was_turned_away(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|error| {
        error.downcast_ref::<h2::Error>().is_some_and(|error| {
            let reason = error.reason();
            error.is_remote()
                && ((error.is_go_away() && reason == Some(h2::Reason::NO_ERROR))
                    || (error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM)))
        })
    })
}

/// Returns a copy of a request whose body is in memory.
pub(super) fn try_clone(request: &Request<Body>) -> Option<Request<Body>> {
    let mut copy = Request::new(request.body().try_clone()?);
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    copy.extensions_mut().clone_from(request.extensions());
    *copy.version_mut() = request.version();
    Some(copy)
}

#[cfg(all(test, feature = "rustls-tls", feature = "ring"))]
#[path = "goaway_tests.rs"]
mod goaway_tests;

#[cfg(test)]
mod tests {
    use std::io;

    use http::{Method, Request};
    use kube::client::Body;

    use super::{try_clone, was_turned_away};

    #[test]
    fn a_copy_is_the_request() {
        let request = Request::builder().method(Method::POST).uri("/api").header("accept", "a");
        let copy = try_clone(&request.body(Body::from(b"text".to_vec())).unwrap()).unwrap();
        assert_eq!((copy.method(), copy.uri().path()), (&Method::POST, "/api"));
        assert_eq!(copy.headers()["accept"], "a");
    }

    #[test]
    fn an_error_of_our_own_side_or_of_the_network_is_no_refusal() {
        let ours = h2::Error::from(h2::Reason::NO_ERROR);
        let cut = io::Error::new(io::ErrorKind::ConnectionReset, "cut");
        assert!(!was_turned_away(&ours) && !was_turned_away(&cut));
    }
}
