//! [`Deletions`]: the objects that watchers report, and those that they reported as deleted of late. A reconcile that began
//! before the deletion must not bring the object back.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::Resource;
use kube::runtime::watcher::Event;

use super::object::ObjectKey;

/// How long a deletion is remembered: longer than a reconcile that began before it.
const MEMORY: Duration = Duration::from_secs(120);

/// How many deletions are remembered.
const LIMIT: usize = 65_536;

/// The objects that watchers report as deleted. clientmgr-runtime follows watchers with it too.
#[derive(Debug, Default)]
pub struct Deletions {
    state: Mutex<State>,
    /// Whether a deletion is remembered, so that readers take no lock otherwise.
    is_any: AtomicBool,
    watchers: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// What each watcher reported.
    reported: HashMap<u64, Reported>,
    /// When the objects were deleted. Only those with a UID, which never exists again.
    deleted: HashMap<ObjectKey, Instant>,
    /// The same, the oldest first. Some may exist after all.
    by_age: VecDeque<(Instant, ObjectKey)>,
}

/// The objects that a watcher has reported and that exist as far as it knows.
#[derive(Debug, Default)]
struct Reported {
    objects: HashSet<ObjectKey>,
    /// The objects of a list that is not complete yet.
    listed: HashSet<ObjectKey>,
}

/// One watcher, whose reports are dropped with it.
#[derive(Debug)]
pub struct Watcher {
    deletions: Arc<Deletions>,
    number: u64,
}

impl Deletions {
    /// Returns a watcher that has reported nothing yet.
    pub fn watcher(self: &Arc<Self>) -> Watcher {
        let number = self.watchers.fetch_add(1, Ordering::Relaxed);
        self.state().reported.insert(number, Reported::default());
        Watcher { deletions: Arc::clone(self), number }
    }

    /// Returns whether `object` was deleted in the last two minutes. Call it after the object was stored: a later deletion
    /// finds the object there.
    pub fn contains(&self, object: &ObjectKey) -> bool {
        self.is_any.load(Ordering::Acquire) && self.state().deleted.contains_key(object)
    }

    /// Returns whether a watcher reports `object`.
    pub fn reports(&self, object: &ObjectKey) -> bool {
        self.state().is_reported(object)
    }

    /// Takes the report of another one that `object` was deleted. Returns whether it is gone, which it is not while a watcher
    /// reports it: forget it after this.
    pub(super) fn deleted(&self, object: &ObjectKey, now: Instant) -> bool {
        let mut state = self.state();
        let is_gone = !state.is_reported(object);
        if is_gone {
            state.remember(object, now);
        }
        self.is_any.store(!state.deleted.is_empty(), Ordering::Release);
        is_gone
    }

    /// Takes the report of another one that `object` exists after all.
    pub(super) fn exists(&self, object: &ObjectKey) {
        self.state().deleted.remove(object);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    /// Follows `event`. Returns the keys of the objects that are gone: forget them after this.
    pub fn observe<K: Resource + 'static>(&self, event: &Event<K>, now: Instant) -> Vec<ObjectKey> {
        let mut state = self.deletions.state();
        let gone = state.observe(self.number, event, now);
        self.deletions.is_any.store(!state.deleted.is_empty(), Ordering::Release);
        gone
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.deletions.state().reported.remove(&self.number);
    }
}

