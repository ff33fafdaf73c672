//! Proving that an API answers, and that the credentials are good. What an answer proves is decided by a pure function.

use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Limited};
use kube::Client;
use kube::client::Body;
use serde_json::Value;

use crate::config::translate;
use crate::error::Failure;

/// What is read at most of an answer.
const ANSWER_LIMIT: usize = 256 * 1024;

/// How long a server is left alone at most, however long it asked for: a slip of a proxy must not take a cluster away
/// for a year.
const RETRY_LIMIT: Duration = Duration::from_secs(300);

const REVIEW: &str = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;

/// What was proven when a cluster was connected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proof {
    /// The API answers, and it took the credentials for this user's.
    Credentials {
        /// The user's name, as the server knows it.
        user: String,
    },
    /// The API answers. What it makes of the credentials is not known, since it does not tell who asks: it is an old
    /// one, or the user is not allowed to know.
    Api,
}

/// Which request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// Who am I?
    Review,
    /// Which version is this?
    Version,
}

/// What an answer means.
#[derive(Debug)]
enum Verdict {
    Proven(Proof),
    /// This does not settle it: ask for the version.
    AskForVersion,
    Failed(Failure),
}

/// Asks the API of `client` who it takes us for; each request has the deadline.
///
/// `/version` and the health endpoints are open to anybody, so they prove nothing of the credentials.
pub(crate) async fn prove(client: &Client, deadline: Duration) -> Result<Proof, Failure> {
    for asked in [Asked::Review, Asked::Version] {
        let answer = match tokio::time::timeout(deadline, ask(client, asked)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(Failure::DeadlinePassed { deadline }),
        };
        match judge(asked, &answer) {
            Verdict::Proven(proof) => return Ok(proof),
            Verdict::Failed(failure) => return Err(failure),
            Verdict::AskForVersion => {}
        }
    }
    Err(Failure::NotKubernetes { path: asked.path() })
}

async fn ask(client: &Client, asked: Asked) -> Result<Answer, Failure> {
    let (method, path, body) = match asked {
        Asked::Review => {
            (Method::POST, "/apis/authentication.k8s.io/v1/selfsubjectreviews", REVIEW.as_bytes().to_vec())
        }
        Asked::Version => (Method::GET, "/version", Vec::new()),
    };
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = method;
    *request.uri_mut() = http::Uri::from_static(path);
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Sent raw: kube's own reading of an error loses the HTTP status.
    let response = client.send(request).await.map_err(translate::unanswered)?;
    Answer::read(response).await
}

/// An HTTP answer as far as it matters.
#[derive(Debug)]
struct Answer {
    status: u16,
    retry_after: Option<Duration>,
    /// The body, where it is JSON.
    body: Option<Value>,
}

impl Answer {
    async fn read(response: Response<Body>) -> Result<Self, Failure> {
        let (head, body) = response.into_parts();
        let retry_after = head.headers.get(RETRY_AFTER).and_then(delay);
        let body = match Limited::new(body, ANSWER_LIMIT).collect().await {
            Ok(body) => serde_json::from_slice(&body.to_bytes()).ok(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => None,
            Err(error) => return Err(translate::cut_off(error)),
        };
        Ok(Self { status: head.status.as_u16(), retry_after, body })
    }

    /// Whether the API server itself speaks, and not something before it.
    fn is_of_kubernetes(&self) -> bool {
        self.body.as_ref().is_some_and(|body| body["kind"] == "Status")
    }
}

/// The delay that a `Retry-After` asks for, in seconds; its other form, a date, is not one that API servers use.
fn delay(value: &HeaderValue) -> Option<Duration> {
    let seconds = value.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_LIMIT))
}

