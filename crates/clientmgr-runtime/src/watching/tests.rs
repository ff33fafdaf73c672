//! Watches on hubs that are silent, refuse, cut, or no longer have the changes. In paused time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, future};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use kube::runtime::watcher::{Config, Error, Event};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::{LIST_DEADLINE, OPEN, REQUEST_DEADLINE, State, WatchBackoff, watching, watching_until, within};

/// A hub that never answers.
fn silent() -> Client {
    let service = tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, kube::Error>>());
    Client::new(service, "default")
}

/// A hub that answers each list, with as many objects as lists were answered before, and no watch but the first, with
/// `lines`.
fn hub(lines: &'static str) -> Client {
    let (lists, watches) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let service = tower::service_fn(move |request: Request<Body>| {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch="));
        let before = if is_watch { &watches } else { &lists }.fetch_add(1, Ordering::Relaxed);
        async move {
            if is_watch && before > 0 {
                std::future::pending::<()>().await;
            }
            let body = if is_watch {
                lines.into()
            } else {
                let map = |name| json!({ "metadata": { "name": format!("map-{name}"), "resourceVersion": "1" } });
                let items: Vec<_> = (0..before).map(map).collect();
                let list = json!({
                    "apiVersion": "v1", "kind": "ConfigMapList", "metadata": { "resourceVersion": "1" },
                    "items": items,
                });
                serde_json::to_vec(&list).unwrap()
            };
            Ok::<_, kube::Error>(Response::new(Body::from(body)))
        }
    });
    Client::new(service, "default")
}

/// A hub that answers each list, and `refused` watches with the HTTP status `code`; later ones are open. With
/// `lists_too`, it refuses each list as well.
fn refusing(code: u16, refused: usize, lists_too: bool) -> Client {
    let watches = Arc::new(AtomicUsize::new(0));
    let service = tower::service_fn(move |request: Request<Body>| {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch="));
        let is_refused = if is_watch { watches.fetch_add(1, Ordering::Relaxed) < refused } else { lists_too };
        async move {
            if is_watch && !is_refused {
                std::future::pending::<()>().await;
            }
            let list = json!({
                "apiVersion": "v1", "kind": "ConfigMapList", "metadata": { "resourceVersion": "1" }, "items": [],
            });
            let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code });
            let (code, body) = if is_refused { (code, status) } else { (200, list) };
            let answer = Response::builder().status(code).body(Body::from(body.to_string().into_bytes()));
            Ok::<_, kube::Error>(answer.unwrap())
        }
    });
    Client::new(service, "default")
}

fn maps(client: Client) -> Api<ConfigMap> {
    Api::default_namespaced(client)
}

