//! The calls for each cluster, and the holds on them. Plain data: no locks, no awaits.

use std::collections::HashMap;

use clientmgr_core::Key;

pub(super) struct Traffic<K> {
    clusters: HashMap<K, Calls>,
    /// The number of the next hold.
    holds: u64,
}

/// The calls for one cluster.
#[derive(Default)]
struct Calls {
    asked: usize,
    waiting: usize,
    /// The numbers of the holds in force.
    holds: Vec<u64>,
}

/// What a call waits for: the holds that existed when it began, not later ones.
#[derive(Clone, Copy)]
pub(super) struct HeldUntil {
    /// The number of the first hold that came after the call.
    before: u64,
}

impl<K: Key> Traffic<K> {
    pub(super) fn new() -> Self {
        Self { clusters: HashMap::new(), holds: 0 }
    }

    /// Counts a call. Returns what it must wait for, if anything.
    pub(super) fn ask(&mut self, cluster: &K) -> Option<HeldUntil> {
        let before = self.holds;
        let calls = self.calls(cluster);
        calls.asked += 1;
        if calls.holds.is_empty() {
            return None;
        }
        calls.waiting += 1;
        Some(HeldUntil { before })
    }

    /// Returns whether a call that waits must still wait.
    pub(super) fn is_held(&self, cluster: &K, until: HeldUntil) -> bool {
        self.clusters.get(cluster).is_some_and(|calls| calls.holds.iter().any(|hold| *hold < until.before))
    }

    /// Removes a call that waited: it continues or was dropped.
    pub(super) fn stop_waiting(&mut self, cluster: &K) {
        self.calls(cluster).waiting -= 1;
    }

    /// Holds later calls. Returns the number of the hold.
    pub(super) fn hold(&mut self, cluster: &K) -> u64 {
        let hold = self.holds;
        self.holds += 1;
        self.calls(cluster).holds.push(hold);
        hold
    }

    pub(super) fn release(&mut self, cluster: &K, hold: u64) {
        self.calls(cluster).holds.retain(|other| *other != hold);
    }

    pub(super) fn asked(&self, cluster: &K) -> usize {
        self.clusters.get(cluster).map_or(0, |calls| calls.asked)
    }

    pub(super) fn waiting(&self, cluster: &K) -> usize {
        self.clusters.get(cluster).map_or(0, |calls| calls.waiting)
    }

    fn calls(&mut self, cluster: &K) -> &mut Calls {
        self.clusters.entry(cluster.clone()).or_default()
    }
}
