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
    let begin = move || watcher(api.clone(), config.clone()).default_backoff().boxed();
    let state = State { events: begin(), is_listing: true, refusals: 0 };
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
            Ok(Event::InitApply(_)) => {}
            Ok(Event::InitDone) => (state.is_listing, state.refusals) = (false, 0),
            Ok(_) => state.refusals = 0,
            // A watch that is permitted again would resume in silence. A list says that all is well.
            Err(error) if is_refusal(error) && !state.is_listing => {
                state.is_listing = true;
                state.refusals += 1;
                let pause =
                    Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(state.refusals)).min(LIST_DEADLINE / 2);
                let (pause, anew) = (tokio::time::sleep(pause), begin());
                state.events = stream::once(pause).filter_map(async |()| None).chain(anew).boxed();
            }
            // A list goes on; and a watch that broke resumes in silence.
            Err(_) => {}
        }
        Some((event, (state, begin)))
    })
    .boxed()
}

struct State<K: 'static> {
    events: BoxStream<'static, Result<Event<K>>>,
    is_listing: bool,
    /// How often in a row the watch was refused.
    refusals: u32,
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
    use futures::StreamExt as _;
    use http::{Request, Response};
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::client::Body;
    use kube::runtime::watcher::{Config, Error, Event};
    use kube::{Api, Client};
    use tokio::time::Instant;

    use super::{LIST_DEADLINE, REQUEST_DEADLINE, watching, within};

    /// A hub that never answers.
    fn silent() -> Api<ConfigMap> {
        let service =
            tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, kube::Error>>());
        Api::default_namespaced(Client::new(service, "default"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_without_an_answer_is_an_error_and_begins_anew() {
        let mut events = watching(silent(), Config::default());
        let began = Instant::now();
        for attempt in 1..=3 {
            assert!(matches!(events.next().await, Some(Ok(Event::Init))));
            let Some(Err(Error::InitialListFailed(error))) = events.next().await else { panic!("no error") };
            assert!(std::error::Error::source(&error).is_some() || !error.to_string().is_empty());
            assert_eq!(began.elapsed(), LIST_DEADLINE * attempt);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_an_answer_is_an_error() {
        let began = Instant::now();
        within(silent().get("east")).await.unwrap_err();
        assert_eq!(began.elapsed(), REQUEST_DEADLINE);
    }
}
