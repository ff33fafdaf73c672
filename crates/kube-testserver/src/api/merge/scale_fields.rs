//! The owners of the replicas of a custom resource, when its `Scale` is written.
//!
//! A `Scale` shows the owners of its replicas only. After the write they are merged into the owners of the whole object. A real
//! server identifies an updater by the version it used too, and a `Scale` has a version of its own: so the replicas
//! of each updater move into an entry of their own, without a time.

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    api::{
        merge::{
            field_set::Fields,
            managed_fields::{self, entry, same_manager},
            target::Target,
        },
        object::meta,
    },
    registry::kinds::Version,
    wire::status::{Cause, Status},
};

/// The version of a `Scale`.
pub(crate) const API_VERSION: &str = "autoscaling/v1";

/// Records an update of the replicas from `old` to `new` in `object`, the whole object.
pub(crate) fn record_update(object: &mut Value, target: &Target, old: Option<i64>, new: i64) {
    let entries = managed_fields::decoded(object);
    let mut owners = owners_of_replicas(&entries, target);
    // Without owners a real server keeps no account.
    if !owners.is_empty() && old != Some(new) {
        // A scale of zero leaves the field out.
        owners = if new == 0 { Vec::new() } else { vec![entry(target, "Update", Fields::default())] };
    }
    merge(object, target, entries, owners);
}

/// Records an apply that leaves the replicas at `current`.
///
/// # Errors
/// A real server fails where the apply would change something, or where the replicas have no owner.
pub(crate) fn record_apply(
    object: &mut Value,
    target: &Target,
    wanted: &Value,
    force: bool,
    current: i64,
) -> Result<(), Status> {
    let entries = managed_fields::decoded(object);
    let mut owners = owners_of_replicas(&entries, target);
    if owners.is_empty() {
        return Err(failed(
            "failed to create manager for existing fields: failed to convert live object (/; autoscaling/v1, Kind=Scale)",
        ));
    }
    let own = entry(target, "Apply", Fields::default());
    let others = owners.iter().filter(|owner| !same_manager(owner, &own));
    // A scale of zero leaves the field out: to set it is a change.
    let said = &wanted["spec"]["replicas"];
    if said.as_i64() != Some(current).filter(|current| *current != 0) {
        let causes: Vec<Cause> = others.map(conflict).collect();
        if !said.is_null() && !force && !causes.is_empty() {
            return Err(Status::apply_conflict(&causes));
        }
        let name = format!("{}/{}", meta::text(wanted, "namespace"), meta::text(wanted, "name"));
        return Err(failed(&format!("failed to convert new object ({name}; {API_VERSION}, Kind=Scale)")));
    }
    owners.retain(|owner| !same_manager(owner, &own));
    owners.push(own);
    merge(object, target, entries, owners);
    Ok(())
}

fn failed(what: &str) -> Status {
    let why = format!("request to convert CR to an invalid group/version: {API_VERSION}");
    Status::failure(StatusCode::INTERNAL_SERVER_ERROR, "", format!("{what} to proper version: {why}"))
}

fn conflict(owner: &Value) -> Cause {
    let using = if owner["operation"] == "Update" { format!(" using {API_VERSION}") } else { String::new() };
    Cause {
        reason: "FieldManagerConflict",
        message: format!("conflict with {}{using}", owner["manager"]),
        field: ".spec.replicas".to_owned(),
    }
}

/// The version of the kind in which the fields of an entry are named.
fn version_of<'a>(entry: &Value, target: &'a Target) -> Option<&'a Version> {
    let kind = &target.view.kind;
    kind.versions.iter().find(|version| entry["apiVersion"] == *kind.api_version(&version.name))
}

/// The replicas as a set of fields.
fn replicas_in(version: &Version) -> Option<Fields> {
    let path = version.scale.as_ref()?.spec_replicas.trim_start_matches('.');
    let fields = path.rsplit('.').fold(json!({}), |below, field| json!({format!("f:{field}"): below}));
    Some(Fields::from_json(&fields))
}

/// What an entry owns of the replicas.
fn replicas_of(entry: &Value, target: &Target) -> Option<Fields> {
    let replicas = replicas_in(version_of(entry, target)?)?;
    let owned = Fields::from_json(&entry["fieldsV1"]).intersection(&replicas);
    (!owned.is_empty()).then_some(owned)
}

fn owners_of_replicas(entries: &[Value], target: &Target) -> Vec<Value> {
    let mut owners: Vec<Value> = Vec::new();
    for entry in entries.iter().filter(|entry| replicas_of(entry, target).is_some()) {
        owners.retain(|owner| !same_manager(owner, entry));
        owners.push(entry.clone());
    }
    owners
}

/// Gives the replicas to `owners`, and takes them from all others in `entries`.
fn merge(object: &mut Value, target: &Target, entries: Vec<Value>, mut owners: Vec<Value>) {
    let mut merged = Vec::with_capacity(entries.len() + 1);
    for mut entry in entries {
        if version_of(&entry, target).is_none() {
            continue;
        }
        let Some(replicas) = replicas_of(&entry, target) else {
            merged.push(entry);
            continue;
        };
        let known = owners.iter().position(|owner| entry["operation"] == "Apply" && same_manager(owner, &entry));
        if let Some(at) = known {
            owners.remove(at);
            merged.push(entry);
            continue;
        }
        let mut fields = Fields::from_json(&entry["fieldsV1"]);
        fields.subtract(&replicas);
        if !fields.is_empty() {
            entry["fieldsV1"] = fields.into_json();
            merged.push(entry);
        }
    }
    let version = target.view.api_version();
    let Some(replicas) = replicas_in(&target.view.kind.versions[target.view.version]) else { return };
    for mut owner in owners {
        owner["apiVersion"] = version.as_str().into();
        owner["fieldsV1"] = replicas.clone().into_json();
        if let Some(owner) = owner.as_object_mut() {
            owner.remove("time");
        }
        merged.push(owner);
    }
    managed_fields::write_entries(object, merged);
}
