//! Requests that a server did not take, and may be sent once more on another connection.
//!
//! A kube-apiserver ends an HTTP/2 connection after each 401, gracefully. A request that is on its way then fails with
//! GOAWAY, though nothing is wrong with it. Go's own client repeats it, and so does this one where the method is safe.

use std::error::Error;

use http::{Method, Request};
use kube::client::Body;

/// How often one request is repeated.
pub(super) const REPEATS: usize = 3;

/// Returns a copy of `request` to repeat it with, where repeating it cannot do anything twice.
pub(super) fn copy_of(request: &Request<Body>) -> Option<Request<Body>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return None;
    }
    try_clone(request)
}

/// Returns whether the server ended the connection without an error, and did not take the request.
pub(super) fn was_turned_away(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source()).any(|error| {
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

#[cfg(test)]
mod tests {
    use std::io;

    use http::{Method, Request};
    use kube::client::Body;

    use super::{copy_of, was_turned_away};

    fn request(method: Method) -> Request<Body> {
        Request::builder().method(method).uri("/api").header("accept", "a").body(Body::empty()).unwrap()
    }

    #[test]
    fn only_requests_that_change_nothing_are_repeated() {
        for (method, repeats) in [
            (Method::GET, true),
            (Method::HEAD, true),
            (Method::POST, false),
            (Method::PUT, false),
            (Method::PATCH, false),
            (Method::DELETE, false),
        ] {
            let copy = copy_of(&request(method.clone()));
            assert_eq!(copy.is_some(), repeats, "{method}");
            assert!(copy.is_none_or(|copy| copy.headers()["accept"] == "a" && copy.uri() == "/api"));
        }
    }

    #[test]
    fn an_error_of_our_own_side_or_of_the_network_is_no_refusal() {
        let ours = h2::Error::from(h2::Reason::NO_ERROR);
        let cut = io::Error::new(io::ErrorKind::ConnectionReset, "cut");
        assert!(!was_turned_away(&ours) && !was_turned_away(&cut));
    }
}
