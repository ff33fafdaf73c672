//! What an answer of a server means. Pure: an answer goes in, a verdict comes out.

use std::time::Duration;

use http::HeaderValue;
use serde_json::Value;

use crate::config::ClusterIdentity;
use crate::error::Failure;

/// A server is left alone at most this long, however long it asks for: a slip of a proxy must not take a cluster away
/// for a year.
const RETRY_LIMIT: Duration = Duration::from_secs(300);

/// The longest name of a version or a user, in bytes.
const NAME_LIMIT: usize = 1_024;

/// What a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Which user am I? Every user may ask, and an anonymous one may not: it proves the credentials.
    Review,
    /// Which version is this?
    Version,
    /// Is the API server ready?
    Ready,
    /// Which cluster is this? Where it is answered it proves all there is to prove: only a Kubernetes API has this
    /// namespace, and credentials that are wrong are refused before anything is looked up.
    Identity,
}

/// An HTTP answer as far as it matters.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    /// The body, where it is JSON.
    pub(super) body: Option<Value>,
}

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The answer to [`Question::Review`]: the user's name, as the server knows it.
    User(String),
    /// The answer to [`Question::Version`].
    Version(Option<String>),
    /// The answer to [`Question::Identity`].
    Identity(ClusterIdentity),
    /// The server answers, but this user may not know, or the user's name is none that can be shown. Another question must prove that it is an API server.
    Hidden,
    /// The question is answered, and that is all there is to know.
    Fine,
    Failed(Problem),
}

/// A failure, comparable in tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    Unauthorized,
    NotKubernetes,
    Status,
}

impl Question {
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Review => "/apis/authentication.k8s.io/v1/selfsubjectreviews",
            Self::Version => "/version",
            Self::Ready => "/readyz",
            Self::Identity => "/api/v1/namespaces/kube-system",
        }
    }

    /// The failure that `problem` is, where `answer` was given.
    pub(super) fn failure(self, problem: Problem, answer: &Answer) -> Failure {
        match problem {
            Problem::Unauthorized => Failure::Unauthorized,
            Problem::NotKubernetes => Failure::NotKubernetes { path: self.path() },
            Problem::Status => Failure::Status { status: answer.status, retry_after: answer.retry_after },
        }
    }
}

impl Answer {
    /// Whether the API server itself speaks, and not something before it.
    fn is_of_kubernetes(&self) -> bool {
        self.body.as_ref().is_some_and(|body| body["kind"] == "Status")
    }

    /// The UID of the namespace `kube-system`, where this is that namespace.
    fn kube_system_uid(&self) -> Option<ClusterIdentity> {
        let is_it = self.text("/kind") == Some("Namespace") && self.text("/metadata/name") == Some("kube-system");
        self.text("/metadata/uid").filter(|_| is_it).and_then(ClusterIdentity::by_uid)
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.body.as_ref()?.pointer(pointer)?.as_str()
    }
}

/// The delay that a `Retry-After` asks for, in seconds. API servers do not use its other form, a date.
pub(super) fn delay(value: &HeaderValue) -> Option<Duration> {
    let seconds = value.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_LIMIT))
}

/// Whether `text` is what a name may be. It goes into snapshots, logs and a status, and the server may send anything.
fn is_name(text: &str) -> bool {
    text.len() <= NAME_LIMIT && !text.contains(char::is_control)
}

