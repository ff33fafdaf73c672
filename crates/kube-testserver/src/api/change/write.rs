//! Creates and updates: the order of checks, what the server fills in, and what follows from a write.
//!
//! Works on stored form inside one lock of the store. Which bytes the client sent, and how a patch turns
//! one object into another, is decided elsewhere.

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;

use crate::{
    api::{
        change::{definitions, delete, problems},
        merge::{
            managed_fields,
            target::{Style, Subresource, Target},
        },
        object::{core_rules, go_values, meta, schema, signing_request},
        store::objects::{Draft, Key, Store, Stored, TooLarge},
    },
    wire::status::{Cause, Status},
};

/// Makes a new object. `object` has the right shape and is in stored form.
pub(crate) fn create(store: &mut Store, target: &Target, draft: impl Into<Draft>) -> Result<Arc<Stored>, Status> {
    let Draft { mut object, is_rewritten } = draft.into();
    target.place(&mut object)?;
    let kind = &target.view.kind;
    definitions::check_not_terminating(store, kind, meta::text(&object, "name"))?;
    let typed = is_typed(target, &object);
    let version = meta::text(&object, "resourceVersion").to_owned();
    if meta::text(&object, "name").is_empty() && !meta::text(&object, "generateName").is_empty() {
        let name = generated_name(store, target, meta::text(&object, "generateName"));
        meta::metadata_mut(&mut object).insert("name".to_owned(), name.into());
    }
    let key = Key::new(&target.key.namespace, meta::text(&object, "name"));
    let target = &Target { view: target.view.clone(), key, manager: target.manager.clone(), ..*target };
    check_namespace(store, target)?;
    meta::stamp_new(&mut object, &uuid::Uuid::new_v4().to_string(), target.now, kind);
    if target.has_status()
        && !kind.is("", "nodes")
        && let Some(object) = object.as_object_mut()
    {
        object.remove("status");
    }
    core_rules::fill_in(kind, &mut object, true);
    problems::check_new(target, &object)?;
    if !target.dry_run && version.parse::<u64>().is_ok_and(|version| version != 0) {
        let message = "resourceVersion should not be set on objects to be created";
        return Err(Status::failure(StatusCode::INTERNAL_SERVER_ERROR, "", message));
    }
    if let Some(there) = store.find(&kind.collection, &target.key) {
        return Err(name_taken(target, &object, there));
    }
    meta::drop_empty(&mut object);
    if typed {
        managed_fields::track(None, &mut object, target);
    }
    core_rules::drop_disabled(kind, &mut object);
    let is_rewritten = schema::read_back(&target.view, &mut object) || is_rewritten;
    if target.dry_run {
        // The storage, which gives the version, does not see the object.
        if !version.is_empty() {
            meta::metadata_mut(&mut object).insert("resourceVersion".to_owned(), version.into());
        }
        return Ok(Arc::new(Stored::unsaved(target.key.clone(), 0, &object)));
    }
    meta::drop_unstored(&mut object);
    save(store, target, Draft { object, is_rewritten })
}

/// A name that no object of the collection has.
fn generated_name(store: &Store, target: &Target, prefix: &str) -> String {
    let prefix: String = prefix.chars().take(58).collect();
    loop {
        let name = format!("{prefix}{}", random_suffix());
        if store.find(&target.view.kind.collection, &Key::new(&target.key.namespace, &name)).is_none() {
            return name;
        }
    }
}

/// Nothing is made in a namespace that is not there, or that is being deleted.
fn check_namespace(store: &Store, target: &Target) -> Result<(), Status> {
    let (kind, Key { namespace, name }) = (&target.view.kind, &target.key);
    if !kind.namespaced {
        return Ok(());
    }
    match store.find("namespaces", &Key::new("", namespace)) {
        None => Err(Status::not_found("", "namespaces", namespace)),
        Some(found) if meta::is_deleting(&found.value()) => {
            Err(Status::namespace_terminating(&kind.group, &kind.plural, name, namespace))
        }
        Some(_) => Ok(()),
    }
}

/// The refusal of a name that an object has.
fn name_taken(target: &Target, object: &Value, there: &Stored) -> Status {
    let kind = &target.view.kind;
    let taken = Status::already_exists(&kind.group, &kind.plural, &target.key.name);
    match () {
        () if !meta::text(object, "generateName").is_empty() => taken.for_a_generated_name(),
        () if meta::is_deleting(&there.value()) => taken.by_one_being_deleted(),
        () => taken,
    }
}

