//! `/healthz`, `/livez` and `/readyz`, in the real server's format. The caller sets which checks pass.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::wire::{
    route::query_pairs,
    status::{page_not_found, raw_response},
};

const TEXT: &str = "text/plain; charset=utf-8";
/// The check that fails while the test has set the server to not ready (real ones fail it while shutting down).
const SWITCHED: &str = "shutdown";
const CHECKS: [&str; 4] = ["ping", "log", "etcd", "poststarthook/start-apiextensions-controllers"];

/// Answers a health request; `None` for every other path.
pub(crate) fn answer(path: &str, query: Option<&str>, ready: bool) -> Option<Response<Bytes>> {
    let (endpoint, check) = match path.strip_prefix('/')?.split_once('/') {
        Some((endpoint, check)) => (endpoint, Some(check)),
        None => (path.strip_prefix('/')?, None),
    };
    let checks: Vec<(&str, bool)> = match endpoint {
        "healthz" | "livez" => CHECKS.iter().map(|check| (*check, true)).collect(),
        "readyz" => CHECKS.iter().map(|check| (*check, true)).chain([(SWITCHED, ready)]).collect(),
        _ => return None,
    };
    Some(match check.filter(|check| !check.is_empty()) {
        None => all(endpoint, &checks, query.unwrap_or_default()),
        Some(wanted) => match checks.iter().find(|(check, _)| *check == wanted) {
            Some((_, true)) => text(StatusCode::OK, "ok".to_owned()),
            Some((_, false)) => {
                text(StatusCode::INTERNAL_SERVER_ERROR, format!("internal server error: {wanted} failed\n"))
            }
            None => page_not_found(),
        },
    })
}

fn all(endpoint: &str, checks: &[(&str, bool)], query: &str) -> Response<Bytes> {
    let mut verbose = false;
    let mut excluded = Vec::new();
    for (key, value) in query_pairs(query) {
        match key.as_str() {
            "verbose" => verbose = true,
            "exclude" => excluded.push(value),
            _ => {}
        }
    }
    let mut lines = String::new();
    let mut passed = true;
    for (check, good) in checks {
        let line = match (excluded.iter().any(|name| name == check), *good) {
            (true, _) => format!("[+]{check} excluded: ok\n"),
            (false, true) => format!("[+]{check} ok\n"),
            (false, false) => format!("[-]{check} failed: reason withheld\n"),
        };
        passed &= !line.starts_with("[-]");
        lines.push_str(&line);
    }
    match (passed, verbose) {
        (true, false) => text(StatusCode::OK, "ok".to_owned()),
        (true, true) => text(StatusCode::OK, format!("{lines}{endpoint} check passed\n")),
        // A failure is always shown in full.
        (false, _) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{lines}{endpoint} check failed\n")),
    }
}

fn text(code: StatusCode, body: String) -> Response<Bytes> {
    let mut response = raw_response(code, TEXT, body.into());
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probed(path: &str, query: Option<&str>, ready: bool) -> Option<(u16, String)> {
        let response = answer(path, query, ready)?;
        let body = String::from_utf8(response.body().to_vec()).expect("health answers are text");
        Some((response.status().as_u16(), body))
    }

    #[test]
    fn a_ready_server_says_ok_and_only_that() {
        for path in ["/healthz", "/livez", "/readyz", "/readyz/", "/readyz/shutdown", "/livez/ping"] {
            assert_eq!(probed(path, None, true), Some((200, "ok".to_owned())), "{path}");
        }
    }

    #[test]
    fn only_readiness_follows_the_switch() {
        for (path, code) in
            [("/healthz", 200), ("/livez", 200), ("/readyz", 500), ("/readyz/shutdown", 500), ("/readyz/ping", 200)]
        {
            assert_eq!(probed(path, None, false).map(|(code, _)| code), Some(code), "{path}");
        }
    }

    #[test]
    fn a_failure_lists_every_check_without_being_asked() {
        let (_, body) = probed("/readyz", None, false).expect("a health path");
        assert!(body.starts_with("[+]ping ok\n[+]log ok\n[+]etcd ok\n"), "{body}");
        assert!(body.ends_with("[-]shutdown failed: reason withheld\nreadyz check failed\n"), "{body}");
    }

    #[test]
    fn verbose_and_exclude_are_understood() {
        let (code, body) = probed("/livez", Some("verbose"), true).expect("a health path");
        assert_eq!((code, body.lines().last()), (200, Some("livez check passed")));
        let (code, body) = probed("/readyz", Some("verbose&exclude=shutdown"), false).expect("a health path");
        assert!(code == 200 && body.contains("[+]shutdown excluded: ok\n"), "{body}");
    }

    #[test]
    fn other_paths_are_not_answered_here() {
        for path in ["", "/", "/version", "/readyzz", "/api/readyz"] {
            assert_eq!(probed(path, None, true), None, "{path}");
        }
        assert_eq!(probed("/readyz/nonsense", None, true).map(|(code, _)| code), Some(404));
    }
}
