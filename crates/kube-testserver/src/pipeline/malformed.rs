//! Requests that a real server's HTTP layer refuses before it authenticates them: they are no API request, and the
//! request log does not have them.

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version, header};

use crate::{
    pipeline::body::ResponseBody,
    wire::{route::is_well_escaped, status::raw_response},
};

/// How many headers a request may have. A real server counts their bytes, which come to more.
pub(crate) const MOST_HEADERS: usize = 1_000;

/// The answer to a path whose escapes are broken.
pub(crate) fn refuse_path(path: &str) -> Option<Response<ResponseBody>> {
    (!is_well_escaped(path)).then(|| bad_request("400 Bad Request"))
}

/// The answer to a request over HTTP/1.1 that does not name one host.
pub(crate) fn refuse_host<B>(request: &Request<B>) -> Option<Response<ResponseBody>> {
    if request.version() != Version::HTTP_11 {
        return None;
    }
    match request.headers().get_all(header::HOST).iter().count() {
        0 => Some(bad_request("400 Bad Request: missing required Host header")),
        1 => None,
        _ => Some(bad_request("400 Bad Request: too many Host headers")),
    }
}

fn bad_request(words: &'static str) -> Response<ResponseBody> {
    let answer =
        raw_response(StatusCode::BAD_REQUEST, "text/plain; charset=utf-8", Bytes::from_static(words.as_bytes()));
    let mut answer = answer.map(ResponseBody::whole);
    answer.headers_mut().insert(header::CONNECTION, http::HeaderValue::from_static("close"));
    answer
}