fn judge(asked: Asked, answer: &Answer) -> Verdict {
    let field = |pointer: &str| answer.body.as_ref()?.pointer(pointer)?.as_str();
    match (asked, answer.status) {
        (_, 401) => Verdict::Failed(Failure::Unauthorized),
        (Asked::Review, 200..=299) => match field("/status/userInfo/username") {
            Some(user) => Verdict::Proven(Proof::Credentials { user: user.to_owned() }),
            None => Verdict::Failed(Failure::NotKubernetes { path: asked.path() }),
        },
        // 404: the API is older than the question. 405: it knows the path for something else. 403: not for this user.
        (Asked::Review, 403..=405) => Verdict::AskForVersion,
        (Asked::Version, 200..=299) if field("/gitVersion").is_some() => Verdict::Proven(Proof::Api),
        (Asked::Version, 200..=299) => Verdict::Failed(Failure::NotKubernetes { path: asked.path() }),
        // The user may not do this either, but it is the API that says so: the connection is fine.
        (Asked::Version, 403) if answer.is_of_kubernetes() => Verdict::Proven(Proof::Api),
        (_, status) => Verdict::Failed(Failure::Status { status, retry_after: answer.retry_after }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::{Answer, Asked, HeaderValue, RETRY_LIMIT, Verdict, delay, judge};

    #[test]
    fn a_server_is_left_alone_as_long_as_it_asks_and_never_for_long() {
        let limit = RETRY_LIMIT.as_secs();
        let table = [
            ("0", Some(0)),
            ("17", Some(17)),
            ("300", Some(limit)),
            ("301", Some(limit)),
            ("18446744073709551615", Some(limit)),
            ("18446744073709551616", None),
            ("-1", None),
            ("", None),
            ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ];
        for (value, expected) in table {
            let found = delay(&HeaderValue::from_static(value));
            assert_eq!(found, expected.map(Duration::from_secs), "{value:?}");
        }
    }

    fn verdict(asked: Asked, status: u16, body: Option<Value>) -> String {
        match judge(asked, &Answer { status, retry_after: Some(Duration::from_secs(1)), body }) {
            Verdict::Proven(proof) => format!("{proof:?}"),
            Verdict::AskForVersion => "ask".into(),
            Verdict::Failed(failure) => failure.to_string(),
        }
    }

    #[test]
    fn every_answer_has_its_verdict() {
        let review = || Some(json!({ "status": { "userInfo": { "username": "me" } } }));
        let version = || Some(json!({ "gitVersion": "v1.36.0" }));
        let status = || Some(json!({ "kind": "Status" }));
        let login = || Some(json!({ "login": "please" }));
        let stranger = "what answered is no Kubernetes API server";
        let refused = "the server refused the credentials";
        let code = |code: u16| format!("the server answered with status {code}");
        let table = [
            (Asked::Review, 201, review(), "Credentials { user: \"me\" }".to_owned()),
            (Asked::Review, 200, review(), "Credentials { user: \"me\" }".into()),
            (Asked::Review, 200, login(), stranger.into()),
            (Asked::Review, 200, None, stranger.into()),
            (Asked::Review, 302, None, code(302)),
            (Asked::Review, 401, status(), refused.into()),
            (Asked::Review, 403, status(), "ask".into()),
            (Asked::Review, 404, None, "ask".into()),
            (Asked::Review, 405, None, "ask".into()),
            (Asked::Review, 429, status(), code(429)),
            (Asked::Review, 503, None, code(503)),
            (Asked::Version, 200, version(), "Api".into()),
            (Asked::Version, 200, login(), stranger.into()),
            (Asked::Version, 200, None, stranger.into()),
            (Asked::Version, 401, None, refused.into()),
            (Asked::Version, 403, status(), "Api".into()),
            (Asked::Version, 403, login(), code(403)),
            (Asked::Version, 404, status(), code(404)),
            (Asked::Version, 500, status(), code(500)),
        ];
        for (asked, status, body, expected) in table {
            assert_eq!(verdict(asked, status, body.clone()), expected, "{asked:?} {status} {body:?}");
        }
    }
}
