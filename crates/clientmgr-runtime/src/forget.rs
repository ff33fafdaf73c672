//! [`Forget`]: state by object and by cluster. It forgets those that were deleted, and resumes where a connection changed.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Instant;

use clientmgr_kube::{
    BoundStates, ClientManager, ClientProvider, ConnectedAt, DeletionWatcher, Deletions, NamespacedName, ObjectKey,
};
use kube::Resource;
use kube::runtime::watcher::Event;

/// State that is kept by object and cluster. Once registered, it gets three kinds of calls: what was deleted, which objects
/// exist again, and which clusters may be served again.
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

    /// The connection of `cluster` changed: it may be served again. Returns quickly. By default it does nothing.
    fn cluster_changed(&self, cluster: &NamespacedName) {
        let _ = cluster;
    }
}

/// A handle of state that can be registered: an `Arc` of what implements [`Forget`], or
/// [`RemoteWatches`](crate::watch::RemoteWatches).
///
/// See [`ClusterController::register`](crate::controller::ClusterController::register) and
/// [`Dependants::register`](crate::requeue::Dependants::register).
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

/// What is registered with one controller or one index, while the program holds it. Cheap to clone; all clones are one.
#[derive(Clone)]
pub(crate) struct Registered(Arc<Group>);

#[derive(Default)]
struct Group {
    states: Mutex<Vec<Weak<dyn Forget>>>,
    /// What the watchers report, and what they have reported as deleted.
    deletions: Arc<Deletions>,
}

/// All groups. A state may be in several: an object that one group sees no more is kept while another reports it.
static GROUPS: RwLock<Vec<Weak<Group>>> = RwLock::new(Vec::new());

impl Default for Registered {
    fn default() -> Self {
        let group = Arc::default();
        let mut groups = GROUPS.write().unwrap_or_else(PoisonError::into_inner);
        groups.retain(|group| group.strong_count() > 0);
        groups.push(Arc::downgrade(&group));
        Self(group)
    }
}

impl Registered {
    pub(crate) fn add(&self, state: Weak<dyn Forget>) {
        let mut states = self.0.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.retain(|state| state.strong_count() > 0);
        states.push(state);
    }

    pub(crate) fn forget_cluster(&self, cluster: &NamespacedName) {
        self.each(|state| state.forget_cluster(cluster));
    }

    pub(crate) fn cluster_changed(&self, cluster: &NamespacedName) {
        self.each(|state| state.cluster_changed(cluster));
    }

    fn forget_object(&self, object: &ObjectKey) {
        self.each(|state| {
            // Asked again after it was forgotten: it may have been reported meanwhile.
            if !self.is_kept_by_others(state, object) {
                state.forget_object(object);
                if self.is_kept_by_others(state, object) {
                    state.object_exists(object);
                }
            }
        });
    }

    fn object_exists(&self, object: &ObjectKey) {
        self.each(|state| state.object_exists(object));
    }

    /// Returns whether a watcher of any group has reported `object` as deleted of late.
    fn is_deleted(&self, object: &ObjectKey) -> bool {
        self.0.deletions.contains(object) || self.others(|group| group.deletions.contains(object))
    }

    fn is_kept_by_others(&self, state: &dyn Forget, object: &ObjectKey) -> bool {
        self.others(|group| group.deletions.reports(object) && group.has(state))
    }

    fn others(&self, holds: impl Fn(&Group) -> bool) -> bool {
        let groups = GROUPS.read().unwrap_or_else(PoisonError::into_inner);
        let others = groups.iter().filter_map(Weak::upgrade).filter(|group| !Arc::ptr_eq(group, &self.0));
        others.into_iter().any(|group| holds(&group))
    }

    fn each(&self, forget: impl Fn(&dyn Forget)) {
        // Not under the lock: to forget runs foreign code.
        let all: Vec<_> = {
            let states = self.0.states.lock().unwrap_or_else(PoisonError::into_inner);
            states.iter().filter_map(Weak::upgrade).collect()
        };
        for state in all {
            // A teardown that panics must not end a controller.
            if catch_unwind(AssertUnwindSafe(|| forget(&*state))).is_err() {
                tracing::error!("a registered state panicked");
            }
        }
    }
}

impl Group {
    fn has(&self, state: &dyn Forget) -> bool {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.iter().any(|it| ptr::addr_eq(it.as_ptr(), state))
    }
}

/// A watcher whose reports are followed: what is gone is forgotten, unless another one reports it.
pub(crate) struct Reported {
    registered: Registered,
    watcher: DeletionWatcher,
}

impl Reported {
    pub(crate) fn new(registered: Registered) -> Self {
        let watcher = registered.0.deletions.watcher();
        Self { registered, watcher }
    }

    /// Follows `event`.
    pub(crate) fn observe<K: Resource + 'static>(&self, event: &Event<K>) {
        let Self { registered, watcher } = self;
        let exists = match event {
            Event::Apply(object) | Event::InitApply(object) => Some(ObjectKey::of(object)),
            Event::Delete(_) | Event::Init | Event::InitDone => None,
        };
        let was_deleted = exists.as_ref().is_some_and(|object| registered.is_deleted(object));
        for object in watcher.observe(event, Instant::now()) {
            registered.forget_object(&object);
            if !registered.0.deletions.contains(&object) {
                // Another watcher has reported it meanwhile.
                registered.object_exists(&object);
            }
        }
        if let Some(object) = exists.filter(|_| was_deleted) {
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
    async fn what_another_group_reports_is_not_forgotten_where_a_state_is_in_both() {
        let (fake, key) = (FakeClientProvider::empty(), NamespacedName::from("east"));
        let east = ObservedCluster { revision: Some(fake.set_client(&key, 1).unwrap()), key };
        let managers = [(); 2].map(|()| Arc::new(ClientManager::new(fake.clone())));
        let groups = [Registered::default(), Registered::default()];
        let [both, one] = &managers;
        groups[0].add(both.downgrade());
        groups[0].add(one.downgrade());
        groups[1].add(both.downgrade());
        let [a, b] = groups.map(Reported::new);
        let objects = || [both.objects(), one.objects()];
        let moved = object("moved");
        let ask = async || {
            for manager in &managers {
                manager.client(&moved, &east).await.unwrap();
            }
        };
        // Both selectors match it, and then the second one only.
        a.observe(&Apply(object("moved")));
        b.observe(&Apply(object("moved")));
        ask().await;
        a.observe(&Delete(object("moved")));
        assert_eq!(objects(), [1, 0]);
        // It moves to the selector of the first, and back, and each time the old watch says so first.
        b.observe(&Delete(object("moved")));
        assert_eq!(objects(), [0, 0]);
        a.observe(&Apply(object("moved")));
        ask().await;
        a.observe(&Delete(object("moved")));
        assert_eq!(objects(), [0, 0]);
        b.observe(&Apply(object("moved")));
        both.client(&moved, &east).await.unwrap();
        assert!(matches!(one.client(&moved, &east).await, Err(ClientError::Forgotten { .. })), "b does not know it");
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
