//! [`Forget`]: what keeps state by object and by cluster, and forgets those that were deleted.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use clientmgr_kube::{
    BoundStates, ClientManager, ClientProvider, ConnectedAt, DeletionWatcher, Deletions, NamespacedName, ObjectKey,
};
use kube::Resource;
use kube::runtime::watcher::Event;

/// Something that keeps state by object and cluster. Once registered, it forgets what is deleted.
pub trait Forget: Send + Sync {
    /// Forgets `cluster` and all state on it. Returns quickly.
    fn forget_cluster(&self, cluster: &NamespacedName);

    /// Forgets `object` and all its state. Returns quickly. A reconcile that began before may ask for the object after this:
    /// clientmgr's own types then answer [`Forgotten`](clientmgr_kube::ClientError::Forgotten) for two minutes.
    fn forget_object(&self, object: &ObjectKey);

    /// A watcher reports `object` again after it was forgotten: a selector matches it again. Returns quickly. By default it
    /// does nothing.
    fn object_exists(&self, object: &ObjectKey) {
        let _ = object;
    }
}

/// A handle of something that forgets, which can be registered with a
/// [`ClusterController`](crate::controller::ClusterController::register) or with
/// [`Dependants`](crate::requeue::Dependants::register): an `Arc` of it, or
/// [`RemoteWatches`](crate::watch::RemoteWatches).
pub trait Register {
    /// Returns what forgets, without keeping it alive.
    fn downgrade(&self) -> Weak<dyn Forget>;
}

impl<T: Forget + 'static> Register for Arc<T> {
    fn downgrade(&self) -> Weak<dyn Forget> {
        let weak: Weak<T> = Self::downgrade(self);
        weak
    }
}

impl<P> Forget for ClientManager<P>
where
    P: ClientProvider<Key = NamespacedName, Revision = ConnectedAt> + 'static,
{
    fn forget_cluster(&self, cluster: &NamespacedName) {
        self.by_key().forget_cluster(cluster);
    }

    fn forget_object(&self, object: &ObjectKey) {
        self.object_deleted(object);
    }

    fn object_exists(&self, object: &ObjectKey) {
        Self::object_exists(self, object);
    }
}

impl<S, P> Forget for BoundStates<S, P>
where
    P: ClientProvider<Key = NamespacedName, Revision = ConnectedAt> + 'static,
    S: clientmgr_kube::BoundState,
{
    fn forget_cluster(&self, cluster: &NamespacedName) {
        self.by_key().forget_cluster(cluster);
    }

    fn forget_object(&self, object: &ObjectKey) {
        self.object_deleted(object);
    }

    fn object_exists(&self, object: &ObjectKey) {
        Self::object_exists(self, object);
    }
}

/// What is registered, while the program holds it. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub(crate) struct Registered {
    all: Arc<Mutex<Vec<Weak<dyn Forget>>>>,
    /// What the watchers report, and what they have reported as deleted.
    deletions: Arc<Deletions>,
}

impl Registered {
    pub(crate) fn add(&self, state: Weak<dyn Forget>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|state| state.strong_count() > 0);
        all.push(state);
    }

    pub(crate) fn forget_cluster(&self, cluster: &NamespacedName) {
        self.each(|state| state.forget_cluster(cluster));
    }

    fn forget_object(&self, object: &ObjectKey) {
        self.each(|state| state.forget_object(object));
    }

    fn object_exists(&self, object: &ObjectKey) {
        self.each(|state| state.object_exists(object));
    }

    fn each(&self, forget: impl Fn(&dyn Forget)) {
        // Not under the lock: to forget runs foreign code.
        let all: Vec<_> = {
            let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            all.iter().filter_map(Weak::upgrade).collect()
        };
        for state in all {
            // A teardown that panics must not end a controller.
            if catch_unwind(AssertUnwindSafe(|| forget(&*state))).is_err() {
                tracing::error!("the teardown of a registered state panicked");
            }
        }
    }
}

/// A watcher whose reports are followed: what is gone is forgotten, unless another one of the same `Registered` reports it.
pub(crate) struct Reported {
    registered: Registered,
    watcher: DeletionWatcher,
}

impl Reported {
    pub(crate) fn new(registered: Registered) -> Self {
        let watcher = registered.deletions.watcher();
        Self { registered, watcher }
    }

    /// Follows `event`.
    pub(crate) fn observe<K: Resource + 'static>(&self, event: &Event<K>) {
        let Self { registered, watcher } = self;
        let forgotten = match event {
            Event::Apply(object) | Event::InitApply(object) => Some(ObjectKey::of(object)),
            Event::Delete(_) | Event::Init | Event::InitDone => None,
        };
        let forgotten = forgotten.filter(|object| registered.deletions.contains(object));
        for object in watcher.observe(event, Instant::now()) {
            registered.forget_object(&object);
            if !registered.deletions.contains(&object) {
                // Another watcher has reported it meanwhile.
                registered.object_exists(&object);
            }
        }
        if let Some(object) = forgotten {
            registered.object_exists(&object);
        }
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use clientmgr_fake::FakeClientProvider;
    use clientmgr_kube::{BoundError, BoundStates, BoundTask, ClientError, ClientManager, ObservedCluster};
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::watcher::Event::{self, Apply, Delete, Init, InitApply, InitDone};

