//! Watching objects on the hub: lists, watches, and lists again after every error but a cut connection, so that a source's
//! state is always that of a complete list, or of a watch after one that misses no event.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use clientmgr_kube::kube::runtime::watcher::{self, Event, watcher};
use clientmgr_kube::kube::{Api, Resource};
use clientmgr_kube::{ClusterConfig, NamespacedName};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

use super::error::SourceError;
use super::event::SourceEvent;
use crate::listing::Listing;
use crate::watching::{LIST_DEADLINE, WatchBackoff, is_cut, is_expired, resuming};

/// What was seen of the objects of one kind.
#[derive(Debug)]
pub(super) enum Observed<K> {
    /// The object is there.
    Applied(K),
    /// The object is gone. Only objects that were seen before are named.
    Gone(NamespacedName),
    /// All objects are known.
    Synced,
    /// The list or the watch broke. It is tried again.
    Failed(SourceError),
}

/// The key of an object.
pub(super) fn key_of(object: &impl Resource) -> NamespacedName {
    let meta = object.meta();
    NamespacedName::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

/// Watches the objects that `target` leads to, which is asked again after each error.
///
/// # Cancel safety
///
/// A poll takes an item or nothing.
pub(super) fn objects<K>(
    target: impl Fn() -> BoxFuture<'static, Result<Api<K>, SourceError>> + Send + 'static,
    config: watcher::Config,
) -> impl Stream<Item = Observed<K>> + Send + 'static
where
    K: Resource + Clone + fmt::Debug + DeserializeOwned + Send + 'static,
{
    let watching = Watching {
        target,
        config: resuming(config),
        phase: Phase::Broken { delay: Duration::ZERO },
        listing: Listing::default(),
        backoff: WatchBackoff::default(),
        ready: VecDeque::new(),
    };
    stream::unfold(watching, |mut watching| async move { Some((watching.next().await, watching)) })
}

struct Watching<K, F> {
    target: F,
    config: watcher::Config,
    phase: Phase<K>,
    listing: Listing<NamespacedName>,
    backoff: WatchBackoff,
    ready: VecDeque<Observed<K>>,
}

enum Phase<K> {
    /// To begin, or to begin again, after a delay.
    Broken { delay: Duration },
    /// A list is under way.
    Listing(BoxStream<'static, watcher::Result<Event<K>>>),
    /// The list was complete. The watch notices by itself if its connection is dead.
    Watching(BoxStream<'static, watcher::Result<Event<K>>>),
}

impl<K, F> Watching<K, F>
where
    K: Resource + Clone + fmt::Debug + DeserializeOwned + Send + 'static,
    F: Fn() -> BoxFuture<'static, Result<Api<K>, SourceError>> + Send + 'static,
{
    async fn next(&mut self) -> Observed<K> {
        loop {
            if let Some(observed) = self.ready.pop_front() {
                return observed;
            }
            let too_late = || SourceError::TimedOut { deadline: LIST_DEADLINE };
            let event = match &mut self.phase {
                Phase::Broken { delay } => {
                    sleep(std::mem::take(delay)).await;
                    match timeout(LIST_DEADLINE, (self.target)()).await.unwrap_or_else(|_| Err(too_late())) {
                        Ok(api) => self.phase = Phase::Listing(watcher(api, self.config.clone()).boxed()),
                        Err(error) => self.fail(error),
                    }
                    continue;
                }
                Phase::Listing(events) => match timeout(LIST_DEADLINE, events.next()).await {
                    Ok(event) => event.map(|event| event.map_err(SourceError::from)),
                    Err(_) => Some(Err(too_late())),
                },
                Phase::Watching(events) => match events.next().await {
                    // A connection that was cut: the watch resumes where it was. If it cannot, the next error says so.
                    Some(Err(error)) if is_cut(&error) => {
                        tracing::debug!(error = %SourceError::from(error), "a watch of a source was cut");
                        sleep(self.backoff.pause()).await;
                        continue;
                    }
                    // The hub no longer has the changes: a list says what they were.
                    Some(Err(error)) if is_expired(&error) => {
                        tracing::debug!(error = %SourceError::from(error), "a source lists again");
                        self.phase = Phase::Broken { delay: self.backoff.pause() };
                        continue;
                    }
                    event => event.map(|event| event.map_err(SourceError::from)),
                },
            };
            match event {
                Some(Ok(event)) => self.take(event),
                Some(Err(error)) => self.fail(error),
                None => self.phase = Phase::Broken { delay: self.backoff.pause() },
            }
        }
    }

    fn take(&mut self, event: Event<K>) {
        match event {
            Event::Init => self.listing.restart(),
            Event::InitApply(object) | Event::Apply(object) => {
                self.listing.insert(&key_of(&object));
                self.ready.push_back(Observed::Applied(object));
            }
            Event::Delete(object) => {
                let key = key_of(&object);
                if self.listing.remove(&key) {
                    self.ready.push_back(Observed::Gone(key));
                }
            }
            Event::InitDone => {
                self.ready.extend(self.listing.complete().into_iter().map(Observed::Gone));
                self.ready.push_back(Observed::Synced);
                self.phase = match std::mem::replace(&mut self.phase, Phase::Broken { delay: Duration::ZERO }) {
                    Phase::Listing(events) => Phase::Watching(events),
                    other => other,
                };
            }
        }
    }

    fn fail(&mut self, error: SourceError) {
        self.phase = Phase::Broken { delay: self.backoff.pause() };
        self.ready.push_back(Observed::Failed(error));
    }
}

/// Watches objects in several scopes, namespaces or kinds: says in which one, and `Synced` only while all are synced.
pub(super) fn combined<K: Send + 'static>(
    scopes: impl IntoIterator<Item = BoxStream<'static, Observed<K>>>,
) -> impl Stream<Item = (usize, Observed<K>)> + Send + 'static {
    let tagged = |(at, scope): (usize, BoxStream<'static, Observed<K>>)| scope.map(move |seen| (at, seen)).boxed();
    let scopes: Vec<_> = scopes.into_iter().enumerate().map(tagged).collect();
    let mut synced = vec![false; scopes.len()];
    stream::select_all(scopes).filter_map(move |(at, seen)| {
        match seen {
            Observed::Synced => synced[at] = true,
            Observed::Failed(_) => synced[at] = false,
            Observed::Applied(_) | Observed::Gone(_) => {}
        }
        let is_shown = !matches!(seen, Observed::Synced) || synced.iter().all(|synced| *synced);
        std::future::ready(is_shown.then_some((at, seen)))
    })
}

/// A source in which each object declares one cluster, under the object's key. None where an object declares none.
pub(super) fn declared<K: Resource + Send + 'static>(
    scopes: impl IntoIterator<Item = BoxStream<'static, Observed<K>>>,
    declaration: impl Fn(&K) -> Option<Result<ClusterConfig, SourceError>> + Send + 'static,
) -> impl Stream<Item = SourceEvent> + Send + 'static {
    combined(scopes).map(move |(_, seen)| match seen {
        Observed::Applied(object) => match declaration(&object) {
            Some(config) => SourceEvent::upsert(key_of(&object), config),
            None => SourceEvent::remove(key_of(&object)),
        },
        Observed::Gone(cluster) => SourceEvent::remove(cluster),
        Observed::Synced => SourceEvent::Synced,
        Observed::Failed(error) => SourceEvent::Failed(error),
    })
}

