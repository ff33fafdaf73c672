//! [`ForgetCluster`]: what keeps state by cluster, and forgets a cluster that was deleted.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use clientmgr_kube::{BoundStates, ClientManager, ClientProvider, ConnectedAt, NamespacedName};

/// Something that keeps state by cluster. Once registered, it forgets each cluster whose `Cluster` object is deleted.
pub trait ForgetCluster: Send + Sync {
    /// Forgets `cluster` and all state on it. Returns quickly.
    fn forget_cluster(&self, cluster: &NamespacedName);
}

/// A handle of something that forgets clusters, which can be [registered](super::ClusterController::register): an `Arc` of
/// it, or [`RemoteWatches`](crate::watch::RemoteWatches).
pub trait Register {
    /// Returns what forgets, without keeping it alive.
    fn downgrade(&self) -> Weak<dyn ForgetCluster>;
}

impl<T: ForgetCluster + 'static> Register for Arc<T> {
    fn downgrade(&self) -> Weak<dyn ForgetCluster> {
        let weak: Weak<T> = Self::downgrade(self);
        weak
    }
}

impl<P> ForgetCluster for ClientManager<P>
where
    P: ClientProvider<Key = NamespacedName, Revision = ConnectedAt>,
{
    fn forget_cluster(&self, cluster: &NamespacedName) {
        self.by_key().forget_cluster(cluster);
    }
}

impl<S, P> ForgetCluster for BoundStates<S, P>
where
    P: ClientProvider<Key = NamespacedName, Revision = ConnectedAt>,
    S: clientmgr_kube::BoundState,
{
    fn forget_cluster(&self, cluster: &NamespacedName) {
        self.by_key().forget_cluster(cluster);
    }
}

/// A registered map, while the program holds it.
#[derive(Clone, Default)]
pub(super) struct Registered {
    all: Arc<Mutex<Vec<Weak<dyn ForgetCluster>>>>,
}

impl Registered {
    pub(super) fn add(&self, state: Weak<dyn ForgetCluster>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|state| state.strong_count() > 0);
        all.push(state);
    }

    pub(super) fn forget(&self, cluster: &NamespacedName) {
        // Not under the lock: to forget runs foreign code.
        let all: Vec<_> = {
            let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            all.iter().filter_map(Weak::upgrade).collect()
        };
        for state in all {
            // A teardown that panics must not end the controller of all clusters.
            if catch_unwind(AssertUnwindSafe(|| state.forget_cluster(cluster))).is_err() {
                tracing::error!(%cluster, "the teardown of a registered state panicked");
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{ForgetCluster, NamespacedName, Register as _, Registered};

    #[derive(Default)]
    struct Counts(AtomicUsize);

    impl ForgetCluster for Counts {
        fn forget_cluster(&self, _: &NamespacedName) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    struct Panics;

    impl ForgetCluster for Panics {
        fn forget_cluster(&self, _: &NamespacedName) {
            panic!("on purpose");
        }
    }

    #[test]
    fn a_state_that_panics_keeps_no_other_from_forgetting() {
        let (panics, counts, dropped) = (Arc::new(Panics), Arc::new(Counts::default()), Arc::new(Panics));
        let registered = Registered::default();
        registered.add(panics.downgrade());
        registered.add(counts.downgrade());
        registered.add(dropped.downgrade());
        drop(dropped);
        registered.forget(&"east".into());
        registered.forget(&"west".into());
        assert_eq!(counts.0.load(Ordering::SeqCst), 2);
    }
}
