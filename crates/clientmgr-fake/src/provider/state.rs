//! What the fake knows: what is served under each key, and who asked for it. Plain data: no locks, no awaits.

use std::collections::{BTreeMap, HashMap};

use clientmgr_core::{ConnectedAt, Connection, NamespacedName, ProviderError};

/// What a provider answers.
pub(super) type Answer<C> = Result<Connection<C, ConnectedAt>, ProviderError>;

/// What is served, and the calls for it.
pub(super) struct State<C> {
    served: BTreeMap<NamespacedName, Answer<C>>,
    traffic: HashMap<NamespacedName, Traffic>,
    /// How many holds there have been on all keys: the number of the next one.
    holds: u64,
}

/// The calls for one key, and what holds them.
#[derive(Default)]
struct Traffic {
    asked: usize,
    waiting: usize,
    /// The numbers of the holds in force, in the order they were taken.
    holds: Vec<u64>,
}

/// What a call waits for: the holds that were in force when it was asked, and none that came later.
#[derive(Clone, Copy)]
pub(super) struct HeldUntil {
    /// The number of the first hold that does not concern the call.
    before: u64,
}

impl<C> State<C> {
    pub(super) fn new() -> Self {
        Self { served: BTreeMap::new(), traffic: HashMap::new(), holds: 0 }
    }

    /// Everything that is served, in the order of the keys.
    pub(super) fn served(&self) -> impl Iterator<Item = (&NamespacedName, &Answer<C>)> {
        self.served.iter()
    }

    pub(super) fn serves(&self, key: &NamespacedName) -> bool {
        self.served.contains_key(key)
    }

    /// The revision that is served under `key`, if a client is.
    pub(super) fn revision(&self, key: &NamespacedName) -> Option<ConnectedAt> {
        let connection = self.served.get(key)?.as_ref().ok()?;
        Some(connection.revision)
    }

    /// Serves `answer` from now on. Hands back what was served, to be dropped where no lock is held.
    pub(super) fn serve(&mut self, key: &NamespacedName, answer: Answer<C>) -> Option<Answer<C>> {
        self.served.insert(key.clone(), answer)
    }

    /// Serves nothing from now on. Hands back what was served, to be dropped where no lock is held.
    pub(super) fn remove(&mut self, key: &NamespacedName) -> Option<Answer<C>> {
        self.served.remove(key)
    }

    /// Counts a call. Tells what it has to wait for, where it has to.
    pub(super) fn ask(&mut self, key: &NamespacedName) -> Option<HeldUntil> {
        let before = self.holds;
        let traffic = self.traffic_mut(key);
        traffic.asked += 1;
        if traffic.holds.is_empty() {
            return None;
        }
        traffic.waiting += 1;
        Some(HeldUntil { before })
    }

    /// Whether a call that had to wait still has to.
    pub(super) fn is_held(&self, key: &NamespacedName, until: HeldUntil) -> bool {
        self.traffic.get(key).is_some_and(|traffic| traffic.holds.iter().any(|hold| *hold < until.before))
    }

    /// Counts off a call that had to wait: it was answered or dropped.
    pub(super) fn stop_waiting(&mut self, key: &NamespacedName) {
        self.traffic_mut(key).waiting -= 1;
    }

    /// Holds the calls for `key` that are asked from now on. Tells the hold's number.
    pub(super) fn hold(&mut self, key: &NamespacedName) -> u64 {
        let hold = self.holds;
        self.holds += 1;
        self.traffic_mut(key).holds.push(hold);
        hold
    }

    pub(super) fn release(&mut self, key: &NamespacedName, hold: u64) {
        self.traffic_mut(key).holds.retain(|other| *other != hold);
    }

    pub(super) fn asked(&self, key: &NamespacedName) -> usize {
        self.traffic.get(key).map_or(0, |traffic| traffic.asked)
    }

    pub(super) fn waiting(&self, key: &NamespacedName) -> usize {
        self.traffic.get(key).map_or(0, |traffic| traffic.waiting)
    }

    fn traffic_mut(&mut self, key: &NamespacedName) -> &mut Traffic {
        self.traffic.entry(key.clone()).or_default()
    }
}

impl<C: Clone> State<C> {
    /// What is served under `key`.
    pub(super) fn answer(&self, key: &NamespacedName) -> Answer<C> {
        self.served.get(key).cloned().unwrap_or(Err(ProviderError::NotFound))
    }
}
