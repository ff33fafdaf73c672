//! Watches with deadlines. kube's watcher waits for the answer to a request forever: a server or a load balancer that
//! swallows one request would stop it without a sign.

use std::fmt::Debug;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use http::Request;
use kube::client::Body;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{Config, Event, Result};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

/// How long each page of a list may take, after a failure with the pause before it, and the beginning of any answer.
pub(crate) const LIST_DEADLINE: Duration = Duration::from_secs(60);

/// How long any other request to the hub may take.
pub(crate) const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// A request took too long.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the API server did not answer within {deadline:?}")]
pub(crate) struct TimedOut {
    pub(crate) deadline: Duration,
}

impl TimedOut {
    /// Returns kube's error of a request that took longer than `deadline`.
    pub(crate) fn error(deadline: Duration) -> kube::Error {
        kube::Error::Service(Box::new(Self { deadline }))
    }

    /// Returns it where `error` is that of a request that took too long.
    pub(crate) fn of(error: &kube::Error) -> Option<&Self> {
        match error {
            kube::Error::Service(error) => error.downcast_ref(),
            _ => None,
        }
    }
}

/// Awaits a request to the hub, for [`REQUEST_DEADLINE`].
pub(crate) async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    timeout(REQUEST_DEADLINE, request).await.unwrap_or_else(|_| Err(TimedOut::error(REQUEST_DEADLINE)))
}

/// Returns `client` with a deadline for the beginning of each answer: a watch that resumes sends its request again, and that
/// one may be swallowed too.
pub(crate) fn answering(client: &Client) -> Client {
    let namespace = client.default_namespace().to_owned();
    let client = client.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let client = client.clone();
        async move {
            let answer = timeout(LIST_DEADLINE, client.send(request)).await;
            answer.unwrap_or_else(|_| Err(TimedOut::error(LIST_DEADLINE)))
        }
    });
    Client::new(service, namespace)
}

/// A backoff with full jitter, which begins anew after a time without an error. kube's own is for clusters with thousands of
/// clients: it waits up to 30 s after an outage, and begins anew only after two minutes without an error, while a load
/// balancer may cut a watch each minute.
#[derive(Default)]
pub(crate) struct WatchBackoff {
    failures: u32,
    /// When the last pause ends.
    resumed: Option<Instant>,
}

/// The longest first pause, and the longest of all.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// How long a watch is open before the next cut counts as the first one.
const OPEN: Duration = Duration::from_secs(30);

/// How long a watch without an event is open before it is resumed on another request. A connection that went silent without
/// an end would otherwise hide every change for five minutes.
const WATCH_TIMEOUT: u32 = 60;

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.resumed.is_some_and(|at| at.elapsed() >= OPEN) {
            self.failures = 0;
        }
        let (first, longest) = PAUSES;
        let most = first.saturating_mul(2_u32.saturating_pow(self.failures)).min(longest);
        self.failures = self.failures.saturating_add(1);
        let pause = most.mul_f64(fastrand::f64());
        self.resumed = Some(Instant::now() + pause);
        Some(pause)
    }
}

impl Backoff for WatchBackoff {
    /// Does nothing. kube calls this after each event, and `Init` comes before a list that may fail.
    fn reset(&mut self) {}
}

/// Returns a random time between half of `pause` and `pause`: all that waits for a hub fails at the same moment.
pub(crate) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5_f64.mul_add(fastrand::f64(), 0.5))
}

/// Returns `config` with the time after which a watch resumes, unless it has one.
pub(crate) fn resuming(config: Config) -> Config {
    let timeout = config.timeout.unwrap_or(WATCH_TIMEOUT);
    config.timeout(timeout)
}

