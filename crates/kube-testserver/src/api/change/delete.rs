//! Deletes: preconditions, finalizers, grace, and the namespaces that empty themselves.
//!
//! This server has one controller, which is here: it empties and removes a deleted namespace. There is no garbage collection:
//! owner references have no effect, and a foreground or orphaning delete leaves its finalizer for a client to remove, as on a
//! server without a controller manager.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    api::{
        change::definitions,
        merge::target::Target,
        object::meta,
        store::objects::{Key, Store, Stored},
    },
    registry::kinds::Kind,
    wire::status::{Cause, Status},
};

/// The part of `metav1.DeleteOptions` that has an effect here.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) grace_period: Option<i64>,
    /// `None` keeps to what earlier deletes asked for.
    pub(crate) propagation: Option<Propagation>,
    pub(crate) dry_run: bool,
    /// The deprecated way to ask for the background policy, which changes the code of the answer.
    pub(crate) keeps_no_orphans: bool,
}

/// What becomes of dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// The outcome of a delete.
#[derive(Debug)]
pub(crate) enum Deletion {
    /// The object is gone. Holds its last state.
    Done(Arc<Stored>),
    /// The object stays until its finalizers are removed, or its grace period has passed.
    Pending(Arc<Stored>),
}

impl DeleteOptions {
    /// Reads the options a body holds.
    pub(crate) fn read(body: &Value) -> Result<Self, Status> {
        let refuse = |field: &str| {
            Status::bad_request(format!(
                "DeleteOptions cannot be handled: json: cannot unmarshal into Go struct field DeleteOptions.{field}"
            ))
        };
        let text = |value: &Value, field: &str| match &value[field] {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            _ => Err(refuse(field)),
        };
        let grace_period = match &body["gracePeriodSeconds"] {
            Value::Null => None,
            value => Some(value.as_i64().ok_or_else(|| refuse("gracePeriodSeconds"))?),
        };
        let policy = text(body, "propagationPolicy")?;
        let orphans = match &body["orphanDependents"] {
            Value::Null => None,
            value => Some(value.as_bool().ok_or_else(|| refuse("orphanDependents"))?),
        };
        let dry_runs = match &body["dryRun"] {
            Value::Null => &Vec::new(),
            Value::Array(list) if list.iter().all(Value::is_string) => list,
            _ => return Err(refuse("dryRun")),
        };
        let mut causes = Vec::new();
        if let Some(policy) = policy.as_deref() {
            if orphans.is_some() {
                let rule = "orphanDependents and deletionPropagation cannot be both set";
                causes.push(Cause::invalid("propagationPolicy", policy, rule));
            }
            if Propagation::parse(policy).is_none() {
                let known = ["Foreground", "Background", "Orphan", "nil"];
                causes.push(Cause::not_supported("propagationPolicy", policy, &known));
            }
        }
        if dry_runs.iter().any(|value| value != "All") {
            causes.push(Cause::not_supported_raw("dryRun", &body["dryRun"].to_string(), &["All"]));
        }
        if !causes.is_empty() {
            return Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", &causes));
        }
        let orphaning = |orphans| if orphans { Propagation::Orphan } else { Propagation::Background };
        Ok(Self {
            uid: text(&body["preconditions"], "uid")?,
            resource_version: text(&body["preconditions"], "resourceVersion")?,
            grace_period,
            propagation: policy.as_deref().and_then(Propagation::parse).or(orphans.map(orphaning)),
            dry_run: !dry_runs.is_empty(),
            keeps_no_orphans: orphans == Some(false),
        })
    }
}

impl Propagation {
    /// The finalizers that stand for a policy.
    const FINALIZERS: [&str; 2] = ["foregroundDeletion", "orphan"];

    fn parse(policy: &str) -> Option<Self> {
        match policy {
            "Background" => Some(Self::Background),
            "Foreground" => Some(Self::Foreground),
            "Orphan" => Some(Self::Orphan),
            _ => None,
        }
    }

    fn finalizer(self) -> Option<&'static str> {
        match self {
            Self::Background => None,
            Self::Foreground => Some("foregroundDeletion"),
            Self::Orphan => Some("orphan"),
        }
    }
}

