//! Creates and updates: the order of checks, what the server fills in, and what follows from a write.
//!
//! Works on stored form inside one lock of the store. Which bytes the client sent, and how a patch turns
//! one object into another, is decided elsewhere.

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;

use crate::{
    api::{
        change::{definitions, delete},
        merge::{
            managed_fields,
            target::{Style, Subresource, Target},
        },
        object::{
            core_rules, go_values, meta,
            schema::{self, Checked},
            signing_request,
        },
        store::objects::{Draft, Key, Store, Stored},
    },
    wire::status::{Cause, Status},
};

/// Makes a new object. `object` has the right shape and is in stored form.
pub(crate) fn create(store: &mut Store, target: &Target, draft: impl Into<Draft>) -> Result<Arc<Stored>, Status> {
    let Draft { mut object, is_rewritten } = draft.into();
    target.place(&mut object)?;
    let kind = &target.view.kind;
    definitions::check_not_terminating(store, kind, meta::text(&object, "name"))?;
    let collection = kind.collection.as_str();
    let typed = is_typed(target, &object);
    let version = meta::text(&object, "resourceVersion").to_owned();
    if meta::text(&object, "name").is_empty() && !meta::text(&object, "generateName").is_empty() {
        let prefix: String = meta::text(&object, "generateName").chars().take(58).collect();
        let name = loop {
            let name = format!("{prefix}{}", random_suffix());
            if store.find(collection, &Key::new(&target.key.namespace, &name)).is_none() {
                break name;
            }
        };
        meta::metadata_mut(&mut object).insert("name".to_owned(), name.into());
    }
    let key = Key::new(&target.key.namespace, meta::text(&object, "name"));
    let target = &Target { view: target.view.clone(), key, manager: target.manager.clone(), ..*target };
    if kind.namespaced {
        let namespace = store.find("namespaces", &Key::new("", &target.key.namespace));
        match namespace.map(|namespace| meta::is_deleting(&namespace.value())) {
            None => return Err(Status::not_found("", "namespaces", &target.key.namespace)),
            Some(true) => {
                return Err(Status::namespace_terminating(
                    &kind.group,
                    &kind.plural,
                    &target.key.name,
                    &target.key.namespace,
                ));
            }
            Some(false) => {}
        }
    }
    meta::stamp_new(&mut object, &uuid::Uuid::new_v4().to_string(), target.now, kind);
    if target.has_status()
        && !kind.is("", "nodes")
        && let Some(object) = object.as_object_mut()
    {
        object.remove("status");
    }
    core_rules::fill_in(kind, &mut object, true);
    let mut causes = custom_problems(target, &object, None, || meta::problems(&object, kind));
    causes.extend(core_rules::problems(kind, &object, None));
    if !causes.is_empty() {
        return Err(refused(target, &object, &causes));
    }
    if !target.dry_run && version.parse::<u64>().is_ok_and(|version| version != 0) {
        let message = "resourceVersion should not be set on objects to be created";
        return Err(Status::failure(StatusCode::INTERNAL_SERVER_ERROR, "", message));
    }
    if let Some(there) = store.find(collection, &target.key) {
        let taken = Status::already_exists(&kind.group, &kind.plural, &target.key.name);
        return Err(match () {
            () if !meta::text(&object, "generateName").is_empty() => taken.for_a_generated_name(),
            () if meta::is_deleting(&there.value()) => taken.by_one_being_deleted(),
            () => taken,
        });
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
    definitions::establish(store, kind, &mut object);
    let stored = store.put_draft(collection, target.key.clone(), Draft { object, is_rewritten });
    definitions::after_write(store, kind, &stored);
    Ok(stored)
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
    // Owners are of what the client sent, without the fields that the server adds. An apply records its own.
    let tracked = (style != Style::Apply && typed).then(|| {
        let mut tracked = new.clone();
        go_values::whole_numbers(&mut tracked);
        core_rules::fill_in(kind, &mut tracked, false);
        meta::drop_empty(&mut tracked);
        tracked
    });
    // A real server checks these twice, and says so.
    let forbidden = meta::carry_over(&old, &mut new);
    let mut causes = forbidden.clone();
    core_rules::fill_in(kind, &mut new, false);
    let metadata = || forbidden.iter().cloned().chain(meta::problems_of_update(&new, kind)).collect();
    causes.extend(custom_problems(target, &new, Some(&old), metadata));
    causes.extend(core_rules::problems(kind, &new, Some(&old)));
    match target.subresource {
        Subresource::EphemeralContainers => causes.extend(core_rules::changed_ephemeral_containers(&old, &new)),
        Subresource::Status if signing_request::is_one(kind) => {
            causes.extend(signing_request::added_decisions(&old, &new));
        }
        _ => {}
    }
    if !causes.is_empty() {
        return Err(refused(target, &new, &causes));
    }
    if counts_generation(target, &old, &new) {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
        meta::metadata_mut(&mut new).insert("generation".to_owned(), generation.into());
    }
    meta::drop_empty(&mut new);
    if let Some(mut tracked) = tracked {
        managed_fields::track(Some(&old), &mut tracked, target);
        let entries = tracked["metadata"]["managedFields"].take();
        meta::metadata_mut(&mut new).insert("managedFields".to_owned(), entries);
        meta::metadata_mut(&mut new).retain(|_, value| !value.is_null());
    } else if style != Style::Apply {
        meta::metadata_mut(&mut new).remove("managedFields");
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
    definitions::establish(store, kind, &mut new);
    let stored = store.put_draft(&kind.collection, target.key.clone(), Draft { object: new, is_rewritten });
    definitions::after_write(store, kind, &stored);
    if kind.is("", "namespaces") {
        delete::empty_namespace(store, &target.key.name, target.now);
    }
    Ok(stored)
}

/// Whether the values of a custom resource have the types that its schema declares. A real server does not know who
/// owns the fields of one whose values do not, and forgets all owners, even where the values are not kept.
fn is_typed(target: &Target, object: &Value) -> bool {
    let kind = &target.view.kind;
    let schema = kind.versions[target.view.version].structural.as_deref();
    !kind.custom || schema.is_none_or(|schema| schema::type_errors(object, schema).is_empty())
}

/// What says of a custom resource that it has another type.
fn type_problems(target: &Target, object: &Value) -> Vec<Cause> {
    let kind = &target.view.kind;
    let stored = kind.storage_api_version();
    let known = [("kind", kind.kind.as_str(), kind.kind.clone()), ("apiVersion", &*stored, target.view.api_version())];
    let wrong = known.into_iter().filter_map(|(field, known, wanted)| {
        let said = object[field].as_str().filter(|said| *said != known)?;
        Some(Cause::invalid(field, said, &format!("must be {wanted}")))
    });
    wrong.collect()
}

/// What is wrong with the metadata, and what the schema of a custom resource finds wrong. One of another type is checked in
/// part only.
fn custom_problems(
    target: &Target,
    object: &Value,
    old: Option<&Value>,
    metadata: impl FnOnce() -> Vec<Cause>,
) -> Vec<Cause> {
    let kind = &target.view.kind;
    if !kind.custom {
        return metadata();
    }
    let mut causes = type_problems(target, object);
    let is_known = causes.is_empty();
    if is_known {
        causes = metadata();
    }
    let version = &kind.versions[target.view.version];
    let checked = Checked { is_known, status: target.subresource == Subresource::Status };
    let found = schema::problems(version, object, old, &causes, checked);
    causes.extend(found);
    causes
}

/// 422 for an object, under the type that it says it has.
fn refused(target: &Target, object: &Value, causes: &[Cause]) -> Status {
    let kind = &target.view.kind;
    let version = object["apiVersion"].as_str().unwrap_or_default();
    if kind.custom && version != kind.storage_api_version() {
        let group = version.split_once('/').map_or("", |(group, _)| group);
        return Status::invalid(group, object["kind"].as_str().unwrap_or_default(), &target.key.name, causes);
    }
    let said = object["kind"].as_str().filter(|_| kind.custom).unwrap_or(&kind.kind);
    Status::invalid(&kind.group, said, &target.key.name, causes)
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
        Subresource::Status => {
            let mut whole = old.clone();
            let status = new.get("status").cloned();
            if let (Some(whole), Some(status)) = (whole.as_object_mut(), status) {
                whole.insert("status".to_owned(), status);
            } else if let Some(whole) = whole.as_object_mut() {
                whole.remove("status");
            }
            let managed = new["metadata"].get("managedFields").cloned();
            let mut metadata = old["metadata"].clone();
            if let Some(kept) = target.view.kind.kept_by_status() {
                metadata = new["metadata"].clone();
                for field in kept {
                    metadata[*field] = old["metadata"][*field].clone();
                }
            }
            whole["metadata"] = metadata;
            if let Some(managed) = managed {
                whole["metadata"]["managedFields"] = managed;
            }
            if signing_request::is_one(&target.view.kind) {
                signing_request::keep_decisions(old, &mut whole);
            }
            *new = whole;
        }
        Subresource::Approval => signing_request::keep_all_but_conditions(old, new),
        Subresource::Finalize => *new = with_part_of_spec(old, new, "finalizers"),
        Subresource::EphemeralContainers => *new = with_part_of_spec(old, new, "ephemeralContainers"),
    }
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