#[tokio::test(start_paused = true)]
async fn a_list_without_an_answer_is_an_error_and_begins_anew() {
    let mut events = watching(&silent(), maps, Config::default());
    for _ in 0..3 {
        assert!(matches!(events.next().await, Some(Ok(Event::Init))));
        let began = Instant::now();
        let Some(Err(Error::InitialListFailed(error))) = events.next().await else { panic!("no error") };
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), "the API server did not answer within 60s");
        assert_eq!(began.elapsed(), LIST_DEADLINE);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_resumes_without_an_answer_is_an_error() {
    let mut events = watching(&hub(""), maps, Config::default());
    assert!(matches!(events.next().await, Some(Ok(Event::Init))));
    assert!(matches!(events.next().await, Some(Ok(Event::InitDone))));
    let began = Instant::now();
    assert!(matches!(events.next().await, Some(Err(Error::WatchStartFailed(_)))));
    assert_eq!(began.elapsed(), LIST_DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_cannot_be_read_makes_the_list_begin_anew() {
    let mut events = watching(&hub("{\"type\": \"ADDED\", \"object\": 1}\n"), maps, Config::default());
    assert!(matches!(events.next().await, Some(Ok(Event::Init))));
    assert!(matches!(events.next().await, Some(Ok(Event::InitDone))));
    // kube reads any object that it cannot read as a Status.
    assert!(matches!(events.next().await, Some(Err(Error::WatchFailed(kube::Error::Api(_))))));
    assert!(matches!(events.next().await, Some(Ok(Event::Init))));
    let Some(Ok(Event::InitApply(map))) = events.next().await else { panic!("the event is lost") };
    assert_eq!(map.metadata.name.as_deref(), Some("map-0"));
}

#[tokio::test(start_paused = true)]
async fn what_the_server_no_longer_has_is_listed_at_once() {
    let gone = "{\"type\": \"ERROR\", \"object\": {\"status\": \"Failure\", \"reason\": \"Expired\", \"code\": 410}}\n";
    let mut events = watching(&hub(gone), maps, Config::default());
    assert!(matches!(events.next().await, Some(Ok(Event::Init))));
    assert!(matches!(events.next().await, Some(Ok(Event::InitDone))));
    let began = Instant::now();
    assert!(matches!(events.next().await, Some(Err(Error::WatchError(_)))));
    assert!(matches!(events.next().await, Some(Ok(Event::Init))));
    assert!(matches!(events.next().await, Some(Ok(Event::InitApply(_)))));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_refused_is_tried_less_and_less_often() {
    let mut events = watching(&refusing(403, 0, true), maps, Config::default());
    let began = Instant::now();
    for _ in 0..30 {
        assert!(matches!(events.next().await, Some(Ok(Event::Init))));
        assert!(matches!(events.next().await, Some(Err(Error::InitialListFailed(_)))));
    }
    // On average 5 s each.
    assert!(began.elapsed() > Duration::from_secs(60), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_waits_after_an_error_resumes_at_once_when_it_is_told_to() {
    let (is_down, (requests, mut seen)) = (Arc::new(AtomicBool::new(true)), mpsc::unbounded_channel());
    let service = {
        let is_down = Arc::clone(&is_down);
        tower::service_fn(move |request: Request<Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let (is_watch, is_down) = (query.contains("watch="), is_down.load(Ordering::Relaxed));
            requests.send(query).unwrap();
            async move {
                match (is_watch, is_down) {
                    (true, true) => Err(kube::Error::Service("connection refused".into())),
                    (true, false) => std::future::pending().await,
                    (false, _) => {
                        let list = json!({
                            "apiVersion": "v1", "kind": "ConfigMapList", "metadata": { "resourceVersion": "7" },
                            "items": [],
                        });
                        Ok(Response::new(Body::from(list.to_string().into_bytes())))
                    }
                }
            }
        })
    };
    let resume = Arc::new(Notify::new());
    let client = Client::new(service, "default");
    let mut events = watching_until(&client, maps, Config::default(), Arc::clone(&resume));
    assert!(matches!(events.next().await, Some(Ok(Event::Init))));
    assert!(matches!(events.next().await, Some(Ok(Event::InitDone))));
    for _ in 0..10 {
        assert!(matches!(events.next().await, Some(Err(Error::WatchStartFailed(_)))));
    }
    while seen.try_recv().is_ok() {}
    is_down.store(false, Ordering::Relaxed);
    let began = Instant::now();
    let resumed = async {
        resume.notify_one();
        seen.recv().await.unwrap()
    };
    let query = tokio::select! {
        biased;
        event = events.next() => panic!("{event:?}"),
        query = resumed => query,
    };
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(query.contains("watch=") && query.contains("resourceVersion=7"), "no relist: {query}");
}

#[tokio::test(start_paused = true)]
async fn each_watch_that_begins_at_an_expired_version_leads_to_a_list() {
    let mut events = watching(&refusing(410, 3, false), maps, Config::default());
    let began = Instant::now();
    for most in [0, 4, 8] {
        let ended = Instant::now();
        assert!(matches!(events.next().await, Some(Ok(Event::Init))));
        assert!(matches!(events.next().await, Some(Ok(Event::InitDone))));
        assert!(matches!(events.next().await, Some(Err(Error::WatchStartFailed(_)))));
        assert!(ended.elapsed() <= Duration::from_secs(most), "{:?}", ended.elapsed());
    }
    assert!(began.elapsed() >= Duration::from_secs(2), "the second and the third list wait");
    assert!(matches!(events.next().await, Some(Ok(Event::Init))));
    assert!(matches!(events.next().await, Some(Ok(Event::InitDone))));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_watch_that_was_open_for_a_while_counts_as_the_first_one() {
    let mut state = State::<ConfigMap> {
        events: futures::stream::empty().boxed(),
        is_listing: false,
        pause: Duration::ZERO,
        backoff: WatchBackoff::default(),
        synced: Some(Instant::now()),
        relists: 0,
    };
    for longest in [2, 4, 8, 16, 30, 30] {
        let (pause, longest) = (state.relist_pause(false), Duration::from_secs(longest));
        assert!((longest / 2..=longest).contains(&pause), "{pause:?}");
    }
    assert!(state.relist_pause(true) >= Duration::from_secs(15), "an expired version soon after a list waits too");
    tokio::time::advance(OPEN).await;
    assert_eq!(state.relist_pause(true), Duration::ZERO);
    tokio::time::advance(OPEN).await;
    assert!(state.relist_pause(false) <= Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_watch_on_a_connection_that_went_silent_resumes_without_an_error_or_a_list() {
    let (requests, mut seen) = mpsc::unbounded_channel();
    let service = tower::service_fn(move |request: Request<Body>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let is_watch = query.contains("watch=");
        requests.send(query).unwrap();
        let body = if is_watch {
            let silent = futures::stream::pending::<Result<Frame<Bytes>, kube::Error>>();
            StreamBody::new(silent).boxed_unsync()
        } else {
            let list = json!({
                "apiVersion": "v1", "kind": "ConfigMapList", "metadata": { "resourceVersion": "7" }, "items": [],
            });
            Full::from(list.to_string()).map_err(|never| match never {}).boxed_unsync()
        };
        future::ready(Ok::<_, kube::Error>(Response::new(body)))
    });
    let mut events = watching(&Client::new(service, "default"), maps, Config::default());
    assert!(matches!(events.next().await, Some(Ok(Event::Init))));
    assert!(matches!(events.next().await, Some(Ok(Event::InitDone))));
    assert!(!seen.recv().await.unwrap().contains("watch="), "a list");
    let began = Instant::now();
    let silence = async {
        for resumed in 0..3 {
            let query = seen.recv().await.unwrap();
            assert!(query.contains("watch=") && query.contains("resourceVersion=7"), "{query}");
            assert!(began.elapsed() <= Duration::from_secs(70) * resumed, "{:?}", began.elapsed());
        }
    };
    tokio::select! {
        event = events.next() => panic!("{event:?}"),
        () = silence => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_is_an_error() {
    let began = Instant::now();
    within(maps(silent()).get("east")).await.unwrap_err();
    assert_eq!(began.elapsed(), REQUEST_DEADLINE);
}
