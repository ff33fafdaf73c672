//! Server-side apply: a manager says what it wants, and owns what it says.
//!
//! A field that it no longer says is removed unless another manager owns it; a field that another manager owns with another value is
//! a conflict, unless forced.

use std::collections::{HashMap, HashSet};

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    api::{
        merge::{
            field_set::{Difference, Fields, items, step_of},
            managed_fields::{self, before_first_apply, entry, is_entry_of, keep_ownable, ownable_difference},
            target::Target,
        },
        object::{meta, schema},
    },
    registry::merge_schema::{Schema, Shape},
    wire::status::{Cause, Status},
};

/// The object that was wanted, where there is none yet.
pub(super) fn new_object(target: &Target, wanted: &Value) -> Result<(Value, Fields), Status> {
    check(wanted, target)?;
    Ok((wanted.clone(), owned(target, wanted)))
}

/// Refuses what cannot be applied: another type than the target's, and what the schema does not declare, whatever validation
/// was asked for.
fn check(wanted: &Value, target: &Target) -> Result<(), Status> {
    let view = &target.view;
    let text = |field: &str| wanted[field].as_str().unwrap_or_default();
    if text("kind") != view.kind.kind {
        let (group, version) = text("apiVersion").rsplit_once('/').unwrap_or(("", text("apiVersion")));
        return Err(Status::bad_request(format!("invalid object type: {group}/{version}, Kind={}", text("kind"))));
    }
    let version = view.api_version();
    if text("apiVersion") != version {
        return Err(Status::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {}, expected: {version}",
            text("apiVersion"),
        )));
    }
    if !wanted["metadata"]["managedFields"].is_null() {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let found = match view.kind.versions[view.version].structural.as_deref() {
        Some(schema) => schema::apply_errors(wanted, schema),
        None => repeats(wanted, schema_of(target), ""),
    };
    if found.is_empty() {
        return Ok(());
    }
    let message = format!("failed to create typed patch object ({}): {}", described(target, wanted), listed(&found));
    Err(Status::failure(StatusCode::INTERNAL_SERVER_ERROR, "", message))
}

/// What a merging list has twice, by path.
fn repeats(value: &Value, schema: &Schema, path: &str) -> Vec<String> {
    match value {
        Value::Object(map) => {
            let below = map.iter().map(|(name, value)| repeats(value, schema.field(name), &format!("{path}.{name}")));
            below.flatten().collect()
        }
        Value::Array(list) => {
            let (mut seen, mut found) = (HashSet::new(), Vec::new());
            for (step, item) in items(list, &schema.shape) {
                let place = place_of(item, &schema.shape);
                found.extend(repeats(item, schema.item(), &format!("{path}{place}")));
                if matches!(schema.shape, Shape::Keyed(_) | Shape::Set) && !seen.insert(step) {
                    found.push(format!("{path}: duplicate entries for key {place}"));
                }
            }
            found
        }
        _ => Vec::new(),
    }
}

/// How errors name an item of a list that merges: `[containerPort=80,protocol="TCP"]`.
fn place_of(item: &Value, shape: &Shape) -> String {
    let Shape::Keyed(keys) = shape else { return format!("[={item}]") };
    let known = keys.iter().filter_map(|(key, default)| Some((key, item.get(key).or(default.as_ref())?)));
    let parts: Vec<String> = known.map(|(key, value)| format!("{key}={value}")).collect();
    format!("[{}]", parts.join(","))
}

/// Refuses to find the owners of an object whose values do not have the types that the schema declares.
fn check_typed(target: &Target, current: &Value) -> Result<(), Status> {
    let view = &target.view;
    let schema = view.kind.versions[view.version].structural.as_deref().filter(|_| view.kind.custom);
    let found = schema.map(|schema| schema::type_errors(current, schema)).unwrap_or_default();
    if found.is_empty() {
        return Ok(());
    }
    let message = format!(
        "failed to create manager for existing fields: failed to convert new object ({}) to smd typed: {}",
        described(target, current),
        listed(&found)
    );
    Err(Status::failure(StatusCode::INTERNAL_SERVER_ERROR, "", message))
}

/// Errors as a message lists them.
fn listed(errors: &[String]) -> String {
    match errors {
        [one] => one.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    }
}

/// How errors of apply name an object: by what it says of itself.
pub(crate) fn described(target: &Target, wanted: &Value) -> String {
    let view = &target.view;
    let (namespace, name) = (meta::text(wanted, "namespace"), meta::text(wanted, "name"));
    let version = view.api_version();
    let version = if view.kind.group.is_empty() { format!("/{version}") } else { version };
    format!("{namespace}/{name}; {version}, Kind={}", view.kind.kind)
}

