//! The task of one watch: it feeds events into the store, then triggers the objects that use it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use clientmgr_kube::NamespacedName;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use kube::runtime::reflector::{ObjectRef, store::Writer};
use kube::runtime::watcher::{self, Error, Event};
use tokio::sync::watch;

use super::kind::WatchKind;
use super::progress::{Progress, Wake};
use super::triggers::Hub;
use super::users::Users;
use crate::watching::Failure;

/// The objects that an object on a cluster concerns.
pub(super) type Mapper<K> = dyn Fn(&K, &NamespacedName) -> Vec<NamespacedName> + Send + Sync;

/// What reports on a watch. Dropping it ends the watch for all of its users, also if the task panics or is aborted.
pub(super) struct Report {
    pub(super) progress: watch::Sender<Progress>,
    pub(super) users: Arc<Mutex<Users>>,
    pub(super) hub: Hub,
}

impl Report {
    /// Follows an event that is in the store. `mapped` returns the objects that it concerns.
    fn event<K>(&self, event: &Event<K>, mapped: impl FnOnce() -> Vec<NamespacedName>) {
        let mut wake = Wake::Nothing;
        self.progress.send_if_modified(|progress| {
            wake = progress.event(event);
            wake == Wake::All
        });
        self.wake(wake, mapped);
    }

    /// Follows an error. Returns whether the watch is over.
    fn fail(&self, error: Error) -> bool {
        let mut wake = Wake::Nothing;
        self.progress.send_modify(|progress| wake = progress.fail(error, Instant::now()));
        self.wake(wake, Vec::new);
        self.progress.borrow().end.is_some()
    }

    fn wake(&self, wake: Wake, mapped: impl FnOnce() -> Vec<NamespacedName>) {
        let users = || self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let objects: Vec<_> = match wake {
            Wake::Nothing => return,
            Wake::All => users().iter().cloned().collect(),
            Wake::Mapped => {
                let (mut objects, users) = (mapped(), users());
                objects.retain(|object| users.contains(object));
                objects
            }
        };
        self.hub.trigger(&objects);
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let mut wake = Wake::Nothing;
        self.progress.send_modify(|progress| wake = progress.stop());
        self.wake(wake, Vec::new);
    }
}

/// Watches until the client is revoked, or the task is aborted.
pub(super) async fn run<K: WatchKind>(
    (mut events, dyntype): (BoxStream<'static, watcher::Result<Event<K>>>, K::DynamicType),
    cluster: NamespacedName,
    mut writer: Writer<K>,
    report: Report,
    mapper: Arc<Mapper<K>>,
) {
    let store = writer.as_reader();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                // An object that concerned another one before concerns that one too.
                let before = match &event {
                    Event::Apply(object) => store.get(&ObjectRef::from_obj_with(object, dyntype.clone())),
                    _ => None,
                };
                writer.apply_watcher_event(&event);
                let mapped = || match &event {
                    Event::Apply(now) | Event::Delete(now) => {
                        let objects = before.as_deref().into_iter().chain([now]);
                        objects.flat_map(|object| mapper(object, &cluster)).collect()
                    }
                    _ => Vec::new(),
                };
                report.event(&event, mapped);
            }
            Err(error) => {
                tracing::debug!(%cluster, error = %Failure::of_watch(&error), "a remote watch failed");
                if report.fail(error) {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;
    use crate::captured_log::CapturedLog;

    #[tokio::test]
    async fn an_error_is_logged_without_its_text() {
        let (log, _captured) = CapturedLog::capture();
        let error = || kube::Error::Service("the plugin printed s3cr3t".into());
        let events = stream::iter([Err(Error::InitialListFailed(error())), Err(Error::WatchFailed(error()))]).boxed();
        let (progress, users, hub) = (watch::Sender::default(), Arc::default(), Hub::default());
        let report = Report { progress, users, hub };
        let writer = Writer::<ConfigMap>::default();
        run((events, ()), NamespacedName::from("east"), writer, report, Arc::new(|_, _| Vec::new())).await;
        let lines = log.lines();
        assert!(lines.len() == 2 && lines.iter().all(|(_, line)| !line.contains("s3cr3t")), "{lines:?}");
    }
}
