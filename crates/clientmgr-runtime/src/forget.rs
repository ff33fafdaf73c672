//! [`Forget`]: what keeps state by object and by cluster, and forgets those that were deleted.

use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use clientmgr_kube::{BoundStates, ClientManager, ClientProvider, ConnectedAt, NamespacedName, ObjectKey};
use kube::Resource;
use kube::runtime::watcher::Event;

/// Something that keeps state by object and cluster. Once registered, it forgets what is deleted.
pub trait Forget: Send + Sync {
    /// Forgets `cluster` and all state on it. Returns quickly.
    fn forget_cluster(&self, cluster: &NamespacedName);

    /// Forgets `object` and all its state. Returns quickly.
    fn forget_object(&self, object: &ObjectKey);
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
    P: ClientProvider<Key = NamespacedName, Revision = ConnectedAt>,
{
    fn forget_cluster(&self, cluster: &NamespacedName) {
        self.by_key().forget_cluster(cluster);
    }

    fn forget_object(&self, object: &ObjectKey) {
        self.by_key().forget(object);
    }
}

impl<S, P> Forget for BoundStates<S, P>
where
    P: ClientProvider<Key = NamespacedName, Revision = ConnectedAt>,
    S: clientmgr_kube::BoundState,
{
    fn forget_cluster(&self, cluster: &NamespacedName) {
        self.by_key().forget_cluster(cluster);
    }

    fn forget_object(&self, object: &ObjectKey) {
        self.by_key().forget(object);
    }
}

/// What is registered, while the program holds it. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub(crate) struct Registered {
    all: Arc<Mutex<Vec<Weak<dyn Forget>>>>,
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

/// The objects that a watcher has reported: what is gone is forgotten.
pub(crate) struct Reported {
    registered: Registered,
    objects: HashSet<ObjectKey>,
    /// The objects of a list that is not complete yet.
    listed: HashSet<ObjectKey>,
}

impl Reported {
    pub(crate) fn new(registered: Registered) -> Self {
        Self { registered, objects: HashSet::new(), listed: HashSet::new() }
    }

    /// Follows `event`.
    pub(crate) fn observe<K: Resource + 'static>(&mut self, event: &Event<K>) {
        match event {
            Event::Apply(object) => _ = self.objects.insert(ObjectKey::of(object)),
            Event::Delete(object) => {
                let object = ObjectKey::of(object);
                self.objects.remove(&object);
                self.registered.forget_object(&object);
            }
            Event::Init => self.listed.clear(),
            Event::InitApply(object) => _ = self.listed.insert(ObjectKey::of(object)),
            Event::InitDone => {
                let before = std::mem::replace(&mut self.objects, std::mem::take(&mut self.listed));
                before.difference(&self.objects).for_each(|object| self.registered.forget_object(object));
            }
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
    fn what_is_deleted_or_missing_in_a_relist_is_forgotten_by_its_uid() {
        let object = |uid: &str| {
            let mut object = ConfigMap::default();
            object.metadata.uid = Some(uid.to_owned());
            object
        };
        let (registered, forgotten) = (Registered::default(), Arc::new(Forgotten::default()));
        registered.add(forgotten.downgrade());
        let mut reported = Reported::new(registered);
        // (events, what is forgotten then)
        let steps: [(Event<ConfigMap>, &[&str]); 11] = [
            (Init, &[]),
            (InitApply(object("a")), &[]),
            (InitApply(object("b")), &[]),
            (InitDone, &[]),
            (Apply(object("c")), &[]),
            (Delete(object("a")), &["a"]),
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
}
