//! What the cluster holds: objects by kind, one counter of resource versions, and a history to watch.
//!
//! Objects are kept as the JSON that goes on the wire, so that a get copies nothing and a change is
//! serialised once however many watch it. The store knows no verbs and no validation.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    api::store::{change::Change, encode::encode, form::Form},
    registry::kinds::{Kind, core},
};

/// The largest object in bytes, as etcd limits what it is sent.
const LARGEST: usize = 3 * 512 * 1024;
/// Events kept per kind before the oldest are compacted.
const HISTORY: usize = 10_000;
/// Events that keep their rendered frames: the ones watchers are still about to read.
const WARM: usize = 64;

/// An object is larger than a store takes.
#[derive(Debug)]
pub(crate) struct TooLarge;

/// Where an object is; cluster-scoped ones have an empty namespace. Orders as lists do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) namespace: Box<str>,
    pub(crate) name: Box<str>,
}

/// As the keys of etcd: `namespace/name`. So `a-b/x` is before `a/x`.
impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        let path = |key: &Self| [key.namespace.as_bytes(), b"/", key.name.as_bytes()].concat();
        if self.namespace == other.namespace { self.name.cmp(&other.name) } else { path(self).cmp(&path(other)) }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Key {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// An object as a write makes it.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) object: Value,
    /// A real server stores it with something that it does not read back, so that a later write changes it
    /// even if the client changes nothing.
    pub(crate) is_rewritten: bool,
}

impl From<Value> for Draft {
    fn from(object: Value) -> Self {
        Self { object, is_rewritten: false }
    }
}

/// One version of one object.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) key: Key,
    pub(crate) rv: u64,
    pub(crate) uid: Box<str>,
    labels: Box<[(Box<str>, Box<str>)]>,
    /// In the storage version.
    pub(crate) json: Bytes,
    /// The length of its beginning, which says its type.
    typed: usize,
    /// A write that changes nothing is stored all the same, as a new version.
    pub(crate) is_rewritten: bool,
}

impl Stored {
    /// An object as it would be stored: what a dry run answers.
    pub(crate) fn unsaved(key: Key, rv: u64, value: &Value) -> Self {
        let labels = value["metadata"]["labels"].as_object();
        let (json, typed) = encode(value);
        Self {
            key,
            rv,
            uid: value["metadata"]["uid"].as_str().unwrap_or_default().into(),
            labels: labels
                .into_iter()
                .flatten()
                .filter_map(|(key, value)| Some((key.as_str().into(), value.as_str()?.into())))
                .collect(),
            json: Bytes::from(json),
            typed,
            is_rewritten: false,
        }
    }

    /// The same state under a later resource version.
    pub(crate) fn as_of(&self, rv: u64) -> Self {
        let mut value = self.value();
        value["metadata"]["resourceVersion"] = rv.to_string().into();
        Self::unsaved(self.key.clone(), rv, &value)
    }

    /// Its JSON without the brace it begins with, `kind` and `apiVersion`.
    pub(crate) fn untyped(&self) -> &[u8] {
        &self.json[self.typed..]
    }

    /// The object, parsed.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or_default()
    }

    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(known, _)| **known == *key).map(|(_, value)| &**value)
    }
}

/// One change, with the object after it (for a deletion: its last state) and before it.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) change: Change,
    pub(crate) rv: u64,
    pub(crate) after: Arc<Stored>,
    pub(crate) before: Option<Arc<Stored>>,
    /// Rendered forms, shared by all watches of the same form.
    frames: Mutex<Vec<(Form, Bytes)>>,
}

impl Event {
    /// The frame of this form, rendered at the first call.
    pub(crate) fn frame(&self, form: Form, render: impl FnOnce() -> Bytes) -> Bytes {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, frame)) = frames.iter().find(|(known, _)| *known == form) {
            return frame.clone();
        }
        let frame = render();
        frames.push((form, frame.clone()));
        frame
    }
}

/// The objects of one kind and their recent changes.
#[derive(Debug)]
pub(crate) struct Collection {
    /// Tells this collection from a later one of the same name.
    pub(crate) incarnation: u64,
    objects: BTreeMap<Key, Arc<Stored>>,
    history: VecDeque<Arc<Event>>,
    /// Changes up to here are forgotten.
    floor: u64,
    /// The last change, forgotten or not.
    latest: u64,
    changed: watch::Sender<()>,
    /// The kind is no longer served: watches read what is left of the history, and end.
    retired: bool,
}

