//! Server-side apply: a manager says what it wants, and owns what it says.
//!
//! What it no longer says and nobody else owns is removed; what somebody else owns and it wants otherwise is
//! a conflict, unless forced.

use std::collections::HashMap;

use serde_json::Value;

use crate::{
    api::{
        merge::{
            field_set::{Difference, Fields, items, step_of},
            managed_fields::{self, before_first_apply, entry, is_entry_of, ownable},
            target::Target,
        },
        object::meta,
    },
    registry::schema::{Schema, Shape},
    wire::status::{Cause, Status},
};

/// The object that was wanted, where there is none yet.
pub(super) fn new_object(target: &Target, wanted: &Value) -> Result<(Value, Fields), Status> {
    check(wanted, target)?;
    Ok((wanted.clone(), owned(target, wanted)))
}

fn check(wanted: &Value, target: &Target) -> Result<(), Status> {
    let kind = &target.view.kind;
    meta::check_shape(wanted, kind, &kind.versions[target.view.version].name)?;
    for field in ["apiVersion", "kind"] {
        if wanted[field].is_null() {
            return Err(Status::bad_request(format!("error decoding YAML: Object '{field}' is missing")));
        }
    }
    if !wanted["metadata"]["managedFields"].is_null() {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let version = target.view.api_version();
    if wanted["apiVersion"] != *version {
        return Err(Status::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {}, expected: {version}",
            wanted["apiVersion"].as_str().unwrap_or_default(),
        )));
    }
    Ok(())
}

fn part(target: &Target, object: &Value) -> Value {
    let status = target.view.kind.versions[target.view.version].status;
    ownable(object.clone(), &target.view.kind, status, target.subresource)
}

fn schema(target: &Target) -> &Schema {
    &target.view.kind.versions[target.view.version].schema
}

fn owned(target: &Target, wanted: &Value) -> Fields {
    let mut fields = Fields::of(&part(target, wanted), schema(target));
    fields.here = false;
    fields
}

/// What `current` becomes when `wanted` is applied to it.
pub(super) fn apply(target: &Target, current: &Value, wanted: &Value, force: bool) -> Result<Value, Status> {
    check(wanted, target)?;
    let schema = schema(target);
    let fields = owned(target, wanted);
    let mut own = None;
    let mut others: Vec<(Value, Fields)> = Vec::new();
    for entry in current["metadata"]["managedFields"].as_array().into_iter().flatten() {
        let owns = Fields::from_json(&entry["fieldsV1"]);
        if is_entry_of(entry, target, "Apply") {
            own = Some((entry.clone(), owns));
        } else {
            others.push((entry.clone(), owns));
        }
    }

    if own.is_none() && others.is_empty() {
        let entry = before_first_apply(target, current);
        let owns = Fields::from_json(&entry["fieldsV1"]);
        others.extend((!owns.is_empty()).then_some((entry, owns)));
    }

    let mut merged = current.clone();
    merge(&mut merged, &part(target, wanted), schema);
    if let Some((_, before)) = &own {
        let mut dropped = before.clone();
        dropped.subtract(&fields);
        let mut kept = fields.clone();
        for (_, owns) in &others {
            kept.union(owns);
        }
        prune(&mut merged, &dropped, &kept, schema);
    }
    for field in ["resourceVersion", "uid", "name", "namespace"] {
        if let Some(said) = wanted["metadata"].get(field).filter(|said| !said.is_null()) {
            meta::metadata_mut(&mut merged).insert(field.to_owned(), said.clone());
        }
    }
    merged["kind"] = wanted["kind"].clone();

    let mut difference = Difference::between(&part(target, current), &part(target, &merged), schema);
    difference.changed.here = false;
    let mut causes = Vec::new();
    let mut entries = Vec::new();
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
        if owns != before {
            entry["fieldsV1"] = owns.to_json();
        }
        if !owns.is_empty() {
            entries.push(entry);
        }
    }
    if !causes.is_empty() && !force {
        return Err(Status::apply_conflict(&causes));
    }
    let untouched = difference.changed.is_empty() && difference.removed.is_empty();
    match own {
        Some((standing, before)) if untouched && before == fields => entries.push(standing),
        _ if fields.is_empty() => {}
        standing => {
            let mut new = entry(target, "Apply", &fields);
            if untouched && let Some(entry) = new.as_object_mut() {
                // The time is that of the last change of the object.
                match standing.and_then(|(standing, _)| standing.get("time").cloned()) {
                    Some(time) => entry.insert("time".to_owned(), time),
                    None => entry.remove("time"),
                };
            }
            entries.push(new);
        }
    }
    managed_fields::write_entries(&mut merged, entries);
    Ok(merged)
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
        // To say nothing about what merges is no wish to remove what others said.
        (Value::Object(_), Value::Null, Shape::Granular)
        | (Value::Array(_), Value::Null, Shape::Keyed(_) | Shape::Set) => {}
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
            let mut places: HashMap<String, usize> = HashMap::new();
            for (at, item) in list.iter().enumerate() {
                if let Some(step) = step_of(item, shape) {
                    places.entry(step).or_insert(at);
                }
            }
            for (step, wanted) in items(wanted, shape) {
                if let Some(item) = places.get(&step).and_then(|&at| list.get_mut(at)) {
                    merge(item, wanted, schema.item());
                } else {
                    places.insert(step, list.len());
                    list.push(wanted.clone());
                }
            }
        }
        (value, wanted, _) => *value = wanted.clone(),
    }
}

/// Removes what is `dropped` and not `kept`. A field of a core type that has nothing left in it becomes null, and is
/// not written out.
fn prune(value: &mut Value, dropped: &Fields, kept: &Fields, schema: &Schema) {
    let nothing = Fields::default();
    match value {
        Value::Object(map) => {
            for (step, dropped) in &dropped.children {
                let Some(name) = step.strip_prefix("f:") else { continue };
                let still = kept.children.get(step);
                if let Some(inner) = map.get_mut(name) {
                    let filled = !is_empty(inner);
                    prune(inner, dropped, still.unwrap_or(&nothing), schema.field(name));
                    if filled && is_empty(inner) && !schema.has_always(name) {
                        *inner = Value::Null;
                    }
                }
                if dropped.here && still.is_none() {
                    map.remove(name);
                }
            }
        }
        Value::Array(list) => {
            list.retain_mut(|item| {
                let found = step_of(item, &schema.shape).and_then(|step| Some((dropped.children.get(&step)?, step)));
                let Some((dropped, step)) = found else { return true };
                let still = kept.children.get(&step);
                prune(item, dropped, still.unwrap_or(&nothing), schema.item());
                !dropped.here || still.is_some()
            });
        }
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
