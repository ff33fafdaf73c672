//! Watches with a deadline on their lists. kube's watcher waits for the answer to a list forever: a server or a load balancer
//! that swallows one request would stop it without a sign.

use std::fmt::Debug;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use kube::runtime::watcher::{Config, Event, Result};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// How long each page of a list may take, after a failure with the pause before it.
pub(crate) const LIST_DEADLINE: Duration = Duration::from_secs(60);

/// How long any other request to the hub may take.
pub(crate) const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// A list or another request took too long.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no answer within {deadline:?}")]
pub(crate) struct TimedOut {
    pub(crate) deadline: Duration,
}

impl TimedOut {
    /// Returns kube's error of a request that took longer than `deadline`.
    pub(crate) fn error(deadline: Duration) -> kube::Error {
        kube::Error::Service(Box::new(Self { deadline }))
    }
}

/// Awaits a request to the hub, for [`REQUEST_DEADLINE`].
pub(crate) async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    timeout(REQUEST_DEADLINE, request).await.unwrap_or_else(|_| Err(TimedOut::error(REQUEST_DEADLINE)))
}

/// Watches what `api` and `config` select, with a backoff after errors. A list that takes too long is an error, and begins
/// anew.
pub(crate) fn watching<K>(api: Api<K>, config: Config) -> BoxStream<'static, Result<Event<K>>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    struct State<K: 'static> {
        events: BoxStream<'static, Result<Event<K>>>,
        is_listing: bool,
    }
    let begin = move || watcher(api.clone(), config.clone()).default_backoff().boxed();
    let state = State { events: begin(), is_listing: true };
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
            Ok(Event::InitDone) => state.is_listing = false,
            // A list goes on; and a watch that broke resumes in silence.
            Ok(_) | Err(_) => {}
        }
        Some((event, (state, begin)))
    })
    .boxed()
}