fn schema_of(target: &Target) -> &Schema {
    &target.view.kind.versions[target.view.version].schema
}

fn owned(target: &Target, wanted: &Value) -> Fields {
    let mut fields = Fields::of(wanted, schema_of(target));
    keep_ownable(&mut fields, target);
    fields
}

/// What `current` becomes when `wanted` is applied to it.
pub(super) fn apply(target: &Target, current: &Value, wanted: &Value, force: bool) -> Result<Value, Status> {
    check(wanted, target)?;
    let schema = schema_of(target);
    let fields = owned(target, wanted);
    let mut own = None;
    let mut others: Vec<(Value, Fields)> = Vec::new();
    for entry in managed_fields::decoded(current) {
        let owns = Fields::from_json(&entry["fieldsV1"]);
        if is_entry_of(&entry, target, "Apply") {
            own = Some((entry, owns));
        } else {
            others.push((entry, owns));
        }
    }

    if own.is_none() && others.is_empty() {
        check_typed(target, current)?;
        let entry = before_first_apply(target, current);
        let owns = Fields::from_json(&entry["fieldsV1"]);
        others.extend((!owns.is_empty()).then_some((entry, owns)));
    }

    let mut merged = current.clone();
    merge(&mut merged, wanted, schema);
    let drops_fields = |before: &Fields| {
        let mut dropped = before.clone();
        dropped.subtract(&fields);
        !dropped.is_empty()
    };
    if let Some((_, before)) = own.as_ref().filter(|(_, before)| drops_fields(before)) {
        let mut managed = fields.clone();
        // The name is always applied, though it is in no account.
        managed.union(Fields::from_json(&json!({"f:metadata": {"f:name": {}}})));
        for (_, owns) in &others {
            managed.union(owns.clone());
        }
        merged = prune(&merged, before, managed, schema);
    }
    let difference = ownable_difference(current, &merged, target);
    let (mut entries, causes) = resolve_conflicts(others, &difference);
    if !causes.is_empty() && !force {
        return Err(Status::apply_conflict(&causes));
    }
    let untouched = merged == *current;
    entries.extend(own_entry(target, own, fields, untouched));
    managed_fields::write_entries(&mut merged, entries);
    Ok(merged)
}

/// The entries of other managers, without the fields that an apply takes over or removes, and the conflicts.
fn resolve_conflicts(others: Vec<(Value, Fields)>, difference: &Difference) -> (Vec<Value>, Vec<Cause>) {
    let (mut entries, mut causes) = (Vec::new(), Vec::new());
    for (mut entry, mut owns) in others {
        let contested = owns.intersection(&difference.changed);
        let who = describe(&entry);
        causes.extend(contested.paths().into_iter().map(|field| Cause {
            reason: "FieldManagerConflict",
            message: format!("conflict with {who}"),
            field,
        }));
        let before = owns.clone();
        owns.subtract(&contested);
        owns.subtract(&difference.removed);
        if owns.is_empty() {
            continue;
        }
        if owns != before {
            entry["fieldsV1"] = owns.into_json();
        }
        entries.push(entry);
    }
    (entries, causes)
}

/// The entry of the manager that applies. None where it owns nothing.
fn own_entry(target: &Target, before: Option<(Value, Fields)>, fields: Fields, untouched: bool) -> Option<Value> {
    match before {
        Some((existing, owned)) if untouched && owned == fields => Some(existing),
        _ if fields.is_empty() => None,
        before => {
            let mut new = entry(target, "Apply", fields);
            if untouched && let Some(entry) = new.as_object_mut() {
                // The time is that of the last change of the object.
                match before.and_then(|(existing, _)| existing.get("time").cloned()) {
                    Some(time) => entry.insert("time".to_owned(), time),
                    None => entry.remove("time"),
                };
            }
            Some(new)
        }
    }
}

/// How messages name a manager.
fn describe(entry: &Value) -> String {
    let text = |field: &str| entry[field].as_str();
    let mut who = format!("{:?}", text("manager").unwrap_or_default());
    if let Some(subresource) = text("subresource") {
        who = format!("{who} with subresource {subresource:?}");
    }
    if text("operation") == Some("Update") {
        who = format!("{who} using {}", text("apiVersion").unwrap_or_default());
    }
    who
}