/// Whether nothing keeps the object once it is being deleted.
pub(crate) fn may_go(object: &Value) -> bool {
    meta::finalizers(object).is_empty()
        && object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
        && !holds_namespace_finalizers(object)
}

fn holds_namespace_finalizers(object: &Value) -> bool {
    object["kind"] == "Namespace"
        && object["apiVersion"] == "v1"
        && object["spec"]["finalizers"].as_array().is_some_and(|list| !list.is_empty())
}

/// Deletes one object, or starts to.
pub(crate) fn delete(store: &mut Store, target: &Target, options: &DeleteOptions) -> Result<Deletion, Status> {
    let kind = &target.view.kind;
    let current = store.find(&kind.collection, &target.key).cloned().ok_or_else(|| target.not_found())?;
    let object = current.value();
    let conflict = |why: &str| Status::conflict(&kind.group, &kind.kind, &target.key.name, why);
    if let Some(uid) = options.uid.as_deref().filter(|uid| **uid != *current.uid) {
        return Err(conflict(&format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted \
             and then recreated",
            current.uid
        )));
    }
    let rv = options.resource_version.as_deref().filter(|rv| rv.parse() != Ok(current.rv));
    if let Some(rv) = rv {
        return Err(conflict(&format!(
            "the ResourceVersion in the precondition ({rv}) does not match the ResourceVersion in record ({}). The object \
             might have been modified",
            current.rv
        )));
    }
    let protected = ["default", "kube-system", "kube-public"];
    if kind.is("", "namespaces") && protected.contains(&&*target.key.name) {
        return Err(Status::forbidden("", "namespaces", &target.key.name, "this namespace may not be deleted"));
    }
    let mut marked = object.clone();
    let grace = grace_period(kind, &object, options);
    if let Some(propagation) = options.propagation {
        let others = meta::finalizers(&object).into_iter().filter(|name| !Propagation::FINALIZERS.contains(name));
        let finalizers: Vec<Value> = others.chain(propagation.finalizer()).map(Value::from).collect();
        meta::metadata_mut(&mut marked).insert("finalizers".to_owned(), finalizers.into());
        meta::drop_empty(&mut marked);
    }
    definitions::hold_for_objects(store, kind, &mut marked, target.now);
    mark(&mut marked, grace, target.now);
    if definitions::is_definition(kind) && !meta::is_deleting(&object) && meta::finalizers(&marked).is_empty() {
        // A real server lets a controller finish what it only marks. Here that controller is done at once.
        let mut pending = marked.clone();
        definitions::mark_for_deletion(&mut pending, target.now);
        if target.dry_run {
            return Ok(Deletion::Pending(Arc::new(Stored::unsaved(target.key.clone(), current.rv, &pending))));
        }
        let stored = store.put(&kind.collection, target.key.clone(), pending.clone());
        let gone = store.remove(&kind.collection, &target.key, pending);
        after_removal(store, kind, &gone, target.now);
        return Ok(Deletion::Pending(stored));
    }
    if may_go(&marked) {
        if target.dry_run {
            return Ok(Deletion::Done(current));
        }
        // Only pods are given time to end: of other kinds, watchers see the state that was stored.
        let last = if kind.is("", "pods") && meta::is_deleting(&object) { marked } else { object };
        let stored = store.remove(&kind.collection, &target.key, last);
        after_removal(store, kind, &stored, target.now);
        return Ok(Deletion::Done(stored));
    }
    if marked == object {
        return Ok(Deletion::Pending(current));
    }
    if target.dry_run {
        return Ok(Deletion::Pending(Arc::new(Stored::unsaved(target.key.clone(), current.rv, &marked))));
    }
    let stored = store.put(&kind.collection, target.key.clone(), marked);
    definitions::after_write(store, kind, &stored);
    if kind.is("", "namespaces") {
        empty_namespace(store, &target.key.name, target.now);
    } else if kind.is("apiextensions.k8s.io", "customresourcedefinitions") {
        empty_kind(store, &target.key.name, target.now);
    }
    Ok(Deletion::Pending(stored))
}

