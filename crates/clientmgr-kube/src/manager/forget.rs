//! Forgetting without finalizers: the objects that a watcher reports as deleted, and those that its relist no longer
//! contains.

use std::sync::Arc;
use std::time::Instant;

use clientmgr_core::{BoundState, ClientProvider, ConnectedAt, NamespacedName};
use futures::{Stream, StreamExt as _};
use kube::Resource;
use kube::runtime::watcher::Event;

use super::bound::BoundStates;
use super::clients::ClientManager;
use super::deletions::Watcher;
use super::object::ObjectKey;

impl<P> ClientManager<P>
where
    P: ClientProvider<Key = NamespacedName, Revision = ConnectedAt> + 'static,
{
    /// Forgets the objects that a watcher reports as deleted, and those that a relist no longer contains. Passes all
    /// events and errors through.
    ///
    /// A relist is compared with what the same stream has reported before: objects of other kinds are kept. So is an object
    /// that another stream of this manager still reports. Requires the feature `runtime`.
    ///
    /// A reconcile that began before the deletion may ask for a client after it. For two minutes such a request fails
    /// with [`ClientError::Forgotten`](crate::ClientError::Forgotten) and stores nothing, unless a stream reports the object again.
    /// Pass the stream of each controller that uses this manager: an object that leaves the selector of one of them is
    /// deleted for that one.
    ///
    /// Requests through [`by_key`](Self::by_key) do not see this. Give the watcher a backoff, as for any other use.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use clientmgr_kube::ClientManager;
    /// use clientmgr_kube::k8s_openapi::api::core::v1::ConfigMap;
    /// use clientmgr_kube::kube::runtime::watcher::{Event, Result};
    /// use futures::Stream;
    ///
    /// fn events(
    ///     clients: &Arc<ClientManager>,
    ///     watcher: impl Stream<Item = Result<Event<ConfigMap>>>,
    /// ) -> impl Stream<Item = Result<Event<ConfigMap>>> {
    ///     clients.forget_deleted(watcher)
    /// }
    /// ```
    pub fn forget_deleted<K, E, S>(
        self: &Arc<Self>,
        events: S,
    ) -> impl Stream<Item = Result<Event<K>, E>> + use<K, E, S, P>
    where
        K: Resource + 'static,
        S: Stream<Item = Result<Event<K>, E>>,
    {
        let clients = Arc::clone(self);
        inspect(events, self.deletions().watcher(), move |object| clients.by_key().forget(object))
    }

    /// Takes the report that `object` was deleted, as [`forget_deleted`](Self::forget_deleted) does.
    #[doc(hidden)]
    pub fn object_deleted(&self, object: &ObjectKey) {
        if self.deletions().deleted(object, Instant::now()) {
            self.by_key().forget(object);
        }
    }

    /// Takes the report that `object` exists after all.
    #[doc(hidden)]
    pub fn object_exists(&self, object: &ObjectKey) {
        self.deletions().exists(object);
    }
}

impl<S, P> BoundStates<S, P>
where
    P: ClientProvider<Key = NamespacedName, Revision = ConnectedAt> + 'static,
    S: BoundState,
{
    /// Forgets the objects that a watcher reports as deleted, and those that a relist no longer contains, and tears down
    /// their states. See [`ClientManager::forget_deleted`]. Give the watcher a backoff.
    pub fn forget_deleted<K, E, W>(
        self: &Arc<Self>,
        events: W,
    ) -> impl Stream<Item = Result<Event<K>, E>> + use<K, E, W, S, P>
    where
        K: Resource + 'static,
        W: Stream<Item = Result<Event<K>, E>>,
    {
        let states = Arc::clone(self);
        inspect(events, self.deletions().watcher(), move |object| states.by_key().forget(object))
    }

    /// Takes the report that `object` was deleted, as [`forget_deleted`](Self::forget_deleted) does.
    #[doc(hidden)]
    pub fn object_deleted(&self, object: &ObjectKey) {
        if self.deletions().deleted(object, Instant::now()) {
            self.by_key().forget(object);
        }
    }

    /// Takes the report that `object` exists after all.
    #[doc(hidden)]
    pub fn object_exists(&self, object: &ObjectKey) {
        self.deletions().exists(object);
    }
}