/// Changes an object: `change` gets the current one (stored form) and returns what it should become.
pub(crate) fn update(
    store: &mut Store,
    target: &Target,
    style: Style,
    change: impl FnOnce(&Value) -> Result<Draft, Status>,
) -> Result<Arc<Stored>, Status> {
    let kind = &target.view.kind;
    let current = store.find(&kind.collection, &target.key).cloned().ok_or_else(|| target.not_found())?;
    let mut old = current.value();
    schema::bring_up_to_date(&target.view, &mut old);
    let Draft { object: mut new, is_rewritten } = change(&old)?;
    target.place(&mut new)?;
    meta::metadata_mut(&mut new).insert("name".to_owned(), (&*target.key.name).into());
    check_preconditions(target, style, &current, &new)?;
    let typed = is_typed(target, &new);
    restrict(target, &old, &mut new);
    if signing_request::is_one(kind) && target.subresource != Subresource::Main {
        // The client owns these too: it sends nulls in their place.
        signing_request::fill_in_times(&old, &mut new, target.now);
    }
    let tracked = (style != Style::Apply && typed).then(|| as_sent(target, &new));
    let forbidden = meta::carry_over(&old, &mut new);
    core_rules::fill_in(kind, &mut new, false);
    problems::check_update(target, &old, &new, &forbidden)?;
    if counts_generation(target, &old, &new) {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
        meta::metadata_mut(&mut new).insert("generation".to_owned(), generation.into());
    }
    meta::drop_empty(&mut new);
    match tracked {
        Some(tracked) => record_owners(target, &old, tracked, &mut new),
        None if style == Style::Apply => {}
        None => drop(meta::metadata_mut(&mut new).remove("managedFields")),
    }
    core_rules::drop_disabled(kind, &mut new);
    meta::metadata_mut(&mut new).insert("resourceVersion".to_owned(), current.rv.to_string().into());
    if delete::may_go(&new) && meta::is_deleting(&old) && !target.dry_run {
        // Watchers see the state that was stored, and the client the state that it sent.
        let gone = store.remove(&kind.collection, &target.key, old);
        delete::after_removal(store, kind, &gone, target.now);
        return Ok(Arc::new(Stored::unsaved(target.key.clone(), current.rv, &new)));
    }
    let is_rewritten = schema::read_back(&target.view, &mut new) || is_rewritten;
    if !target.dry_run {
        meta::drop_unstored(&mut new);
    }
    if managed_fields::same(&old, &new) && !current.is_rewritten {
        return Ok(current);
    }
    if target.dry_run {
        return Ok(Arc::new(Stored::unsaved(target.key.clone(), current.rv, &new)));
    }
    let stored = save(store, target, Draft { object: new, is_rewritten })?;
    if kind.is("", "namespaces") {
        delete::empty_namespace(store, &target.key.name, target.now);
    }
    Ok(stored)
}

/// Stores what a client has written.
fn save(store: &mut Store, target: &Target, mut draft: Draft) -> Result<Arc<Stored>, Status> {
    let kind = &target.view.kind;
    definitions::establish(store, kind, &mut draft.object);
    let stored = store.put_draft(&kind.collection, target.key.clone(), draft);
    let stored = stored.map_err(|TooLarge| {
        Status::failure(StatusCode::INTERNAL_SERVER_ERROR, "", "etcdserver: request is too large")
    })?;
    definitions::after_write(store, kind, &stored);
    Ok(stored)
}

/// What the client sent, without the fields that the server adds: owners are of this. An apply records its own.
fn as_sent(target: &Target, new: &Value) -> Value {
    let mut sent = new.clone();
    go_values::whole_numbers(&mut sent);
    core_rules::fill_in(&target.view.kind, &mut sent, false);
    meta::drop_empty(&mut sent);
    sent
}

/// Writes into `new` who owns which fields, now that the client has sent `sent`.
fn record_owners(target: &Target, old: &Value, mut sent: Value, new: &mut Value) {
    managed_fields::track(Some(old), &mut sent, target);
    let entries = sent["metadata"]["managedFields"].take();
    meta::metadata_mut(new).insert("managedFields".to_owned(), entries);
    meta::metadata_mut(new).retain(|_, value| !value.is_null());
}

/// Whether the values of a custom resource have the types that its schema declares. A real server does not know who
/// owns the fields of one whose values do not, and forgets all owners, even where the values are not kept.
fn is_typed(target: &Target, object: &Value) -> bool {
    let kind = &target.view.kind;
    let schema = kind.versions[target.view.version].structural.as_deref();
    !kind.custom || schema.is_none_or(|schema| schema::type_errors(object, schema).is_empty())
}

/// Refuses a resource version that is no number.
pub(crate) fn parse_version(version: &str) -> Result<(), Status> {
    if version.is_empty() || version.parse::<u64>().is_ok() {
        return Ok(());
    }
    let message = format!("strconv.ParseUint: parsing {version:?}: invalid syntax");
    Err(Status::failure(StatusCode::INTERNAL_SERVER_ERROR, "", message))
}

