//! Faults on demand: what can go wrong, for which requests, and which fault hits a request. `pipeline` and `transport`
//! carry them out.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::json;

use crate::{
    control::{injected::Injected, requests::Requests},
    wire::{
        route::{RequestInfo, Verb},
        status::{Status, raw_response},
    },
};

/// A fault of a request.
///
/// Faults act on the socket and on services alike. A fault hits every request until it is lifted, unless it is limited:
///
/// ```
/// use kube_testserver::{Fault, Requests};
///
/// let twice = Fault::Unavailable.times(2);
/// let alice_cannot_list = Fault::Forbidden.on(Requests::any().user("alice").verb("list"));
/// # _ = (twice, alice_cannot_list);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// 401 with a Status, as for a credential that is not accepted.
    Unauthorized,
    /// 403 with a Status, as for a user without permission.
    Forbidden,
    /// 429 with a Status and `Retry-After`, in whole seconds, at least one.
    TooManyRequests {
        /// When the client may try again.
        retry_after: Duration,
    },
    /// 409 with a Status, as for an object that was changed meanwhile.
    Conflict,
    /// Any code with a Status of this reason and message, for what has no variant of its own, such as the refusal of an
    /// admission webhook.
    Status {
        /// The HTTP status code, 400 to 599.
        code: u16,
        /// The machine readable reason, such as `AlreadyExists`.
        reason: Cow<'static, str>,
        /// The message for people.
        message: Cow<'static, str>,
    },
    /// 500 with a Status.
    InternalError,
    /// 503 with a Status.
    Unavailable,
    /// 503 with a plain text body, as load balancers answer.
    UnavailablePlainText,
    /// 503 that claims to be JSON and is not.
    UnavailableBrokenJson,
    /// The answer comes later by this time, on tokio's clock.
    Delay(Duration),
    /// No answer comes, and the connection stays open.
    NeverAnswer,
    /// The request is reset instead of answered: over HTTP/2 its stream, over HTTP/1.1 its connection. A client may send the
    /// request again by itself, so a single reset may have no effect.
    Reset,
    /// The connection is closed instead of an answer, with all other requests on it. Over HTTP/1.1 this is a
    /// [`Reset`](Self::Reset).
    CloseConnection,
    /// Half of the body is sent (of a watch: half of the first event), then the request is reset as by
    /// [`Reset`](Self::Reset).
    CutBody,
    /// A watch opens and sends nothing, not even a bookmark. Hits watches only.
    SilentWatch,
    /// A watch opens and ends at once, without an event. Hits watches only.
    EndedWatch,
    /// The requested resource version is too old: 410 for a list, an `ERROR` event with code 410 for a watch. Hits lists and
    /// watches only.
    ExpiredResourceVersion,
}

impl Fault {
    /// Returns a [`Status`](Self::Status) fault.
    pub fn status(code: u16, reason: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Status { code, reason: reason.into(), message: message.into() }
    }

    /// Limits the fault to these requests.
    pub fn on(self, requests: Requests) -> Injection {
        Injection::from(self).on(requests)
    }

    /// Limits the fault to the next `count` requests.
    pub fn times(self, count: u32) -> Injection {
        Injection::from(self).times(count)
    }

    /// Whether the fault makes sense for a request.
    fn applies_to(&self, info: &RequestInfo) -> bool {
        match self {
            Self::SilentWatch | Self::EndedWatch => info.verb == Verb::Watch,
            Self::ExpiredResourceVersion => matches!(info.verb, Verb::Watch | Verb::List),
            _ => true,
        }
    }

    /// The answer of those faults that are an answer.
    pub(crate) fn response(&self, info: &RequestInfo) -> Option<Response<Bytes>> {
        let unavailable = |content_type, body| {
            Some(raw_response(StatusCode::SERVICE_UNAVAILABLE, content_type, Bytes::from_static(body)))
        };
        let status = match self {
            Self::Unauthorized => Status::unauthorized(),
            Self::Forbidden => {
                let name = info.name.as_deref().unwrap_or_default();
                Status::forbidden(&info.group, &info.resource, name, "injected fault")
            }
            Self::TooManyRequests { retry_after } => Status::too_many_requests(whole_seconds(*retry_after)),
            Self::Conflict => {
                let name = info.name.as_deref().unwrap_or_default();
                let why = "the object has been modified; please apply your changes to the latest version and try again";
                Status::conflict(&info.group, &info.resource, name, why)
            }
            Self::Status { code, reason, message } => {
                let code = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Status::failure(code, reason.clone(), message.clone())
            }
            Self::InternalError => Status::internal("injected fault"),
            Self::Unavailable => Status::unavailable("the server is currently unable to handle the request"),
            Self::UnavailablePlainText => {
                return unavailable("text/plain; charset=utf-8", b"upstream connect error\n");
            }
            Self::UnavailableBrokenJson => {
                return unavailable("application/json", b"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"me");
            }
            Self::ExpiredResourceVersion => {
                let status = Status::expired("too old resource version: 1 (2)");
                if info.verb != Verb::Watch {
                    return Some(status.to_response());
                }
                let event = json!({"type": "ERROR", "object": status.to_value()});
                return Some(raw_response(StatusCode::OK, "application/json", format!("{event}\n").into()));
            }
            Self::Delay(_)
            | Self::NeverAnswer
            | Self::Reset
            | Self::CloseConnection
            | Self::CutBody
            | Self::SilentWatch
            | Self::EndedWatch => return None,
        };
        Some(status.to_response())
    }
}

/// `Retry-After` knows whole seconds only, and 0 would mean "at once".
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0)).max(1)
}