    use super::{Forget, NamespacedName, ObjectKey, Register as _, Registered, Reported};

    #[derive(Default)]
    struct Forgotten(Mutex<Vec<String>>);

    impl Forgotten {
        fn take(&self) -> Vec<String> {
            let mut all = std::mem::take(&mut *self.0.lock().unwrap());
            all.sort_unstable();
            all
        }
    }

    impl Forget for Forgotten {
        fn forget_cluster(&self, cluster: &NamespacedName) {
            self.0.lock().unwrap().push(cluster.to_string());
        }

        fn forget_object(&self, object: &ObjectKey) {
            self.0.lock().unwrap().push(format!("{object:?}"));
        }
    }

    struct Panics;

    impl Forget for Panics {
        fn forget_cluster(&self, _: &NamespacedName) {
            panic!("on purpose");
        }

        fn forget_object(&self, _: &ObjectKey) {
            panic!("on purpose");
        }
    }

    fn object(uid: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.name = Some("map".to_owned());
        object.metadata.uid = Some(uid.to_owned());
        object
    }

    #[test]
    fn a_state_that_panics_keeps_no_other_from_forgetting() {
        let (panics, forgotten, dropped) = (Arc::new(Panics), Arc::new(Forgotten::default()), Arc::new(Panics));
        let registered = Registered::default();
        registered.add(panics.downgrade());
        registered.add(forgotten.downgrade());
        registered.add(dropped.downgrade());
        drop(dropped);
        registered.forget_cluster(&"east".into());
        registered.forget_object(&ObjectKey::of_uid("west"));
        assert_eq!(forgotten.take(), ["east", "west"]);
    }

    #[test]
    fn what_is_deleted_or_missing_in_a_relist_is_forgotten_by_its_uid_and_its_name() {
        let (registered, forgotten) = (Registered::default(), Arc::new(Forgotten::default()));
        registered.add(forgotten.downgrade());
        let reported = Reported::new(registered);
        // (events, what is forgotten then)
        let steps: [(Event<ConfigMap>, &[&str]); 11] = [
            (Init, &[]),
            (InitApply(object("a")), &[]),
            (InitApply(object("b")), &[]),
            (InitDone, &[]),
            (Apply(object("c")), &[]),
            (Delete(object("a")), &["ConfigMap map", "a"]),
            (Init, &[]),
            (InitApply(object("b")), &[]),
            (Init, &[]), // the list failed and begins anew
            (InitApply(object("c")), &[]),
            (InitDone, &["b"]),
        ];
        for (step, (event, expected)) in steps.iter().enumerate() {
            reported.observe(event);
            assert_eq!(forgotten.take(), *expected, "step {step}");
        }
    }

    #[test]
    fn what_another_watcher_still_reports_is_not_forgotten() {
        let (registered, forgotten) = (Registered::default(), Arc::new(Forgotten::default()));
        registered.add(forgotten.downgrade());
        let (a, b) = (Reported::new(registered.clone()), Reported::new(registered));
        a.observe(&Apply(object("both")));
        b.observe(&Apply(object("both")));
        a.observe(&Delete(object("both")));
        assert!(!forgotten.take().contains(&"both".to_owned()), "the selector of b matches it");
        b.observe(&Delete(object("both")));
        assert!(forgotten.take().contains(&"both".to_owned()));
        // A watcher that has ended reports nothing.
        a.observe(&Apply(object("ended")));
        b.observe(&Apply(object("ended")));
        drop(a);
        b.observe(&Delete(object("ended")));
        assert!(forgotten.take().contains(&"ended".to_owned()));
    }

    #[tokio::test]
    async fn a_request_that_comes_after_the_deletion_stores_nothing_until_the_object_is_reported_again() {
        let (fake, key) = (FakeClientProvider::empty(), NamespacedName::from("east"));
        let east = ObservedCluster { revision: Some(fake.set_client(&key, 1).unwrap()), key };
        let clients = Arc::new(ClientManager::new(fake.clone()));
        let tasks = Arc::new(BoundStates::<BoundTask, _>::new(fake));
        let registered = Registered::default();
        registered.add(clients.downgrade());
        registered.add(tasks.downgrade());
        let reported = Reported::new(registered);
        let pending = || BoundTask::build(|_| std::future::pending());
        reported.observe(&Apply(object("a")));
        clients.client(&object("a"), &east).await.unwrap();
        tasks.get_or_build(&object("a"), &east, pending()).await.unwrap();
        reported.observe(&Delete(object("a")));
        let error = clients.client(&object("a"), &east).await.unwrap_err();
        assert!(matches!(error, ClientError::Forgotten { .. }), "{error:?}");
        let error = tasks.get_or_build(&object("a"), &east, pending()).await.unwrap_err();
        assert!(matches!(error, BoundError::Client(ClientError::Forgotten { .. })), "{error:?}");
        assert_eq!((clients.objects(), tasks.objects()), (0, 0));
        // A selector matches it again.
        reported.observe(&Apply(object("a")));
        clients.client(&object("a"), &east).await.unwrap();
        tasks.get_or_build(&object("a"), &east, pending()).await.unwrap();
        assert_eq!((clients.objects(), tasks.objects()), (1, 1));
    }
}