/// The history does not reach back as far as was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooOld;

impl Collection {
    pub(crate) fn find(&self, key: &Key) -> Option<&Arc<Stored>> {
        self.objects.get(key)
    }

    /// Its objects, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Stored>> {
        self.objects.values()
    }

    /// Whether a watch that has sent all changes up to `rv` has missed none, though they may be forgotten.
    pub(crate) fn is_caught_up(&self, rv: u64) -> bool {
        rv >= self.latest
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired
    }

    pub(crate) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Wakes at every change, and ends when the collection is gone.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Up to `most` changes after `rv`.
    pub(crate) fn changes_after(&self, rv: u64, most: usize) -> Result<Vec<Arc<Event>>, TooOld> {
        if rv < self.floor {
            return Err(TooOld);
        }
        let start = self.history.partition_point(|event| event.rv <= rv);
        Ok(self.history.range(start..).take(most).cloned().collect())
    }

    /// Objects of a namespace (or of all) behind `start`, in order, as they were at `rv`.
    pub(crate) fn walk<'a>(
        &'a self,
        namespace: Option<&'a str>,
        start: Option<&Key>,
        rv: u64,
    ) -> Result<Box<dyn Iterator<Item = Arc<Stored>> + 'a>, TooOld> {
        let from = match (start, namespace) {
            (Some(key), _) => Bound::Excluded(key.clone()),
            (None, Some(namespace)) => Bound::Included(Key::new(namespace, "")),
            (None, None) => Bound::Unbounded,
        };
        let inside = move |stored: &Arc<Stored>| namespace.is_none_or(|name| *stored.key.namespace == *name);
        if self.is_current(rv) {
            if rv < self.floor {
                return Err(TooOld);
            }
            let range = self.objects.range((from, Bound::Unbounded));
            return Ok(Box::new(range.map(|(_, stored)| Arc::clone(stored)).take_while(inside)));
        }
        if rv < self.floor {
            return Err(TooOld);
        }
        // Undo what happened since.
        let mut objects = self.objects.clone();
        for event in self.history.iter().rev().take_while(|event| event.rv > rv) {
            match &event.before {
                Some(before) => objects.insert(before.key.clone(), Arc::clone(before)),
                None => objects.remove(&event.after.key),
            };
        }
        let after = objects.split_off(&match &from {
            Bound::Included(key) | Bound::Excluded(key) => key.clone(),
            Bound::Unbounded => Key::new("", ""),
        });
        let excluded = start.cloned();
        Ok(Box::new(
            after.into_values().filter(move |stored| excluded.as_ref() != Some(&stored.key)).take_while(inside),
        ))
    }

    /// Whether the objects are still as they were at `rv`.
    fn is_current(&self, rv: u64) -> bool {
        self.history.back().is_none_or(|event| event.rv <= rv)
    }

    /// How many objects of a namespace (or of all) are behind `key`. `None` if they have changed since `rv`.
    ///
    /// Every page of a list asks for it, so no object is touched.
    pub(crate) fn count_behind(&self, namespace: Option<&str>, key: &Key, rv: u64) -> Option<usize> {
        let behind = || self.objects.range((Bound::Excluded(key), Bound::Unbounded)).map(|(key, _)| key);
        self.is_current(rv).then(|| match namespace {
            Some(namespace) => behind().take_while(|key| *key.namespace == *namespace).count(),
            None => behind().count(),
        })
    }

    fn record(&mut self, event: Event) {
        self.latest = event.rv;
        self.history.push_back(Arc::new(event));
        if self.history.len() > HISTORY
            && let Some(dropped) = self.history.pop_front()
        {
            self.floor = dropped.rv;
        }
        if let Some(cooled) = self.history.len().checked_sub(WARM + 1) {
            let frames = &self.history[cooled].frames;
            *frames.lock().unwrap_or_else(PoisonError::into_inner) = Vec::new();
        }
        self.changed.send_replace(());
    }
}

/// Everything.
#[derive(Debug)]
pub(crate) struct Store {
    rv: u64,
    /// History up to here was forgotten on demand.
    compacted: u64,
    collections: HashMap<String, Collection>,
    kinds: BTreeMap<(String, String), Arc<Kind>>,
    /// Never reset, so that nothing of an earlier cluster is taken for something of this one.
    incarnations: u64,
}

impl Store {
    /// An empty cluster that serves the core types.
    pub(crate) fn new() -> Self {
        let mut store =
            Self { rv: 0, compacted: 0, collections: HashMap::new(), kinds: BTreeMap::new(), incarnations: 0 };
        store.add_core();
        store
    }

