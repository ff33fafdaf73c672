//! [`History`]: what is known of clusters that were removed, so that one that is added again does not go back behind its
//! latest revision: a status that is read from a cache may still name an earlier one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clientmgr_core::{ConnectedAt, NamespacedName};

/// How long the past of a removed cluster is kept. No cache lags longer.
const KEPT: Duration = Duration::from_secs(3_600);

/// What outlives a member: a cluster that is removed and added again must not go back behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Past {
    /// The latest revision that is known of this cluster; a new one is later.
    pub(crate) latest: Option<ConnectedAt>,
    /// The latest revision that was fenced while its cluster stayed: it is not served again.
    pub(crate) fenced: Option<ConnectedAt>,
}

/// The pasts of removed clusters.
#[derive(Default)]
pub(super) struct History {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    pasts: HashMap<NamespacedName, (Past, Duration)>,
    /// When this many are known, those that are over are removed.
    sweep_at: usize,
}

impl History {
    /// Keeps the past of a cluster whose member ended at `now`.
    pub(super) fn keep(&self, cluster: &NamespacedName, past: Past, now: Duration) {
        if past == Past::default() {
            return;
        }
        let mut known = self.lock();
        if known.pasts.len() >= known.sweep_at {
            known.pasts.retain(|_, (_, ended)| now.saturating_sub(*ended) < KEPT);
            known.sweep_at = 2 * known.pasts.len() + 16;
        }
        known.pasts.insert(cluster.clone(), (past, now));
    }

    /// What a new member of `cluster` begins with.
    pub(super) fn of(&self, cluster: &NamespacedName) -> Past {
        self.lock().pasts.get(cluster).map(|(past, _)| *past).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clientmgr_core::{ConnectedAt, NamespacedName};

    use super::{History, KEPT, Past};

    #[test]
    fn a_past_is_kept_for_an_hour_and_the_memory_does_not_grow() {
        let history = History::default();
        let key = |number: u32| NamespacedName::cluster_scoped(&number.to_string());
        let past = Past { latest: ConnectedAt::from_unix_micros(7), fenced: None };
        let hour = |number: u32| KEPT * number / 100;
        for number in 0..10_000 {
            history.keep(&key(number), past, hour(number));
            assert_eq!(history.of(&key(number.saturating_sub(99))), past, "{number}");
        }
        assert!(history.lock().pasts.len() < 300);
        history.keep(&key(1), Past::default(), Duration::ZERO);
        assert_eq!(history.of(&key(1)), Past::default());
    }
}
