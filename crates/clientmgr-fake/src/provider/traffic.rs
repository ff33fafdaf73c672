//! The calls for each cluster, and what holds them. Plain data: no locks, no awaits.

use std::collections::HashMap;

use clientmgr_core::Key;

pub(super) struct Traffic<K> {
    lanes: HashMap<K, Lane>,
    /// How many holds there have been on all clusters: the number of the next one.
    holds: u64,
}

/// The calls for one cluster.
#[derive(Default)]
struct Lane {
    asked: usize,
    waiting: usize,
    /// The numbers of the holds in force.
    holds: Vec<u64>,
}

/// What a call waits for: the holds that were in force when it was asked, and none that came later.
#[derive(Clone, Copy)]
pub(super) struct HeldUntil {
    /// The number of the first hold that does not concern the call.
    before: u64,
}

impl<K: Key> Traffic<K> {
    pub(super) fn new() -> Self {
        Self { lanes: HashMap::new(), holds: 0 }
    }

    /// Counts a call. Tells what it has to wait for, where it has to.
    pub(super) fn ask(&mut self, cluster: &K) -> Option<HeldUntil> {
        let before = self.holds;
        let lane = self.lane(cluster);
        lane.asked += 1;
        if lane.holds.is_empty() {
            return None;
        }
        lane.waiting += 1;
        Some(HeldUntil { before })
    }

    /// Whether a call that had to wait still has to.
    pub(super) fn is_held(&self, cluster: &K, until: HeldUntil) -> bool {
        self.lanes.get(cluster).is_some_and(|lane| lane.holds.iter().any(|hold| *hold < until.before))
    }

    /// Counts off a call that had to wait: it was let through or dropped.
    pub(super) fn stop_waiting(&mut self, cluster: &K) {
        self.lane(cluster).waiting -= 1;
    }

    /// Holds the calls that are asked from now on. Tells the hold's number.
    pub(super) fn hold(&mut self, cluster: &K) -> u64 {
        let hold = self.holds;
        self.holds += 1;
        self.lane(cluster).holds.push(hold);
        hold
    }

    pub(super) fn release(&mut self, cluster: &K, hold: u64) {
        self.lane(cluster).holds.retain(|other| *other != hold);
    }

    pub(super) fn asked(&self, cluster: &K) -> usize {
        self.lanes.get(cluster).map_or(0, |lane| lane.asked)
    }

    pub(super) fn waiting(&self, cluster: &K) -> usize {
        self.lanes.get(cluster).map_or(0, |lane| lane.waiting)
    }

    fn lane(&mut self, cluster: &K) -> &mut Lane {
        self.lanes.entry(cluster.clone()).or_default()
    }
}