#[cfg(test)]
mod tests {
    use clientmgr_kube::k8s_openapi::api::core::v1::Secret;
    use futures::FutureExt;
    use futures::channel::mpsc::unbounded;
    use futures::stream::StreamExt;

    use super::{Observed, combined};
    use crate::source::SourceError;

    #[test]
    fn all_is_known_only_while_every_scope_is_synced() {
        let (first, first_seen) = unbounded::<Observed<Secret>>();
        let (second, second_seen) = unbounded();
        let mut seen = combined([first_seen.boxed(), second_seen.boxed()]);
        let mut next = || seen.next().now_or_never().flatten().map(|(at, seen)| (at, matches!(seen, Observed::Synced)));
        let failed = || Observed::Failed(SourceError::Panicked);

        first.unbounded_send(Observed::Synced).unwrap();
        assert_eq!(next(), None);
        second.unbounded_send(Observed::Synced).unwrap();
        assert_eq!(next(), Some((1, true)));
        first.unbounded_send(failed()).unwrap();
        assert_eq!(next(), Some((0, false)));
        second.unbounded_send(Observed::Synced).unwrap();
        assert_eq!(next(), None, "the first one is still broken");
        first.unbounded_send(Observed::Synced).unwrap();
        assert_eq!(next(), Some((0, true)));
    }
}
