//! Watches with deadlines. kube's watcher waits for the answer to a request forever: a server or a load balancer that
//! swallows one request would stop it without a sign.

mod backoff;
mod failure;

#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use http::Request;
use kube::client::Body;
use kube::runtime::watcher;
use kube::runtime::watcher::{Config, Event, Result};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use self::backoff::OPEN;
pub(crate) use self::backoff::{WatchBackoff, jittered};
pub(crate) use self::failure::{Failure, Reports, is_cut};
use self::failure::{TimedOut, loses_events};

/// How long each page of a list may take, and the beginning of any answer.
pub(crate) const LIST_DEADLINE: Duration = Duration::from_secs(60);

/// How long any other request to the hub may take.
pub(crate) const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

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

/// How long a watch without an event is open before it is resumed on another request. A connection that went silent without
/// an end would otherwise hide every change for five minutes.
const WATCH_TIMEOUT: u32 = 60;

/// Returns `config` with the time after which a watch resumes, unless it has one.
pub(crate) fn resuming(config: Config) -> Config {
    let timeout = config.timeout.unwrap_or(WATCH_TIMEOUT);
    config.timeout(timeout)
}

/// Watches what `api` and `config` select with `client`, with a pause after errors. A list or a watch that is not answered
/// in time is an error. After an error that may have lost an event, the list begins anew.
pub(crate) fn watching<K>(
    client: &Client,
    api: impl FnOnce(Client) -> Api<K>,
    config: Config,
) -> BoxStream<'static, Result<Event<K>>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    watching_until(client, api, config, Arc::default())
}

/// Watches as [`watching`] does. `resume` ends the pause after an error, or the next one.
pub(crate) fn watching_until<K>(
    client: &Client,
    api: impl FnOnce(Client) -> Api<K>,
    config: Config,
    resume: Arc<Notify>,
) -> BoxStream<'static, Result<Event<K>>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    watching_api(api(answering(client)), config, resume)
}

/// Watches as [`watching_until`] does, with the client of `api`: a request of a watch that is not answered has no deadline.
pub(crate) fn watching_api<K>(api: Api<K>, config: Config, resume: Arc<Notify>) -> BoxStream<'static, Result<Event<K>>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let config = resuming(config);
    let begin = move || watcher(api.clone(), config.clone()).boxed();
    let state = State {
        events: begin(),
        is_listing: true,
        pause: Duration::ZERO,
        backoff: WatchBackoff::default(),
        synced: None,
        relists: 0,
    };
    stream::unfold((state, begin, resume), async move |(mut state, begin, resume)| {
        if !state.pause.is_zero() {
            tokio::select! {
                () = sleep(state.pause) => {}
                () = resume.notified() => {}
            }
        }
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
        state.pause = match &event {
            // A watch that is permitted again would resume in silence. A list says that all is well.
            Err(error) if !state.is_listing && (is_expired(error) || is_refusal(error) || loses_events(error)) => {
                (state.events, state.is_listing) = (begin(), true);
                state.relist_pause(is_expired(error))
            }
            // A list goes on; and a watch that was cut resumes in silence.
            Err(_) => state.backoff.pause(),
            Ok(_) => Duration::ZERO,
        };
        match &event {
            Ok(Event::Init) => state.is_listing = true,
            Ok(Event::InitDone) => (state.is_listing, state.synced) = (false, Some(Instant::now())),
            Ok(_) | Err(_) => {}
        }
        Some((event, (state, begin, resume)))
    })
    .boxed()
}

struct State<K: 'static> {
    events: BoxStream<'static, Result<Event<K>>>,
    is_listing: bool,
    /// How long to wait before the next event.
    pause: Duration,
    backoff: WatchBackoff,
    /// When the last list was complete.
    synced: Option<Instant>,
    /// How often in a row an error made the list begin anew, soon after the last list.
    relists: u32,
}

impl<K: 'static> State<K> {
    /// Returns how long to wait before the list begins anew. Where the changes `expired`, the first list is at once: there is
    /// no other error to wait for.
    fn relist_pause(&mut self, expired: bool) -> Duration {
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