impl State {
    fn observe<K: Resource + 'static>(&mut self, watcher: u64, event: &Event<K>, now: Instant) -> Vec<ObjectKey> {
        let reported = self.reported.entry(watcher).or_default();
        let mut gone = match event {
            Event::Apply(object) | Event::InitApply(object) => {
                let key = ObjectKey::of(object);
                // A selector no longer matched it, and does again.
                self.deleted.remove(&key);
                let known = if matches!(event, Event::Apply(_)) { &mut reported.objects } else { &mut reported.listed };
                known.insert(key);
                Vec::new()
            }
            Event::Delete(object) => {
                reported.objects.remove(&ObjectKey::of(object));
                ObjectKey::every_of(object).collect()
            }
            Event::Init => {
                reported.listed.clear();
                Vec::new()
            }
            Event::InitDone => {
                let before = std::mem::replace(&mut reported.objects, std::mem::take(&mut reported.listed));
                before.into_iter().filter(|object| !reported.objects.contains(object)).collect()
            }
        };
        gone.retain(|object| !self.is_reported(object));
        for object in &gone {
            self.remember(object, now);
        }
        self.drop_old(now);
        gone
    }

    fn is_reported(&self, object: &ObjectKey) -> bool {
        self.reported.values().any(|reported| reported.contains(object))
    }

    fn remember(&mut self, object: &ObjectKey, now: Instant) {
        if object.is_by_uid() {
            self.deleted.insert(object.clone(), now);
            self.by_age.push_back((now, object.clone()));
        }
        self.drop_old(now);
    }

    fn drop_old(&mut self, now: Instant) {
        let is_over = |at: Instant| now.saturating_duration_since(at) > MEMORY;
        while let Some((at, object)) = self.by_age.front()
            && (is_over(*at) || self.by_age.len() > LIMIT)
        {
            // Unless it was deleted once more meanwhile.
            if self.deleted.get(object) == Some(at) {
                self.deleted.remove(object);
            }
            self.by_age.pop_front();
        }
    }
}

impl Reported {
    fn contains(&self, object: &ObjectKey) -> bool {
        self.objects.contains(object) || self.listed.contains(object)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::watcher::Event;

    use super::{Deletions, LIMIT, MEMORY};
    use crate::ObjectKey;

    fn object(number: usize) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.name = Some("a".to_owned());
        object.metadata.uid = Some(format!("uid-{number}"));
        object
    }

    #[test]
    fn a_deletion_is_remembered_for_a_while_and_for_a_number_of_objects() {
        let deletions = Arc::new(Deletions::default());
        let watcher = deletions.watcher();
        let (first, began) = (ObjectKey::of(&object(0)), Instant::now());
        watcher.observe(&Event::Delete(object(0)), began);
        assert!(deletions.contains(&first));
        watcher.observe(&Event::<ConfigMap>::Init, began + MEMORY);
        assert!(deletions.contains(&first));
        watcher.observe(&Event::<ConfigMap>::Init, began + MEMORY + Duration::from_secs(1));
        assert!(!deletions.contains(&first));
        for number in 0..=LIMIT {
            watcher.observe(&Event::Delete(object(number)), began);
        }
        assert!(!deletions.contains(&first) && deletions.contains(&ObjectKey::of(&object(1))));
        assert!(deletions.state().by_age.len() <= LIMIT);
    }

    #[test]
    fn an_object_that_is_reported_again_or_by_another_watcher_exists() {
        let deletions = Arc::new(Deletions::default());
        let (a, b) = (deletions.watcher(), deletions.watcher());
        let (key, now) = (ObjectKey::of(&object(0)), Instant::now());
        a.observe(&Event::Apply(object(0)), now);
        a.observe(&Event::Delete(object(0)), now);
        assert!(deletions.contains(&key));
        // A selector matches it again.
        a.observe(&Event::Apply(object(0)), now);
        assert!(!deletions.contains(&key));
        b.observe(&Event::InitApply(object(0)), now);
        assert_eq!(
            a.observe(&Event::Delete(object(0)), now),
            [ObjectKey::of(&nameless())],
            "the other selector matches it"
        );
        assert!(!deletions.contains(&key));
        drop(b);
        assert_eq!(a.observe(&Event::Delete(object(0)), now).len(), 2);
        assert!(deletions.contains(&key));
    }

    fn nameless() -> ConfigMap {
        let mut object = object(0);
        object.metadata.uid = None;
        object
    }
}