/// Watches what `api` and `config` select with `client`, with a backoff after errors. A list or a watch that is not answered
/// in time is an error. After an error that may have lost an event, the list begins anew.
pub(crate) fn watching<K>(
    client: &Client,
    api: impl FnOnce(Client) -> Api<K>,
    config: Config,
) -> BoxStream<'static, Result<Event<K>>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let (api, config) = (api(answering(client)), resuming(config));
    let begin = move || watcher(api.clone(), config.clone()).backoff(WatchBackoff::default()).boxed();
    let state = State { events: begin(), is_listing: true, synced: None, relists: 0 };
    stream::unfold((state, begin), async move |(mut state, begin)| {
        let next = if state.is_listing {
            timeout(LIST_DEADLINE, state.events.next()).await
        } else {
            Ok(state.events.next().await)
        };
        let event = if let Ok(event) = next {
            event?
        } else {
            state.events = begin();
            Err(watcher::Error::InitialListFailed(TimedOut::error(LIST_DEADLINE)))
        };
        match &event {
            Ok(Event::Init) => state.is_listing = true,
            Ok(Event::InitDone) => (state.is_listing, state.synced) = (false, Some(Instant::now())),
            // A watch that is permitted again would resume in silence. A list says that all is well.
            Err(error) if !state.is_listing && (is_expired(error) || is_refusal(error) || loses_events(error)) => {
                state.is_listing = true;
                let (pause, anew) = (tokio::time::sleep(state.pause(is_expired(error))), begin());
                state.events = stream::once(pause).filter_map(async |()| None).chain(anew).boxed();
            }
            // A list goes on; and a watch that was cut resumes in silence.
            Ok(_) | Err(_) => {}
        }
        Some((event, (state, begin)))
    })
    .boxed()
}

struct State<K: 'static> {
    events: BoxStream<'static, Result<Event<K>>>,
    is_listing: bool,
    /// When the last list was complete.
    synced: Option<Instant>,
    /// How often in a row an error made the list begin anew, soon after the last list.
    relists: u32,
}

impl<K: 'static> State<K> {
    /// Returns how long to wait before the list begins anew. Where the changes `expired`, the first list is at once: there is
    /// no other error to wait for.
    fn pause(&mut self, expired: bool) -> Duration {
        if self.synced.is_none_or(|at| at.elapsed() >= OPEN) {
            self.relists = 0;
        }
        let is_first = self.relists == 0;
        self.relists = self.relists.saturating_add(1);
        if expired && is_first {
            return Duration::ZERO;
        }
        let most = Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(self.relists)).min(LIST_DEADLINE / 2);
        jittered(most)
    }
}

/// Returns whether the server no longer has the changes since the version that the watch would resume at.
pub(crate) fn is_expired(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) | watcher::Error::WatchError(status) => {
            status.code == 410
        }
        _ => false,
    }
}

/// Returns whether a watch that resumes after `error` may lack an event: kube goes on behind a line that it cannot read.
pub(crate) fn loses_events(error: &watcher::Error) -> bool {
    use kube::Error::{HyperError, ReadEvents, Service};
    matches!(error, watcher::Error::WatchFailed(error) if !matches!(error, ReadEvents(_) | HyperError(_) | Service(_)))
}

/// Returns whether the server answered that this may not be watched, or that the kind is not there.
pub(crate) fn is_refusal(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => matches!(status.code, 401 | 403 | 404),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
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
    use tokio::time::Instant;

    use super::{LIST_DEADLINE, OPEN, REQUEST_DEADLINE, State, WatchBackoff, watching, within};

    /// A hub that never answers.
    fn silent() -> Client {
        let service =
            tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, kube::Error>>());
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
    async fn a_watch_that_is_cut_each_minute_resumes_within_a_second_and_one_that_is_refused_within_ten() {
        let mut backoff = WatchBackoff::default();
        for _ in 0..10 {
            let pause = backoff.next().unwrap();
            assert!(pause <= Duration::from_secs(1), "{pause:?}");
            tokio::time::advance(pause + Duration::from_secs(60)).await;
        }
        // One that is cut at once is tried less and less often.
        let pauses = std::array::from_fn::<_, 50, _>(|_| backoff.next().unwrap());
        let longest = pauses.iter().max().unwrap();
        assert!((Duration::from_secs(2)..=Duration::from_secs(10)).contains(longest), "{pauses:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_server_no_longer_has_is_listed_at_once() {
        let gone =
            "{\"type\": \"ERROR\", \"object\": {\"status\": \"Failure\", \"reason\": \"Expired\", \"code\": 410}}\n";
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
            synced: Some(Instant::now()),
            relists: 0,
        };
        for longest in [2, 4, 8, 16, 30, 30] {
            let (pause, longest) = (state.pause(false), Duration::from_secs(longest));
            assert!((longest / 2..=longest).contains(&pause), "{pause:?}");
        }
        assert!(state.pause(true) >= Duration::from_secs(15), "an expired version soon after a list waits too");
        tokio::time::advance(OPEN).await;
        assert_eq!(state.pause(true), Duration::ZERO);
        tokio::time::advance(OPEN).await;
        assert!(state.pause(false) <= Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_on_a_connection_that_went_silent_resumes_without_an_error_or_a_list() {
        let (requests, mut seen) = tokio::sync::mpsc::unbounded_channel();
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
}
