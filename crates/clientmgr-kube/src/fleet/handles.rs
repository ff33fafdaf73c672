//! [`Handles`]: at most one handle is alive for a cluster and revision, so that state on a fenced one never passes for
//! current.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use clientmgr_core::{ConnectedAt, NamespacedName};

use crate::client::{CredentialRequests, Settings, Switch};

/// The handles that the program may still hold, of present and former clusters.
#[derive(Default)]
pub(super) struct Handles {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    handles: HashMap<(NamespacedName, ConnectedAt), Weak<Switch>>,
    /// When this many are known, those that are gone are removed.
    sweep_at: usize,
}

impl Handles {
    /// Returns the handle of `cluster` and `revision`: the one that is alive, or a new one.
    pub(super) fn of(
        &self,
        cluster: &NamespacedName,
        revision: ConnectedAt,
        credentials: impl FnOnce() -> Arc<dyn CredentialRequests>,
        settings: &Settings,
    ) -> Arc<Switch> {
        let mut known = self.lock();
        let key = (cluster.clone(), revision);
        if let Some(alive) = known.handles.get(&key).and_then(Weak::upgrade) {
            // It may be of a member that was removed since.
            alive.ask_for_credentials_at(credentials());
            return alive;
        }
        if known.handles.len() >= known.sweep_at {
            known.handles.retain(|_, handle| handle.strong_count() > 0);
            known.sweep_at = 2 * known.handles.len() + 16;
        }
        let handle = Switch::new(cluster.clone(), revision, credentials(), settings);
        known.handles.insert(key, Arc::downgrade(&handle));
        handle
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
