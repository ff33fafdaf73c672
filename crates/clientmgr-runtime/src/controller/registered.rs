//! [`ForgetCluster`]: what keeps state by cluster, and forgets a cluster that was deleted.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use clientmgr_kube::{BoundStates, ClientManager, ClientProvider, ConnectedAt, NamespacedName};

/// Something that keeps state by cluster. Once registered, it forgets each cluster whose `Cluster` object is deleted.
pub trait ForgetCluster: Send + Sync {
    /// Forgets `cluster` and all state on it. Returns quickly.
    fn forget_cluster(&self, cluster: &NamespacedName);
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
            state.forget_cluster(cluster);
        }
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered").finish_non_exhaustive()
    }
}