/// Lays `wanted` over `value`.
fn merge(value: &mut Value, wanted: &Value, schema: &Schema) {
    match (value, wanted, &schema.shape) {
        // A null does not remove what merges: other managers may own parts of it.
        (value @ Value::Object(_), Value::Null, Shape::Granular)
        | (value @ Value::Array(_), Value::Null, Shape::Keyed(_) | Shape::Set)
            if !is_empty(value) => {}
        (Value::Object(value), Value::Object(wanted), shape) if *shape != Shape::Atomic => {
            for (name, wanted) in wanted {
                match value.get_mut(name) {
                    Some(value) => merge(value, wanted, schema.field(name)),
                    None => {
                        value.insert(name.clone(), wanted.clone());
                    }
                }
            }
        }
        (Value::Array(list), Value::Array(wanted), shape @ (Shape::Keyed(_) | Shape::Set)) => {
            merge_list(list, &items(wanted, shape), shape, schema.item());
        }
        (value, wanted, _) => *value = wanted.clone(),
    }
}

/// Lays the wanted items over a list that merges. They come in their own order. An item that only the list has stays before
/// what follows it there.
fn merge_list(list: &mut Vec<Value>, wanted: &[(String, &Value)], shape: &Shape, schema: &Schema) {
    let steps: HashSet<&str> = wanted.iter().map(|(step, _)| step.as_str()).collect();
    // The items in both, by their steps. One that is there twice is replaced.
    let mut shared: HashMap<String, Option<Value>> = HashMap::new();
    let mut old = Vec::with_capacity(list.len());
    for item in list.drain(..) {
        match step_of(&item, shape).filter(|step| steps.contains(step.as_str())) {
            Some(step) => {
                shared.entry(step.clone()).and_modify(|twice| *twice = None).or_insert(Some(item));
                old.push(Existing::Shared(step));
            }
            None => old.push(Existing::Unshared(item)),
        }
    }
    let mut old = old.into_iter().peekable();
    let order: Vec<&String> = wanted.iter().map(|(step, _)| step).filter(|step| shared.contains_key(*step)).collect();
    let mut order = order.into_iter().peekable();
    let mut merged = Vec::with_capacity(wanted.len());
    for (step, wanted) in wanted {
        let next = order.peek().copied();
        // A shared item that is not the next one comes where it is wanted.
        while let Some(passed) = old.next_if(|old| !matches!(old, Existing::Shared(step) if Some(step) == next)) {
            merged.extend(passed.unshared());
        }
        if next == Some(step) {
            order.next();
            old.next();
        }
        let mut item = shared.get_mut(step).and_then(Option::take).unwrap_or_default();
        merge(&mut item, wanted, schema);
        merged.push(item);
    }
    merged.extend(old.filter_map(Existing::unshared));
    *list = merged;
}

/// An item that a list has before a merge.
enum Existing {
    /// It is wanted too. By its step.
    Shared(String),
    Unshared(Value),
}

impl Existing {
    fn unshared(self) -> Option<Value> {
        match self {
            Self::Shared(_) => None,
            Self::Unshared(item) => Some(item),
        }
    }
}

/// Removes what the manager owned before and no manager owns now.
///
/// A declared field that holds something owned counts as owned itself. So it goes as a whole, with all that has no owner in
/// it, once the manager drops the last of what it owned there.
fn prune(merged: &Value, before: &Fields, managed: Fields, schema: &Schema) -> Value {
    let last = before.clone().with_declared(schema);
    let managed = managed.with_declared(schema);
    let set_of = |value: &Value| Fields::of(value, schema).with_declared(schema);
    let whole = set_of(merged);
    let without = |gone: &Fields| {
        let mut pruned = merged.clone();
        remove(&mut pruned, gone, schema);
        pruned
    };
    let mut unowned = whole.clone();
    unowned.subtract(&set_of(&without(&last)));
    unowned.subtract(&managed);
    let mut gone = whole.clone();
    gone.subtract(&set_of(&without(&unowned)));
    without(&gone.intersection(&last))
}

/// Removes the fields and items in a set. A map or list that has nothing left in it stays, empty.
fn remove(value: &mut Value, gone: &Fields, schema: &Schema) {
    match value {
        Value::Object(map) => map.retain(|name, inner| {
            let Some(gone) = gone.children.get(&format!("f:{name}")) else { return true };
            if gone.here {
                return false;
            }
            remove(inner, gone, schema.field(name));
            true
        }),
        Value::Array(list) => list.retain_mut(|item| {
            let Some(gone) = step_of(item, &schema.shape).and_then(|step| gone.children.get(&step)) else {
                return true;
            };
            remove(item, gone, schema.item());
            !gone.here
        }),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}