    fn add_core(&mut self) {
        for kind in core() {
            self.serve(kind);
        }
    }

    /// The resource version of the latest change.
    pub(crate) fn rv(&self) -> u64 {
        self.rv
    }

    /// Serves a kind, or serves it differently from now on.
    pub(crate) fn serve(&mut self, kind: Arc<Kind>) {
        self.incarnations += 1;
        let incarnation = self.incarnations;
        let existing = self.collections.get(&kind.collection);
        if existing.is_none_or(|collection| collection.retired) {
            // A new kind has no past to forget; one that is declared again has lost its own.
            let floor = if existing.is_some() { self.rv } else { self.compacted };
            let collection = Collection {
                incarnation,
                objects: BTreeMap::new(),
                history: VecDeque::new(),
                floor,
                latest: floor,
                changed: watch::Sender::new(()),
                retired: false,
            };
            self.collections.insert(kind.collection.clone(), collection);
        }
        self.kinds.insert((kind.group.clone(), kind.plural.clone()), kind);
    }

    /// Stops serving a kind and drops its objects.
    pub(crate) fn withdraw(&mut self, group: &str, plural: &str) {
        let Some(kind) = self.kinds.remove(&(group.to_owned(), plural.to_owned())) else { return };
        if let Some(collection) = self.collections.get_mut(&kind.collection) {
            collection.objects.clear();
            collection.retired = true;
            collection.changed.send_replace(());
        }
    }

    /// All kinds, by group and plural.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.values()
    }

    pub(crate) fn kind(&self, group: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.kinds.get(&(group.to_owned(), plural.to_owned()))
    }

    pub(crate) fn collection(&self, id: &str) -> Option<&Collection> {
        self.collections.get(id)
    }

    pub(crate) fn find(&self, collection: &str, key: &Key) -> Option<&Arc<Stored>> {
        self.collections.get(collection)?.find(key)
    }

    /// Writes an object under the next resource version, which it is given here.
    pub(crate) fn put(&mut self, collection: &str, key: Key, value: Value) -> Arc<Stored> {
        let stored = self.next(key, Draft::from(value));
        self.insert(collection, stored)
    }

    /// As [`put`](Self::put), for what a client has written, which has a limit.
    pub(crate) fn put_draft(&mut self, collection: &str, key: Key, draft: Draft) -> Result<Arc<Stored>, TooLarge> {
        let stored = self.next(key, draft);
        if stored.json.len() > LARGEST { Err(TooLarge) } else { Ok(self.insert(collection, stored)) }
    }

    /// The next version of an object, which is not written yet.
    fn next(&self, key: Key, draft: Draft) -> Stored {
        let Draft { object: mut value, is_rewritten } = draft;
        let rv = self.rv + 1;
        value["metadata"]["resourceVersion"] = rv.to_string().into();
        Stored { is_rewritten, ..Stored::unsaved(key, rv, &value) }
    }

    fn insert(&mut self, collection: &str, stored: Stored) -> Arc<Stored> {
        let (rv, stored) = (stored.rv, Arc::new(stored));
        self.rv = rv;
        if let Some(collection) = self.collections.get_mut(collection) {
            let before = collection.objects.insert(stored.key.clone(), Arc::clone(&stored));
            let change = if before.is_some() { Change::Modified } else { Change::Added };
            let after = Arc::clone(&stored);
            collection.record(Event { change, rv, after, before, frames: Mutex::default() });
        }
        stored
    }

    /// Removes an object; `last` is how watchers see it go.
    pub(crate) fn remove(&mut self, collection: &str, key: &Key, mut last: Value) -> Arc<Stored> {
        self.rv += 1;
        let rv = self.rv;
        last["metadata"]["resourceVersion"] = rv.to_string().into();
        let after = Arc::new(Stored::unsaved(key.clone(), rv, &last));
        if let Some(collection) = self.collections.get_mut(collection)
            && let Some(before) = collection.objects.remove(key)
        {
            collection.record(Event {
                change: Change::Deleted,
                rv,
                after: Arc::clone(&after),
                before: Some(before),
                frames: Mutex::default(),
            });
        }
        after
    }

    /// Forgets all history.
    pub(crate) fn compact(&mut self) {
        self.compacted = self.rv;
        for collection in self.collections.values_mut() {
            collection.history.clear();
            collection.floor = self.rv;
            collection.changed.send_replace(());
        }
    }
}
