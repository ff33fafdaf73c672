//! Asks a server which cluster it is, as which user it sees us, and whether it is ready. What must not live here: what follows from
//! the answers for a cluster (the member's machine decides that).

mod evidence;
mod judge;

use std::time::{Duration, Instant};

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;

pub(crate) use self::evidence::Evidence;
use self::judge::{Answer, Question, Verdict, delay, judge};
use crate::client::{ResponseBody, Transport};
use crate::config::{ClusterIdentity, translate};
use crate::error::Failure;

/// What is read at most of an answer.
const ANSWER_LIMIT: usize = 256 * 1024;

const REVIEW: &str = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;

/// What a server proved.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    pub(crate) evidence: Evidence,
    /// None where they were not asked.
    pub(crate) details: Option<Details>,
    /// How long the first answer took.
    pub(crate) latency: Duration,
}

/// What a server says of itself and of us, beyond what proves a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Details {
    /// The user's name, as the server knows it; none where the server does not say.
    pub(crate) user: Option<String>,
    /// The server's version; none where the server does not say.
    pub(crate) version: Option<String>,
}

/// How much is asked of a server that says which cluster it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What proves the connection.
    Proof,
    /// The details as well.
    Details,
}

/// Proves a new transport: it reaches a Kubernetes API, which takes the credentials; and of which cluster. Each request
/// has the deadline. `address` is the identity of a cluster that does not say its own.
///
/// The namespace `kube-system` proves all three with one request. A server that keeps it from this user is asked more.
pub(crate) async fn prove(
    transport: &Transport,
    address: &ClusterIdentity,
    extent: Extent,
    deadline: Duration,
) -> Result<Verified, Failure> {
    let began = Instant::now();
    let uid = uid(transport, deadline).await?;
    let latency = began.elapsed();
    // Only where the UID is missing: it may be so because the server starts.
    let is_ready = uid.is_some() || matches!(ask(transport, Question::Ready, deadline).await, Ok(Verdict::Fine));
    let details = match (&uid, extent) {
        (Some(_), Extent::Proof) => None,
        _ => Some(details(transport, deadline).await?),
    };
    let evidence = Evidence::new(uid, address.clone()).with_readiness(is_ready);
    Ok(Verified { evidence, details, latency })
}

/// Probes a transport that was proven: the API server is ready, takes the credentials, and is of which cluster.
pub(crate) async fn probe(
    transport: &Transport,
    address: &ClusterIdentity,
    expected: &Evidence,
    extent: Extent,
    deadline: Duration,
) -> Result<Verified, Failure> {
    let began = Instant::now();
    // First, so that no other answer of a replaced cluster counts for the old one.
    let uid = uid(transport, deadline).await?;
    let latency = began.elapsed();
    let says_its_identity = uid.is_some();
    let evidence = Evidence::new(uid, address.clone());
    if !evidence.same(expected) {
        // Another cluster, ready or not, and whatever it makes of the credentials.
        return Ok(Verified { evidence, details: None, latency });
    }
    let is_ready = ask(transport, Question::Ready, deadline).await? == Verdict::Fine;
    let evidence = evidence.with_readiness(says_its_identity || is_ready);
    let details = match extent {
        Extent::Details => Some(details(transport, deadline).await?),
        Extent::Proof => {
            if !says_its_identity {
                // Nothing has shown yet that the credentials are taken.
                user(transport, deadline).await?;
            }
            None
        }
    };
    Ok(Verified { evidence, details, latency })
}

async fn details(transport: &Transport, deadline: Duration) -> Result<Details, Failure> {
    let user = user(transport, deadline).await?;
    let version = match ask(transport, Question::Version, deadline).await {
        Ok(Verdict::Version(version)) => version,
        Ok(_) => None,
        Err(_) if user.is_some() => None,
        // Where the server did not name the user, its version shows that it is an API server.
        Err(failure) => return Err(failure),
    };
    Ok(Details { user, version })
}

async fn user(transport: &Transport, deadline: Duration) -> Result<Option<String>, Failure> {
    match ask(transport, Question::Review, deadline).await? {
        Verdict::User(user) => Ok(Some(user)),
        _ => Ok(None),
    }
}

async fn uid(transport: &Transport, deadline: Duration) -> Result<Option<ClusterIdentity>, Failure> {
    match ask(transport, Question::Identity, deadline).await? {
        Verdict::Identity(uid) => Ok(Some(uid)),
        _ => Ok(None),
    }
}

async fn ask(transport: &Transport, question: Question, deadline: Duration) -> Result<Verdict, Failure> {
    let answer = match tokio::time::timeout(deadline, send(transport, question)).await {
        Ok(answer) => answer?,
        Err(_) => return Err(Failure::DeadlinePassed { deadline }),
    };
    match judge(question, &answer) {
        Verdict::Failed(problem) => Err(question.failure(problem, &answer)),
        verdict => Ok(verdict),
    }
}

async fn send(transport: &Transport, question: Question) -> Result<Answer, Failure> {
    let (method, body) = match question {
        Question::Review => (Method::POST, REVIEW.as_bytes().to_vec()),
        Question::Version | Question::Ready | Question::Identity => (Method::GET, Vec::new()),
    };
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_static(question.path());
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let response = transport.send(request).await.map_err(translate::cut_off)?;
    let (head, body) = response.into_parts();
    let retry_after = head.headers.get(RETRY_AFTER).and_then(delay);
    let body = read(body).await?;
    Ok(Answer { status: head.status.as_u16(), retry_after, body })
}

/// The body of an answer, where it is JSON and not too large.
async fn read(mut body: ResponseBody) -> Result<Option<Value>, Failure> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(translate::cut_off)?;
        read.extend_from_slice(frame.data_ref().map(AsRef::as_ref).unwrap_or_default());
        if read.len() > ANSWER_LIMIT {
            return Ok(None);
        }
    }
    Ok(serde_json::from_slice(&read).ok())
}