/// A fault, the requests that it hits, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a fault strikes only once it is given to `TestServer::inject`"]
pub struct Injection {
    pub(crate) fault: Fault,
    pub(crate) requests: Requests,
    pub(crate) times: Option<u32>,
}

impl Injection {
    /// Limits it to these requests.
    pub fn on(mut self, requests: Requests) -> Self {
        self.requests = requests;
        self
    }

    /// Limits it to the next `count` requests.
    pub fn times(mut self, count: u32) -> Self {
        self.times = Some(count);
        self
    }
}

impl From<Fault> for Injection {
    fn from(fault: Fault) -> Self {
        Self { fault, requests: Requests::any(), times: None }
    }
}

/// A fault of a connection, before its first request. Only a server with a socket has these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionFault {
    /// The connection is accepted and stays silent: no TLS handshake, no answer, no end.
    Silent,
    /// The connection is accepted and closed at once.
    Closed,
    /// The server certificate has expired.
    ExpiredCertificate,
}

impl ConnectionFault {
    /// Limits the fault to the next `count` connections.
    pub fn times(self, count: u32) -> ConnectionInjection {
        ConnectionInjection { fault: self, times: Some(count) }
    }
}

/// A connection fault, and how many connections it hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a fault strikes only once it is given to `TestServer::inject_on_connect`"]
pub struct ConnectionInjection {
    pub(crate) fault: ConnectionFault,
    pub(crate) times: Option<u32>,
}

impl From<ConnectionFault> for ConnectionInjection {
    fn from(fault: ConnectionFault) -> Self {
        Self { fault, times: None }
    }
}

/// Returns the fault that hits a request: the first of the current ones that applies to it.
pub(crate) fn choose(injected: &[Injected<Injection>], info: &RequestInfo, user: Option<&str>) -> Option<usize> {
    injected.iter().position(|one| one.what.fault.applies_to(info) && one.what.requests.matches(info, user))
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::control::injected::InjectedList;

    fn info(target: &str) -> RequestInfo {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        RequestInfo::parse(&Method::GET, path, Some(query))
    }

    fn chosen(injections: &[Injection], target: &str) -> Option<Fault> {
        let injected = InjectedList::default();
        for injection in injections {
            injected.add(injection.clone(), injection.times);
        }
        injected.take(|injected| choose(injected, &info(target), Some("alice"))).map(|injection| injection.fault)
    }

    const LIST: &str = "/api/v1/configmaps";
    const WATCH: &str = "/api/v1/configmaps?watch=1";
    const OBJECT: &str = "/api/v1/namespaces/a/configmaps/b";

    #[test]
    fn each_fault_meets_the_requests_it_makes_sense_for() {
        let second = Duration::from_secs(1);
        for (fault, on_list, on_watch, on_object) in [
            (Fault::Unauthorized, true, true, true),
            (Fault::Forbidden, true, true, true),
            (Fault::TooManyRequests { retry_after: second }, true, true, true),
            (Fault::InternalError, true, true, true),
            (Fault::Unavailable, true, true, true),
            (Fault::UnavailablePlainText, true, true, true),
            (Fault::UnavailableBrokenJson, true, true, true),
            (Fault::Delay(second), true, true, true),
            (Fault::NeverAnswer, true, true, true),
            (Fault::Reset, true, true, true),
            (Fault::CloseConnection, true, true, true),
            (Fault::CutBody, true, true, true),
            (Fault::SilentWatch, false, true, false),
            (Fault::EndedWatch, false, true, false),
            (Fault::ExpiredResourceVersion, true, true, false),
        ] {
            for (target, expected) in [(LIST, on_list), (WATCH, on_watch), (OBJECT, on_object)] {
                let met = chosen(&[fault.clone().into()], target);
                assert_eq!(met, expected.then(|| fault.clone()), "{fault:?} {target}");
            }
        }
    }

    #[test]
    fn the_oldest_matching_fault_wins() {
        let bob = Fault::Reset.on(Requests::any().user("bob"));
        let [first, second] = [Fault::InternalError, Fault::Unavailable].map(Injection::from);
        assert_eq!(chosen(&[bob.clone(), first.clone(), second], LIST), Some(Fault::InternalError));
        assert_eq!(chosen(&[bob], LIST), None);
        assert_eq!(chosen(&[Fault::Reset.times(0), first], LIST), Some(Fault::InternalError));
    }

    #[test]
    fn each_answering_fault_answers_its_code() {
        for (fault, code) in [
            (Fault::Unauthorized, 401),
            (Fault::Forbidden, 403),
            (Fault::TooManyRequests { retry_after: Duration::from_millis(1500) }, 429),
            (Fault::InternalError, 500),
            (Fault::Unavailable, 503),
            (Fault::UnavailablePlainText, 503),
            (Fault::UnavailableBrokenJson, 503),
            (Fault::ExpiredResourceVersion, 410),
        ] {
            let response = fault.response(&info(LIST)).expect("these answer");
            assert_eq!(response.status(), code, "{fault:?}");
            let retry_after = response.headers().get(http::header::RETRY_AFTER);
            assert_eq!(retry_after.map(http::HeaderValue::as_bytes), (code == 429).then_some(b"2".as_slice()));
        }
        let watch = Fault::ExpiredResourceVersion.response(&info(WATCH)).expect("it answers");
        assert_eq!(watch.status(), 200);
        let event: serde_json::Value = serde_json::from_slice(watch.body()).expect("one event");
        assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    }

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds, "{millis}");
        }
    }
}
