//! What requests through a switch meet while it is turned, revoked and lifted.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use clientmgr_core::{ConnectedAt, NamespacedName};
use futures::future::BoxFuture;
use futures::{FutureExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use jiff::Timestamp;
use kube::client::Body;
use tower::service_fn;

use super::{CredentialRequests, Switch};
use crate::auth::Validity;
use crate::client::body::{BoxError, ResponseBody};
use crate::client::revoked::{Revoked, RevokedReason};
use crate::client::settings::Settings;
use crate::client::transport::Transport;
use crate::error::{ConnectError, ConnectErrorKind};

const DEADLINE: Duration = Duration::from_secs(7);
const NOW: i64 = 1_000;

/// The member that a switch asks: it has one newer transport, none, or never answers.
#[derive(Default)]
struct Member {
    switch: OnceLock<Weak<Switch>>,
    asked: Mutex<Vec<u64>>,
    newer: Mutex<Option<(Transport, u64)>>,
    hangs: bool,
    /// The seconds that have passed since `NOW`.
    passed: Arc<AtomicI64>,
}

impl CredentialRequests for Member {
    fn unauthorized(&self, generation: u64) -> BoxFuture<'static, bool> {
        self.asked.lock().unwrap().push(generation);
        if self.hangs {
            return futures::future::pending().boxed();
        }
        let newer = self.newer.lock().unwrap().take();
        let switch = self.switch.get().and_then(Weak::upgrade).unwrap();
        async move { newer.map(|(transport, generation)| switch.turn(transport, generation)).is_some() }.boxed()
    }
}

fn switch_of(member: Member) -> (Arc<Member>, Arc<Switch>) {
    let member = Arc::new(member);
    let passed = Arc::clone(&member.passed);
    let link: Arc<dyn CredentialRequests> = Arc::<Member>::clone(&member);
    let now = move || Timestamp::from_second(NOW + passed.load(Ordering::Relaxed)).unwrap();
    let settings = Settings { credentials_deadline: DEADLINE, clock: Arc::new(now), ..Settings::default() };
    let switch = Switch::new(NamespacedName::cluster_scoped("east"), ConnectedAt::now(), link, &settings);
    member.switch.set(Arc::downgrade(&switch)).unwrap();
    (member, switch)
}

fn switch() -> Arc<Switch> {
    switch_of(Member::default()).1
}

/// A transport that answers with `status` and what was sent to it, after its name.
fn echo(name: &'static str, status: StatusCode) -> Transport {
    let answer = move |request: Request<Body>| async move {
        let path = request.uri().path().to_owned();
        let header = request.headers().get("x-test").map(|value| value.to_str().unwrap().to_owned());
        let method = request.method().clone();
        let sent = request.into_body().collect_bytes().await.unwrap();
        let sent = String::from_utf8(sent.to_vec()).unwrap();
        let text = format!("{name} {method} {path} {} {sent}", header.unwrap_or_default());
        let answer = Response::builder().status(status).body(Body::from(text.into_bytes()));
        Ok::<_, BoxError>(answer.unwrap())
    };
    Transport::from_service(service_fn(answer)).unwrap()
}

/// A transport whose answers have a body that never ends.
fn endless() -> Transport {
    let answer = |_| async {
        let body = StreamBody::new(stream::pending::<Result<http_body::Frame<Bytes>, BoxError>>());
        Ok::<_, BoxError>(Response::new(body))
    };
    Transport::from_service(service_fn(answer)).unwrap()
}

fn request(body: Body) -> Request<Body> {
    Request::put("/path").header("x-test", "header").body(body).unwrap()
}