/// Only pods on a node have a grace period.
fn grace_period(kind: &Kind, object: &Value, options: &DeleteOptions) -> i64 {
    let runs = kind.is("", "pods") && !object["spec"]["nodeName"].as_str().unwrap_or_default().is_empty();
    if !runs || matches!(object["status"]["phase"].as_str(), Some("Failed" | "Succeeded")) {
        return 0;
    }
    let default = object["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    // A real server takes a negative period for the shortest one.
    match options.grace_period.unwrap_or(default) {
        ..0 => 1,
        period => period,
    }
}

fn mark(object: &mut Value, grace: i64, now: Timestamp) {
    let namespace = object["kind"] == "Namespace" && object["apiVersion"] == "v1";
    let again = meta::is_deleting(object);
    let metadata = meta::metadata_mut(object);
    let shorter =
        metadata.get("deletionGracePeriodSeconds").and_then(Value::as_i64).is_none_or(|granted| grace < granted);
    if again && (namespace || !shorter) {
        return;
    }
    let when = now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(now);
    metadata.insert("deletionTimestamp".to_owned(), meta::time(when));
    metadata.insert("deletionGracePeriodSeconds".to_owned(), grace.into());
    if let Some(generation) = metadata.get("generation").and_then(Value::as_i64).filter(|_| !again) {
        metadata.insert("generation".to_owned(), (generation + 1).into());
    }
    if namespace {
        metadata.remove("deletionGracePeriodSeconds");
        meta::object_at(object, "status").insert("phase".to_owned(), "Terminating".into());
    }
}

/// What follows when an object is gone: a kind is withdrawn, a namespace may be empty now.
pub(crate) fn after_removal(store: &mut Store, kind: &Kind, gone: &Stored, now: Timestamp) {
    definitions::after_removal(store, kind, gone);
    if kind.namespaced {
        empty_namespace(store, &gone.key.namespace, now);
    }
}

/// Empties a namespace that is being deleted, and removes it once nothing is left in it.
pub(crate) fn empty_namespace(store: &mut Store, name: &str, now: Timestamp) {
    let key = Key::new("", name);
    let Some(namespace) = store.find("namespaces", &key).cloned() else { return };
    let mut namespace = namespace.value();
    if !meta::is_deleting(&namespace) {
        return;
    }
    let kinds: Vec<Arc<Kind>> = store.kinds().filter(|kind| kind.namespaced).cloned().collect();
    let mut left = 0;
    for kind in &kinds {
        left += empty_collection(store, &kind.collection, Some(name), now);
        if kind.custom {
            definitions::finish_deletion(store, &kind.collection);
        }
    }
    if left > 0 {
        return;
    }
    let finalizers = namespace["spec"]["finalizers"].as_array().into_iter().flatten();
    let others: Vec<Value> = finalizers.filter(|name| **name != "kubernetes").cloned().collect();
    let empty = others.is_empty();
    let spec = meta::object_at(&mut namespace, "spec");
    if empty {
        spec.remove("finalizers");
    } else {
        spec.insert("finalizers".to_owned(), others.into());
    }
    if empty && meta::finalizers(&namespace).is_empty() {
        store.remove("namespaces", &key, namespace);
    } else if store.find("namespaces", &key).is_some_and(|stored| stored.value() != namespace) {
        store.put("namespaces", key, namespace);
    }
}

/// Deletes what a definition that is being deleted defined.
fn empty_kind(store: &mut Store, definition: &str, now: Timestamp) {
    empty_collection(store, definition, None, now);
    definitions::finish_deletion(store, definition);
}

/// Deletes the objects of one kind, in a namespace or in all; how many are left, held by their finalizers.
fn empty_collection(store: &mut Store, collection: &str, namespace: Option<&str>, now: Timestamp) -> usize {
    let objects = store.collection(collection).and_then(|collection| {
        collection.walk(namespace, None, u64::MAX).ok().map(Iterator::collect::<Vec<Arc<Stored>>>)
    });
    let mut left = 0;
    for stored in objects.into_iter().flatten() {
        let before = stored.value();
        let mut object = before.clone();
        mark(&mut object, 0, now);
        if may_go(&object) {
            store.remove(collection, &stored.key, before);
        } else {
            left += 1;
            if object != before {
                store.put(collection, stored.key.clone(), object);
            }
        }
    }
    left
}
