//! One request's way through the server: its user, its fault, its authorization, its answer. Each is decided elsewhere; this
//! file has their order.

use std::{panic::AssertUnwindSafe, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header, request::Parts};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    access::{
        authn::{Identity, Presented},
        authz::{self, Anonymous, Verdict},
        credential::User,
        impersonate, review,
    },
    api::{present::watch::Watch, reply::Reply},
    control::{
        denials,
        faults::{self, Fault},
        log::{Arrival, Entry},
        open_watches::Registration,
        record::EndReason,
    },
    pipeline::{
        account_tokens,
        body::{ConnectionCut, ResponseBody},
        health, malformed,
        state::{Connection, Core},
    },
    wire::{
        call::{BODY_LIMIT, Call, Caller},
        route::RequestInfo,
        status::{Status, raw_response},
    },
};

/// How much of a body that is too large is read, and thrown away, so that the client gets to read the answer.
const DISCARD_LIMIT: usize = 8 * BODY_LIMIT;

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// Answers one request, or cuts it.
pub(crate) async fn respond<B>(
    core: &Core,
    connection: &Connection,
    request: Request<B>,
) -> Result<Response<ResponseBody>, ConnectionCut>
where
    B: Body<Data = Bytes> + Send,
{
    if let Some(refusal) = malformed::refuse_path(request.uri().path()) {
        return Ok(refusal);
    }
    let (parts, body) = request.into_parts();
    let tenancy = &connection.tenancy;
    let info = RequestInfo::parse(&parts.method, parts.uri.path(), parts.uri.query());
    let presented = Presented::new(connection.certificate, &parts.headers);
    let identity = tenancy.cluster.credentials.identify(presented, Instant::now());
    let anonymous = User::anonymous();
    let user = match &identity {
        Identity::Known(user, _) => Some(user.name()),
        Identity::Anonymous => Some(anonymous.name()),
        Identity::Refused(_) => None,
    };
    let arrival = Arrival {
        connection: connection.id,
        cluster_uid: Arc::clone(&tenancy.cluster.uid),
        identity: &identity,
        user,
        http_version: parts.version,
        method: &parts.method,
        query: parts.uri.query(),
        info: &info,
    };
    let mut entry = core.log.begin(&arrival, connection.closed.clone());
    let fault = core.faults.take(|injected| faults::choose(injected, &info, user)).map(|injection| injection.fault);

    let answer = answer(core, connection, &info, identity.clone(), parts, body);
    let answer = unless_at_fault(fault.as_ref(), &info, answer);
    let reply = tokio::select! {
        biased;
        () = connection.closed.cancelled() => {
            entry.ended(EndReason::ServerCut);
            return Err(ConnectionCut);
        }
        reply = answer => reply,
    };
    let Some(reply) = reply else {
        entry.ended(EndReason::Fault);
        if fault == Some(Fault::CloseConnection) {
            connection.closed.cancel();
        }
        return Err(ConnectionCut);
    };

    let mut response = match reply {
        Reply::Whole(response) => whole(response, fault.as_ref(), entry),
        Reply::Watch(watch) => {
            let registration = || core.watches.register(&info, user.unwrap_or_default());
            streamed(watch, fault.as_ref(), entry, connection.closed.clone(), registration)
        }
    };
    decorate(response.headers_mut());
    Ok(response)
}

/// An answer with a body of a known length, which a fault may cut.
fn whole(response: Response<Bytes>, fault: Option<&Fault>, mut entry: Entry) -> Response<ResponseBody> {
    entry.answered(response.status().as_u16());
    let is_cut = fault == Some(&Fault::CutBody);
    entry.ended(if is_cut { EndReason::Fault } else { EndReason::Complete });
    response.map(|body| if is_cut { ResponseBody::cut(&body) } else { ResponseBody::whole(body) })
}