async fn text(answer: Response<ResponseBody>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn ask(switch: &Arc<Switch>) -> (StatusCode, String) {
    let answer = Arc::clone(switch).send(request(Body::from(b"body".to_vec()))).await.unwrap();
    (answer.status(), text(answer).await)
}

fn reason(error: &(dyn std::error::Error + 'static)) -> Option<RevokedReason> {
    Revoked::find(error).map(|revoked| revoked.reason)
}

#[tokio::test]
async fn requests_go_to_the_transport_of_now() {
    let switch = switch();
    switch.turn(echo("a", StatusCode::OK), 1);
    assert_eq!(ask(&switch).await, (StatusCode::OK, "a PUT /path header body".to_owned()));
    switch.turn(echo("b", StatusCode::OK), 2);
    assert_eq!(ask(&switch).await.1, "b PUT /path header body");
}

#[tokio::test]
async fn without_a_transport_requests_fail_at_once() {
    let error = switch().send(request(Body::empty())).await.unwrap_err();
    assert_eq!(error.downcast_ref::<ConnectError>().unwrap().kind(), ConnectErrorKind::Connecting);
}

#[tokio::test]
async fn a_revoked_switch_fails_requests_until_it_is_turned_again() {
    let switch = switch();
    let transport = echo("a", StatusCode::OK);
    switch.turn(transport.clone(), 1);
    let client = switch.client("default").unwrap();
    assert_eq!(switch.revoked(), None);
    switch.revoke(RevokedReason::Removed);
    switch.revoke(RevokedReason::ShutDown);

    for _ in 0..2 {
        let error = client.send(request(Body::empty())).await.unwrap_err();
        let revoked = Revoked::find(&error).unwrap();
        let expected = Revoked::new(switch.cluster.clone(), switch.revision(), RevokedReason::Removed);
        assert_eq!(*revoked, expected);
        assert_eq!(switch.revoked(), Some(expected));
    }
    assert!(transport.send(request(Body::empty())).await.is_err(), "the transport is closed");

    switch.turn(echo("b", StatusCode::OK), 2);
    assert_eq!(switch.revoked(), None);
    assert!(client.send(request(Body::empty())).await.is_ok());
}

#[tokio::test]
async fn revoking_ends_open_bodies_also_those_of_earlier_transports() {
    let switch = switch();
    let (first, second) = (endless(), endless());
    switch.turn(first.clone(), 1);
    let mut of_first = Arc::clone(&switch).send(request(Body::empty())).await.unwrap();
    switch.turn(second.clone(), 2);
    switch.turn(second.clone(), 3);
    let mut of_second = Arc::clone(&switch).send(request(Body::empty())).await.unwrap();
    assert!(of_first.body_mut().frame().now_or_never().is_none(), "turning left it alone");

    switch.revoke(RevokedReason::Replaced);
    for answer in [&mut of_first, &mut of_second] {
        let error = answer.body_mut().frame().await.unwrap().unwrap_err();
        assert_eq!(reason(&*error), Some(RevokedReason::Replaced));
        assert!(answer.body_mut().frame().await.is_none());
    }
    for transport in [first, second] {
        assert!(transport.connections().is_closed());
        assert_eq!(reason(&*transport.connections().reason()), Some(RevokedReason::Replaced));
    }
}

#[tokio::test]
async fn lifting_a_fence_revives_no_body_behind_it() {
    let switch = switch();
    switch.turn(endless(), 1);
    let mut answer = Arc::clone(&switch).send(request(Body::empty())).await.unwrap();
    switch.revoke(RevokedReason::Removed);
    switch.turn(endless(), 2);
    let error = answer.body_mut().frame().await.unwrap().unwrap_err();
    assert_eq!(reason(&*error), Some(RevokedReason::Removed));
    let mut answer = Arc::clone(&switch).send(request(Body::empty())).await.unwrap();
    assert!(answer.body_mut().frame().now_or_never().is_none());
}

#[tokio::test]
async fn revoking_ends_requests_that_wait_for_an_answer() {
    let switch = switch();
    let silent = |_| futures::future::pending::<Result<Response<Body>, BoxError>>();
    switch.turn(Transport::from_service(service_fn(silent)).unwrap(), 1);
    let mut waiting = Box::pin(Arc::clone(&switch).send(request(Body::empty())));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    switch.revoke(RevokedReason::Reset);
    assert_eq!(reason(&*waiting.await.unwrap_err()), Some(RevokedReason::Reset));
}

#[tokio::test]
async fn transports_without_open_streams_are_forgotten() {
    let switch = switch();
    for generation in 0..10 {
        switch.turn(echo("a", StatusCode::OK), generation);
    }
    assert_eq!(switch.state().superseded.len(), 1, "the last one is looked at with the next turn");
    let kept = echo("b", StatusCode::OK);
    switch.turn(kept.clone(), 10);
    switch.turn(kept.clone(), 11);
    assert_eq!(switch.state().superseded.len(), 0, "the pool is still in use");
    switch.turn(echo("c", StatusCode::OK), 12);
    assert_eq!(switch.state().superseded.len(), 1);
}

#[tokio::test]
async fn a_refused_request_is_repeated_once_with_newer_credentials() {
    let newer = Mutex::new(Some((echo("new", StatusCode::OK), 8)));
    let (member, switch) = switch_of(Member { newer, ..Member::default() });
    switch.turn(echo("old", StatusCode::UNAUTHORIZED), 7);
    assert_eq!(ask(&switch).await, (StatusCode::OK, "new PUT /path header body".to_owned()));
    assert_eq!(*member.asked.lock().unwrap(), [7]);
}

#[tokio::test]
async fn what_newer_credentials_bring_is_handed_on() {
    let newer = Mutex::new(Some((echo("new", StatusCode::UNAUTHORIZED), 8)));
    let (member, switch) = switch_of(Member { newer, ..Member::default() });
    switch.turn(echo("old", StatusCode::UNAUTHORIZED), 7);
    assert_eq!(ask(&switch).await, (StatusCode::UNAUTHORIZED, "new PUT /path header body".to_owned()));
    assert_eq!(*member.asked.lock().unwrap(), [7, 8], "a renewal may have brought what was just refused");
}

#[tokio::test]
async fn a_switch_that_is_revoked_for_good_is_not_turned_again() {
    for reason_given in [RevokedReason::Reset, RevokedReason::ShutDown] {
        let switch = switch();
        switch.turn(echo("a", StatusCode::OK), 1);
        switch.revoke(reason_given);
        assert!(!switch.turn(echo("b", StatusCode::OK), 2));
        let error = Arc::clone(&switch).send(request(Body::empty())).await.unwrap_err();
        assert_eq!(reason(&*error), Some(reason_given));
    }
}

#[tokio::test]
async fn a_switch_of_a_cluster_that_returns_is_turned_again() {
    for reason_given in [RevokedReason::Removed, RevokedReason::Panicked, RevokedReason::Replaced] {
        let switch = switch();
        switch.turn(echo("a", StatusCode::OK), 1);
        switch.revoke(reason_given);
        assert!(switch.turn(echo("b", StatusCode::OK), 2));
        assert_eq!(ask(&switch).await.1, "b PUT /path header body");
    }
}

#[tokio::test]
async fn a_switch_asks_for_credentials_at_the_member_of_now() {
    let (before, switch) = switch_of(Member::default());
    let newer = Mutex::new(Some((echo("new", StatusCode::OK), 8)));
    let now = Arc::new(Member { newer, ..Member::default() });
    now.switch.set(Arc::downgrade(&switch)).unwrap();
    switch.ask_for_credentials_at(Arc::<Member>::clone(&now));
    switch.turn(echo("old", StatusCode::UNAUTHORIZED), 7);
    assert_eq!(ask(&switch).await.1, "new PUT /path header body");
    assert_eq!((before.asked.lock().unwrap().len(), now.asked.lock().unwrap().len()), (0, 1));
}

#[tokio::test]
async fn without_newer_credentials_the_refusal_is_handed_on() {
    let (member, switch) = switch_of(Member::default());
    switch.turn(echo("old", StatusCode::UNAUTHORIZED), 7);
    assert_eq!(ask(&switch).await, (StatusCode::UNAUTHORIZED, "old PUT /path header body".to_owned()));
    assert_eq!(*member.asked.lock().unwrap(), [7]);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_never_answers_is_waited_for_within_the_deadline() {
    let (_member, switch) = switch_of(Member { hangs: true, ..Member::default() });
    switch.turn(echo("old", StatusCode::UNAUTHORIZED), 7);
    let before = tokio::time::Instant::now();
    assert_eq!(ask(&switch).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(before.elapsed().as_secs(), DEADLINE.as_secs());
}

#[tokio::test]
async fn other_refusals_are_no_matter_of_credentials() {
    let (member, switch) = switch_of(Member::default());
    switch.turn(echo("a", StatusCode::FORBIDDEN), 7);
    assert_eq!(ask(&switch).await.0, StatusCode::FORBIDDEN);
    assert!(member.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_request_with_a_body_that_cannot_be_repeated_is_not() {
    let (member, switch) = switch_of(Member::default());
    switch.turn(echo("old", StatusCode::UNAUTHORIZED), 7);
    let streamed = Body::from(Bytes::from_static(b"x"));
    let streamed = kube_body_of_a_stream(streamed).await;
    let answer = Arc::clone(&switch).send(request(streamed)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(member.asked.lock().unwrap().is_empty());
}

/// The body of an answer of kube's client, which is a stream.
async fn kube_body_of_a_stream(body: Body) -> Body {
    let body = Mutex::new(Some(body));
    let service = service_fn(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async { Ok::<_, BoxError>(Response::new(body)) }
    });
    let client = kube::Client::new(service, "default");
    client.send(request(Body::empty())).await.unwrap().into_body()
}

#[tokio::test]
async fn credentials_renewed_meanwhile_are_taken_without_asking() {
    let (member, switch) = switch_of(Member::default());
    let turned = Arc::new(AtomicUsize::new(0));
    let during = {
        let (switch, turned) = (Arc::downgrade(&switch), Arc::clone(&turned));
        service_fn(move |_| {
            turned.fetch_add(1, Ordering::Relaxed);
            switch.upgrade().unwrap().turn(echo("new", StatusCode::OK), 8);
            let refused = Response::builder().status(StatusCode::UNAUTHORIZED).body(Body::empty()).unwrap();
            async { Ok::<_, BoxError>(refused) }
        })
    };
    switch.turn(Transport::from_service(during).unwrap(), 7);
    assert_eq!(ask(&switch).await.1, "new PUT /path header body");
    assert_eq!(turned.load(Ordering::Relaxed), 1);
    assert!(member.asked.lock().unwrap().is_empty());
}

fn expiring(transport: &Transport, until: i64) -> Transport {
    let at = |second| Timestamp::from_second(second).unwrap();
    transport.with_validity(Validity::new(at(0), at(until)))
}

#[tokio::test]
async fn expired_credentials_are_renewed_before_a_request_is_sent() {
    for (until, asked) in [(NOW + 9, true), (NOW + 10, true), (NOW + 11, false)] {
        let newer = Mutex::new(Some((echo("new", StatusCode::OK), 8)));
        let (member, switch) = switch_of(Member { newer, ..Member::default() });
        switch.turn(expiring(&echo("old", StatusCode::OK), until), 7);
        member.passed.store(10, Ordering::Relaxed);
        let expected = if asked { "new PUT /path header body" } else { "old PUT /path header body" };
        assert_eq!(ask(&switch).await.1, expected, "{until}");
        assert_eq!(!member.asked.lock().unwrap().is_empty(), asked, "{until}");
    }
}

#[tokio::test]
async fn expired_credentials_without_a_renewal_are_left_to_the_server_and_asked_for_once() {
    let (member, switch) = switch_of(Member::default());
    switch.turn(expiring(&echo("old", StatusCode::UNAUTHORIZED), NOW + 1), 7);
    member.passed.store(1, Ordering::Relaxed);
    assert_eq!(ask(&switch).await, (StatusCode::UNAUTHORIZED, "old PUT /path header body".to_owned()));
    assert_eq!(*member.asked.lock().unwrap(), [7]);
}

#[tokio::test]
async fn credentials_that_were_proven_after_their_end_show_that_the_clock_is_wrong() {
    let (member, switch) = switch_of(Member::default());
    switch.turn(expiring(&echo("old", StatusCode::OK), NOW - 900), 7);
    assert_eq!(ask(&switch).await.1, "old PUT /path header body");
    assert!(member.asked.lock().unwrap().is_empty(), "a request waited for a renewal");
}

#[tokio::test]
async fn the_fence_ends_bodies_whose_connections_stay_open() {
    let switch = switch();
    switch.turn(endless(), 1);
    let mut answer = Arc::clone(&switch).send(request(Body::empty())).await.unwrap();
    switch.turn(endless(), 2);
    switch.state().superseded.clear();
    assert!(answer.body_mut().frame().now_or_never().is_none());
    switch.revoke(RevokedReason::Removed);
    let ended = answer.body_mut().frame().now_or_never().expect("the body is still open");
    assert_eq!(reason(&*ended.unwrap().unwrap_err()), Some(RevokedReason::Removed));
}