fn inspect<K: Resource + 'static, E>(
    events: impl Stream<Item = Result<Event<K>, E>>,
    watcher: Watcher,
    forget: impl Fn(&ObjectKey),
) -> impl Stream<Item = Result<Event<K>, E>> {
    events.inspect(move |event| {
        if let Ok(event) = event {
            watcher.observe(event, Instant::now()).iter().for_each(&forget);
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clientmgr_core::{NamespacedName, ObservedCluster};
    use clientmgr_fake::FakeClientProvider;
    use futures::{StreamExt as _, stream};
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::watcher::Event::{self, Apply, Delete, Init, InitApply, InitDone};

    use crate::{BoundError, BoundStates, BoundTask, ClientError, ClientManager};

    fn object(name: &str, uid: Option<u8>) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.name = Some(name.to_owned());
        object.metadata.uid = uid.map(|uid| format!("7d1cbb0d-5c5b-4a5f-a9f5-e5a2f3f54b{uid:02}"));
        object
    }

    fn connected() -> (FakeClientProvider<u32>, ObservedCluster) {
        let (fake, key) = (FakeClientProvider::empty(), NamespacedName::from("east"));
        let revision = Some(fake.set_client(&key, 1).unwrap());
        (fake, ObservedCluster { key, revision })
    }

    #[tokio::test]
    async fn what_is_deleted_or_missing_in_a_relist_is_forgotten_and_nothing_else() {
        let (fake, east) = connected();
        let clients = Arc::new(ClientManager::new(fake));
        let [a, b, c, other_kind] =
            [object("a", Some(1)), object("b", Some(2)), object("c", Some(3)), object("d", Some(4))];
        // Known before it had a UID.
        clients.client(&object("a", None), &east).await.unwrap();
        for object in [&a, &b, &c, &other_kind] {
            clients.client(object, &east).await.unwrap();
        }
        // (events, objects that are remembered then)
        let steps: [(Event<ConfigMap>, usize); 12] = [
            (Init, 5),
            (InitApply(a.clone()), 5),
            (InitApply(b.clone()), 5),
            (InitDone, 5),
            (Apply(c.clone()), 5),
            (Delete(a.clone()), 3), // with what was stored before it had a UID
            (Init, 3),
            (InitApply(b.clone()), 3),
            (Init, 3), // the list failed and begins anew
            (InitApply(c.clone()), 3),
            (InitDone, 2), // b is gone, and the object of another kind stays
            (Apply(b), 2),
        ];
        let events = stream::iter(steps.iter().map(|(event, _)| Ok::<_, ()>(event.clone())).collect::<Vec<_>>());
        let mut events = std::pin::pin!(clients.forget_deleted(events));
        for (step, (_, remembered)) in steps.iter().enumerate() {
            events.next().await.unwrap().unwrap();
            assert_eq!(clients.objects(), *remembered, "step {step}");
        }
    }

    #[tokio::test]
    async fn states_are_torn_down_and_errors_pass_through() {
        let (fake, east) = connected();
        let tasks = Arc::new(BoundStates::<BoundTask, _>::new(fake));
        let object = object("a", Some(1));
        let build = BoundTask::build(|_| std::future::pending());
        let task = tasks.get_or_build(&object, &east, build).await.unwrap();
        let events = tasks.forget_deleted(stream::iter([Err("broken"), Ok(Delete(object))]));
        let passed: Vec<_> = events.map(|event| event.map(|_| ())).collect().await;
        assert_eq!((passed, tasks.objects()), (vec![Err("broken"), Ok(())], 0));
        clientmgr_core::BoundState::ended(&*task).await;
    }

    async fn unbuilt(_: u32) -> Result<BoundTask, std::convert::Infallible> {
        panic!("built for an object that was deleted")
    }

    #[tokio::test]
    async fn what_is_built_while_its_object_is_deleted_is_torn_down() {
        let (fake, east) = connected();
        let tasks = Arc::new(BoundStates::<BoundTask, _>::new(fake));
        let deleted = object("a", Some(1));
        let events = [Apply(deleted.clone()), Delete(deleted.clone())].map(Ok::<_, ()>);
        let deletion = tasks.forget_deleted(stream::iter(events)).collect::<Vec<_>>();
        let (started, ended) = tokio::sync::oneshot::channel::<()>();
        let build = |_| async {
            deletion.await;
            Ok::<_, std::convert::Infallible>(BoundTask::spawn(async {
                let _started = started;
                std::future::pending::<()>().await;
            }))
        };
        let error = tasks.get_or_build(&deleted, &east, build).await.unwrap_err();
        assert!(matches!(error, BoundError::Client(ClientError::Forgotten { .. })), "{error:?}");
        assert_eq!(tasks.objects(), 0);
        ended.await.unwrap_err();
    }

    #[tokio::test]
    async fn a_reconcile_that_comes_after_the_deletion_stores_nothing() {
        let (fake, east) = connected();
        let clients = Arc::new(ClientManager::new(fake.clone()));
        let tasks = Arc::new(BoundStates::<BoundTask, _>::new(fake));
        let (deleted, other) = (object("a", Some(1)), object("a", Some(2)));
        let events = [Apply(deleted.clone()), Delete(deleted.clone())].map(Ok::<_, ()>);
        clients.forget_deleted(stream::iter(events.clone())).collect::<Vec<_>>().await;
        tasks.forget_deleted(stream::iter(events)).collect::<Vec<_>>().await;

        let error = clients.client(&deleted, &east).await.unwrap_err();
        assert!(matches!(error, ClientError::Forgotten { .. }), "{error:?}");
        let error = tasks.get_or_build(&deleted, &east, unbuilt).await.unwrap_err();
        assert!(matches!(error, BoundError::Client(ClientError::Forgotten { .. })), "{error:?}");
        assert_eq!((clients.objects(), tasks.objects()), (0, 0));

        // One that was created again under its name is another object.
        clients.client(&other, &east).await.unwrap();
        tasks.get_or_build(&other, &east, BoundTask::build(|_| std::future::pending())).await.unwrap();
        assert_eq!((clients.objects(), tasks.objects()), (1, 1));
    }
}