pub(super) fn judge(question: Question, answer: &Answer) -> Verdict {
    match (question, answer.status) {
        (_, 401) => Verdict::Failed(Problem::Unauthorized),
        (Question::Identity, 403 | 404) if answer.is_of_kubernetes() => Verdict::Hidden,
        // To a login page, say. An API server does not send these questions elsewhere. And only the API itself keeps its
        // identity from a user: a proxy that answers so says nothing of the cluster behind it.
        (_, 300..=399) | (Question::Identity, 403 | 404) => Verdict::Failed(Problem::NotKubernetes),
        (Question::Review, 200..=299) => match answer.text("/status/userInfo/username") {
            Some(user) if is_name(user) => Verdict::User(user.to_owned()),
            Some(_) => Verdict::Hidden,
            None => Verdict::Failed(Problem::NotKubernetes),
        },
        // 404: the API is older than the question. 405: it knows the path for something else. 403: not for this user.
        // Old servers and some proxies have no /readyz, and a server that starts refuses it too.
        (Question::Review | Question::Ready, 403..=405) => Verdict::Hidden,
        (Question::Version, 200..=299) => match answer.text("/gitVersion") {
            Some(version) => Verdict::Version(Some(version.to_owned()).filter(|version| is_name(version))),
            None => Verdict::Failed(Problem::NotKubernetes),
        },
        // This user may not ask for it, but it is the API that says so.
        (Question::Version, 403) if answer.is_of_kubernetes() => Verdict::Version(None),
        (Question::Ready, 200..=299) => Verdict::Fine,
        (Question::Identity, 200..=299) => match answer.kube_system_uid() {
            Some(identity) => Verdict::Identity(identity),
            None => Verdict::Failed(Problem::NotKubernetes),
        },
        _ => Verdict::Failed(Problem::Status),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::{Answer, HeaderValue, Problem, Question, RETRY_LIMIT, Verdict, delay, judge};
    use crate::config::ClusterIdentity;

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

    #[test]
    fn every_answer_has_its_verdict() {
        let review = || Some(json!({ "status": { "userInfo": { "username": "me" } } }));
        let version = || Some(json!({ "gitVersion": "v1.36.0" }));
        let status = || Some(json!({ "kind": "Status" }));
        let login = || Some(json!({ "login": "please" }));
        let named = |name| Some(json!({ "kind": "Namespace", "metadata": { "name": name, "uid": "u-1" } }));
        let namespace = || named("kube-system");
        let stranger = || Verdict::Failed(Problem::NotKubernetes);
        let failed = || Verdict::Failed(Problem::Status);
        let refused = || Verdict::Failed(Problem::Unauthorized);
        let table: Vec<(Question, u16, Option<Value>, Verdict)> = vec![
            (Question::Review, 201, review(), Verdict::User("me".into())),
            (Question::Review, 200, review(), Verdict::User("me".into())),
            (Question::Review, 200, login(), stranger()),
            (Question::Review, 200, None, stranger()),
            (Question::Review, 302, None, stranger()),
            (Question::Identity, 307, login(), stranger()),
            (Question::Review, 401, status(), refused()),
            (Question::Review, 403, status(), Verdict::Hidden),
            (Question::Review, 404, None, Verdict::Hidden),
            (Question::Review, 405, None, Verdict::Hidden),
            (Question::Review, 429, status(), failed()),
            (Question::Review, 503, None, failed()),
            (Question::Version, 200, version(), Verdict::Version(Some("v1.36.0".into()))),
            (Question::Version, 200, login(), stranger()),
            (Question::Version, 200, Some(json!({ "gitVersion": "v1\u{1b}[31m" })), Verdict::Version(None)),
            (Question::Version, 200, Some(json!({ "gitVersion": "v".repeat(1_025) })), Verdict::Version(None)),
            (Question::Review, 200, Some(json!({ "status": { "userInfo": { "username": "a\0" } } })), Verdict::Hidden),
            (Question::Version, 200, None, stranger()),
            (Question::Version, 401, None, refused()),
            (Question::Version, 403, status(), Verdict::Version(None)),
            (Question::Version, 403, login(), failed()),
            (Question::Version, 404, status(), failed()),
            (Question::Version, 500, status(), failed()),
            (Question::Ready, 200, None, Verdict::Fine),
            (Question::Ready, 404, None, Verdict::Hidden),
            (Question::Ready, 403, status(), Verdict::Hidden),
            (Question::Ready, 401, status(), refused()),
            (Question::Ready, 500, None, failed()),
            (Question::Ready, 503, None, failed()),
            (Question::Identity, 200, namespace(), Verdict::Identity(ClusterIdentity::by_uid("u-1").unwrap())),
            (Question::Identity, 200, login(), stranger()),
            (Question::Identity, 200, named("default"), stranger()),
            (Question::Identity, 200, Some(json!({ "metadata": { "name": "kube-system", "uid": "u-1" } })), stranger()),
            (
                Question::Identity,
                200,
                Some(json!({ "kind": "Namespace", "metadata": { "name": "kube-system" } })),
                stranger(),
            ),
            (Question::Identity, 200, None, stranger()),
            (Question::Identity, 403, status(), Verdict::Hidden),
            (Question::Identity, 404, status(), Verdict::Hidden),
            (Question::Identity, 403, login(), stranger()),
            (Question::Identity, 404, None, stranger()),
            (Question::Identity, 401, status(), refused()),
            (Question::Identity, 503, status(), failed()),
        ];
        for (question, status, body, expected) in table {
            let answer = Answer { status, retry_after: Some(Duration::from_secs(1)), body };
            assert_eq!(judge(question, &answer), expected, "{question:?} {answer:?}");
        }
    }
}