/// The events of a watch, or what a fault makes of them.
fn streamed(
    watch: Watch,
    fault: Option<&Fault>,
    mut entry: Entry,
    cut: CancellationToken,
    registration: impl FnOnce() -> Registration,
) -> Response<ResponseBody> {
    let content_type = HeaderValue::from_static(watch.content_type());
    entry.answered(StatusCode::OK.as_u16());
    let body = match fault {
        Some(Fault::SilentWatch) => ResponseBody::silent(entry, cut),
        Some(Fault::EndedWatch) => {
            entry.ended(EndReason::Fault);
            ResponseBody::whole(Bytes::new())
        }
        fault => ResponseBody::watch(watch, registration(), entry, cut, fault == Some(&Fault::CutBody)),
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// Awaits the answer, or what the fault does in its place: an answer of its own, or none.
async fn unless_at_fault(
    fault: Option<&Fault>,
    info: &RequestInfo,
    answer: impl Future<Output = Reply>,
) -> Option<Reply> {
    match fault {
        Some(Fault::Delay(delay)) => tokio::time::sleep(*delay).await,
        Some(Fault::NeverAnswer) => std::future::pending().await,
        Some(Fault::Reset | Fault::CloseConnection) => return None,
        Some(fault) => {
            if let Some(response) = fault.response(info) {
                return Some(Reply::Whole(response));
            }
        }
        None => {}
    }
    Some(answer.await)
}

/// What the server answers when no fault answers for it.
async fn answer<B>(
    core: &Core,
    connection: &Connection,
    info: &RequestInfo,
    identity: Identity,
    parts: Parts,
    body: B,
) -> Reply
where
    B: Body<Data = Bytes> + Send,
{
    let user = match identity {
        Identity::Anonymous => match authz::decide_anonymous(core.settings.anonymous, info) {
            Verdict::Allowed => User::anonymous(),
            Verdict::Refused(status) => return failed(&status),
        },
        Identity::Known(user, by) if account_tokens::is_known(&connection.tenancy.cluster, by) => user,
        Identity::Known(..) | Identity::Refused(_) => return failed(&Status::unauthorized()),
    };
    let user = match impersonate::acting_as(user, &parts.headers, info) {
        Ok(user) => user,
        Err(status) => return failed(&status),
    };
    if user.name() == User::anonymous().name()
        && let Verdict::Refused(status) = authz::decide_anonymous(Anonymous::Limited, info)
    {
        return failed(&status);
    }
    if core.denials.take(|injected| denials::decide(injected, info, user.name())).is_some() {
        return failed(&authz::forbidden(info, user.name()));
    }
    if let Some(response) = health::answer(&info.path, parts.uri.query(), core.ready()) {
        return Reply::Whole(response);
    }
    let body = match read(body).await {
        Ok(body) => body,
        Err(status) => return failed(&status),
    };
    let cluster = &connection.tenancy.cluster;
    let call = Call {
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        method: parts.method,
        headers: parts.headers,
        body,
        caller: Caller {
            username: user.name().to_owned(),
            uid: user.uid_if_any().map(str::to_owned),
            groups: user.groups().to_vec(),
            extra: user.extras().iter().map(|(key, values)| (key.clone(), values.clone())).collect(),
        },
    };
    unbroken(|| {
        if let Some(answer) = account_tokens::answer(cluster, info, &call) {
            return answer.map_or_else(|status| failed(&status), Reply::Whole);
        }
        if review::is_asked_for(info) {
            let may = |asked: &RequestInfo| !core.denials.any(|injected| denials::decide(injected, asked, user.name()));
            return review::answer(&call.headers, &call.body, may).map_or_else(|status| failed(&status), Reply::Whole);
        }
        cluster.api.answer(call)
    })
}

fn failed(status: &Status) -> Reply {
    Reply::Whole(status.to_response())
}

/// A bug in the answering of one request fails that request, not the server.
fn unbroken(answer: impl FnOnce() -> Reply) -> Reply {
    std::panic::catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|_| {
        let text = "This request caused apiserver to panic. Look in the logs for details.\n";
        let body = Bytes::from_static(text.as_bytes());
        Reply::Whole(raw_response(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", body))
    })
}

/// Reads a body up to the limit. What is beyond it is never kept.
async fn read<B>(body: B) -> Result<Bytes, Status>
where
    B: Body<Data = Bytes> + Send,
{
    let announced = body.size_hint().lower();
    let mut body = std::pin::pin!(body);
    if announced > DISCARD_LIMIT as u64 {
        return Err(Status::too_large_body(BODY_LIMIT));
    }
    let (mut kept, mut seen) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(Status::bad_request("the body of the request could not be read"));
        };
        let Ok(data) = frame.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        if seen <= BODY_LIMIT {
            kept.extend_from_slice(&data);
        } else {
            kept = Vec::new();
            if seen > DISCARD_LIMIT {
                break;
            }
        }
    }
    if seen > BODY_LIMIT { Err(Status::too_large_body(BODY_LIMIT)) } else { Ok(kept.into()) }
}

/// The headers every answer of a real API server carries.
fn decorate(headers: &mut http::HeaderMap) {
    if let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
        headers.insert(AUDIT_ID, id);
    }
    headers.entry(header::CACHE_CONTROL).or_insert_with(|| HeaderValue::from_static("no-cache, private"));
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{Full, StreamBody};

    use super::*;

    #[test]
    fn a_panic_while_answering_is_a_500() {
        let Reply::Whole(response) = unbroken(|| panic!("a bug")) else { panic!("no watch was asked for") };
        assert_eq!(response.status(), 500);
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_the_limit_and_not_beyond() {
        for (size, code) in [(0, None), (BODY_LIMIT, None), (BODY_LIMIT + 1, Some(413)), (DISCARD_LIMIT + 1, Some(413))]
        {
            let read = read(Full::new(Bytes::from(vec![0; size]))).await;
            assert_eq!(read.as_ref().err().map(Status::code), code, "{size}");
            assert!(code.is_some() || read.is_ok_and(|body| body.len() == size), "{size}");
        }
    }

    #[tokio::test]
    async fn an_endless_body_is_given_up() {
        let chunk = Bytes::from(vec![0; 64 * 1024]);
        let endless = futures::stream::repeat_with(move || Ok::<_, Infallible>(http_body::Frame::data(chunk.clone())));
        let refused = read(StreamBody::new(endless)).await.err();
        assert_eq!(refused.map(|status| status.code()), Some(413));
    }
}