fn check_preconditions(target: &Target, style: Style, current: &Stored, new: &Value) -> Result<(), Status> {
    let kind = &target.view.kind;
    let uid = meta::text(new, "uid");
    // A patch has no preconditions: there the UID is a field like others, which is immutable.
    if style == Style::Replace && !uid.is_empty() && *uid != *current.uid {
        return Err(target.conflict(&format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            current.uid
        )));
    }
    let rv = meta::text(new, "resourceVersion");
    parse_version(rv)?;
    let unsaid = matches!(rv, "" | "0");
    if unsaid && target.subresource != Subresource::Scale && (kind.custom || kind.traits.conditional_update) {
        let cause = Cause::invalid_raw("metadata.resourceVersion", "0", "must be specified for an update");
        return Err(Status::invalid(&kind.group, &kind.plural, &target.key.name, &[cause]));
    }
    if !unsaid && rv.parse() != Ok(current.rv) {
        return Err(target
            .conflict("the object has been modified; please apply your changes to the latest version and try again"));
    }
    Ok(())
}

/// Puts back what this subresource may not change.
fn restrict(target: &Target, old: &Value, new: &mut Value) {
    let keep = |new: &mut Value, field: &str| match (&old[field], new.as_object_mut()) {
        (Value::Null, Some(new)) => {
            new.remove(field);
        }
        (value, Some(new)) => {
            new.insert(field.to_owned(), value.clone());
        }
        (_, None) => {}
    };
    match target.subresource {
        Subresource::Main | Subresource::Scale => {
            if target.has_status() {
                keep(new, "status");
            }
            if signing_request::is_one(&target.view.kind) {
                keep(new, "spec");
            }
            if target.view.kind.is("", "namespaces") {
                // Only /finalize may.
                let finalizers = old["spec"]["finalizers"].clone();
                meta::object_at(new, "spec").insert("finalizers".to_owned(), finalizers);
            }
        }
        Subresource::Status => *new = with_status(target, old, new),
        Subresource::Approval => signing_request::keep_all_but_conditions(old, new),
        Subresource::Finalize => *new = with_part_of_spec(old, new, "finalizers"),
        Subresource::EphemeralContainers => *new = with_part_of_spec(old, new, "ephemeralContainers"),
    }
}

/// The old object with the new status, and with the metadata that a write of the status may change.
fn with_status(target: &Target, old: &Value, new: &Value) -> Value {
    let kind = &target.view.kind;
    let mut whole = old.clone();
    let fields = meta::map_of(&mut whole);
    match new.get("status") {
        Some(status) => drop(fields.insert("status".to_owned(), status.clone())),
        None => drop(fields.remove("status")),
    }
    if let Some(kept) = kind.kept_by_status() {
        whole["metadata"] = new["metadata"].clone();
        for field in kept {
            whole["metadata"][*field] = old["metadata"][*field].clone();
        }
    }
    if let Some(managed) = new["metadata"].get("managedFields") {
        whole["metadata"]["managedFields"] = managed.clone();
    }
    if signing_request::is_one(kind) {
        signing_request::keep_decisions(old, &mut whole);
    }
    whole
}

/// The old object with one field of the new spec.
fn with_part_of_spec(old: &Value, new: &Value, field: &str) -> Value {
    let mut whole = old.clone();
    let spec = meta::object_at(&mut whole, "spec");
    match &new["spec"][field] {
        Value::Null => spec.remove(field),
        part => spec.insert(field.to_owned(), part.clone()),
    };
    if let Some(managed) = new["metadata"].get("managedFields") {
        whole["metadata"]["managedFields"] = managed.clone();
    }
    whole
}

fn counts_generation(target: &Target, old: &Value, new: &Value) -> bool {
    let kind = &target.view.kind;
    if !(kind.custom || kind.traits.generation) {
        return false;
    }
    let ignored =
        |field: &str| field == "metadata" || field == "apiVersion" || (field == "status" && target.has_status());
    let content = |object: &Value| -> Vec<(String, Value)> {
        let fields = object.as_object().into_iter().flatten();
        let mut content: Vec<_> =
            fields.filter(|(field, _)| !ignored(field)).map(|(field, value)| (field.clone(), value.clone())).collect();
        content.sort_by(|(left, _), (right, _)| left.cmp(right));
        content
    };
    // The controller copies annotations to replica sets.
    let annotated = kind.is("apps", "deployments") && target.subresource == Subresource::Main;
    content(old) != content(new) || annotated && old["metadata"]["annotations"] != new["metadata"]["annotations"]
}

/// Five letters that spell no words.
fn random_suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let random = uuid::Uuid::new_v4();
    random.as_bytes()[..5].iter().map(|&byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()])).collect()
}
