//! [`Shard`]: the slots of some objects, and the forgotten states that have not ended yet. Plain data, no locks.

use std::sync::Arc;

use smallvec::SmallVec;

use super::slot::Slot;
use super::state::BoundState;
use crate::key::Key;
use crate::revision::Revision;
use crate::sharded::HashMap;

/// The slots of an object, by cluster. An object uses few clusters.
type Slots<K, R, S> = SmallVec<[(K, Arc<Slot<R, S>>); 1]>;

pub(super) struct Shard<O, K, R, S> {
    /// Every object here has a slot.
    slots: HashMap<O, Slots<K, R, S>>,
    /// States that were torn down, whose slot is gone, and that have not ended yet. The next build of the same object and
    /// cluster waits for them.
    ending: Vec<(O, K, Arc<S>)>,
}

impl<O, K, R, S> Default for Shard<O, K, R, S> {
    fn default() -> Self {
        Self { slots: HashMap::default(), ending: Vec::new() }
    }
}

impl<O: Key, K: Key, R: Revision, S: BoundState> Shard<O, K, R, S> {
    /// Returns the slot of `object` on `cluster`. One that is over is about to be removed.
    pub(super) fn slot(&self, object: &O, cluster: &K) -> Option<Arc<Slot<R, S>>> {
        self.slots
            .get(object)?
            .iter()
            .find(|(key, slot)| key == cluster && !slot.is_over())
            .map(|(_, slot)| Arc::clone(slot))
    }

    /// Returns the slot of `object` on `cluster`, created where there is none.
    pub(super) fn slot_or_new(&mut self, object: &O, cluster: &K) -> Arc<Slot<R, S>> {
        if let Some(slot) = self.slot(object, cluster) {
            return slot;
        }
        self.sweep_object(object);
        let before = self.ending.extract_if(.., |(of, on, _)| of == object && on == cluster);
        let slot = Arc::new(Slot::new(before.map(|(_, _, state)| state).collect()));
        self.slots.entry(object.clone()).or_default().push((cluster.clone(), Arc::clone(&slot)));
        slot
    }

    /// Returns the slots of `object`.
    pub(super) fn slots(&self, object: &O) -> Slots<K, R, S> {
        self.slots.get(object).cloned().unwrap_or_default()
    }

    /// Returns the slots on `cluster`.
    pub(super) fn slots_on(&self, cluster: &K) -> impl Iterator<Item = Arc<Slot<R, S>>> {
        self.slots.values().flatten().filter(move |(key, _)| key == cluster).map(|(_, slot)| Arc::clone(slot))
    }

    /// Removes all slots.
    pub(super) fn take_slots(&mut self) -> impl Iterator<Item = Arc<Slot<R, S>>> {
        self.slots.drain().flat_map(|(_, slots)| slots).map(|(_, slot)| slot)
    }

    /// Returns the objects that have a slot.
    pub(super) fn objects(&self) -> impl Iterator<Item = &O> {
        self.slots.keys()
    }

    /// Returns how many objects have a slot.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns the forgotten states that had not ended when they were torn down.
    pub(super) fn ending(&self) -> impl Iterator<Item = Arc<S>> {
        self.ending.iter().map(|(_, _, state)| Arc::clone(state))
    }

    /// Removes forgotten states that have `ended`.
    pub(super) fn drop_ended(&mut self, ended: &[Arc<S>]) {
        self.ending.retain(|(_, _, state)| !ended.iter().any(|ended| Arc::ptr_eq(ended, state)));
    }

    /// Removes the slots of `object` that are over, or unused and without anything to remember.
    pub(super) fn sweep_object(&mut self, object: &O) {
        if let Some(slots) = self.slots.get_mut(object) {
            sweep(object, slots, &mut self.ending);
            if slots.is_empty() {
                self.slots.remove(object);
            }
        }
    }

    /// Does [`sweep_object`](Self::sweep_object) for all objects.
    pub(super) fn sweep(&mut self) {
        self.slots.retain(|object, slots| {
            sweep(object, slots, &mut self.ending);
            !slots.is_empty()
        });
    }
}

fn sweep<O: Key, K: Key, R: Revision, S: BoundState>(
    object: &O,
    slots: &mut Slots<K, R, S>,
    ending: &mut Vec<(O, K, Arc<S>)>,
) {
    slots.retain(|(cluster, slot)| {
        if !slot.is_over() {
            // Another handle means a call that uses it, since none is given out under this lock. Look at the handles
            // first: a call that has just ended may have left a state behind.
            let in_use = Arc::get_mut(slot).is_none();
            if in_use || slot.is_touched() {
                return true;
            }
        }
        ending.extend(slot.take_ending().into_iter().map(|state| (object.clone(), cluster.clone(), state)));
        false
    });
}
