//! `metadata.managedFields`, the owners of fields, kept up to date for ordinary writes.
//!
//! The sets of fields are `field_set`; what server-side apply makes of them is `patch/apply.rs`.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::api::{
    merge::{
        field_set::{Difference, Fields},
        target::{Subresource, Target},
    },
    object::{meta, signing_request},
};

/// Removes from a set what cannot be owned through this subresource.
pub(crate) fn keep_ownable(fields: &mut Fields, target: &Target) {
    const SYSTEM: [&str; 8] =
        ["name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion"];
    let (kind, subresource) = (&target.view.kind, target.subresource);
    let has_status = kind.versions[target.view.version].status;
    let kept_by_status = kind.kept_by_status();
    let is_signing_request = signing_request::is_one(kind);
    fields.here = false;
    fields.children.retain(|step, below| {
        let mut drop_all = |dropped: &dyn Fn(&str) -> bool| {
            below.children.retain(|step, _| !step.strip_prefix("f:").is_some_and(dropped));
            !below.children.is_empty()
        };
        match step.as_str() {
            "f:apiVersion" | "f:kind" => false,
            "f:metadata" if subresource == Subresource::Status && kept_by_status.is_none() => false,
            "f:metadata" => {
                let kept = kept_by_status.filter(|_| subresource == Subresource::Status).unwrap_or_default();
                drop_all(&|name| SYSTEM.contains(&name) || kept.contains(&name))
            }
            "f:status" if is_signing_request && subresource == Subresource::Approval => {
                drop_all(&|name| name == "certificate")
            }
            "f:status" if is_signing_request && subresource == Subresource::Status => {
                drop_all(&|name| name == "conditions")
            }
            "f:status" => subresource == Subresource::Status || !has_status,
            // No update changes what is asked for.
            "f:spec" if is_signing_request => false,
            _ => subresource != Subresource::Status,
        }
    });
}

/// What a write changed and removed of what can be owned through its subresource.
pub(crate) fn ownable_difference(old: &Value, new: &Value, target: &Target) -> Difference {
    let schema = &target.view.kind.versions[target.view.version].schema;
    let mut difference = Difference::between(old, new, schema);
    keep_ownable(&mut difference.changed, target);
    keep_ownable(&mut difference.removed, target);
    difference
}

/// The entries of an object. Of several with the same manager the last one counts.
pub(crate) fn decoded(object: &Value) -> Vec<Value> {
    let mut entries: Vec<Value> = Vec::new();
    for entry in object["metadata"]["managedFields"].as_array().into_iter().flatten() {
        let is_same = |known: &Value| {
            same_manager(known, entry) && (entry["operation"] == "Apply" || known["apiVersion"] == entry["apiVersion"])
        };
        entries.retain(|known| !is_same(known));
        entries.push(entry.clone());
    }
    entries
}

/// Whether two entries are of one manager, operation and subresource.
pub(crate) fn same_manager(left: &Value, right: &Value) -> bool {
    ["manager", "operation", "subresource"].iter().all(|field| left.get(*field) == right.get(*field))
}

/// Records the owners that an ordinary write makes. `old` is missing when the object is new.
pub(crate) fn track(old: Option<&Value>, new: &mut Value, target: &Target) {
    let Some((mut entries, is_first)) = entries_before(old, new, target) else {
        return write_entries(new, Vec::new());
    };
    if let (Some(applied), None) = (&target.manager.applied, old) {
        if !applied.is_empty() {
            entries.push(entry(target, "Apply", applied.clone()));
        }
    } else {
        if old.is_some() && is_first {
            // No field has an owner, and an update does not record the first one.
            return write_entries(new, entries);
        }
        // Fields are owned under the names they have in the version they were written in.
        let old = old.map_or_else(|| Cow::Owned(json!({})), |old| target.view.renamed(old));
        let difference = ownable_difference(&old, &target.view.renamed(new), target);
        record(&mut entries, target, difference);
    }
    write_entries(new, entries);
}

/// The entries that a write begins with: those that the client sent, if they can be read, else the ones that are stored. An entry
/// of a version that is not served is dropped; for a custom resource nothing is known of owners then, and this is `None`.
/// And whether there were none before these were dropped.
fn entries_before(old: Option<&Value>, new: &Value, target: &Target) -> Option<(Vec<Value>, bool)> {
    let entries_of = |object: &Value| object["metadata"]["managedFields"].is_array().then(|| decoded(object));
    // A custom resource with an empty list of owners says nothing about them.
    let says = |entries: &Vec<Value>| !(target.view.kind.custom && entries.is_empty());
    let sent = entries_of(new).filter(says).filter(|_| target.subresource == Subresource::Main);
    let stored = || old.and_then(entries_of).unwrap_or_default();
    let is_empty = |entry: &Value| entry.as_object().is_none_or(Map::is_empty);
    let entries = match sent {
        Some(sent) if sent.is_empty() || sent.len() == 1 && is_empty(&sent[0]) => Vec::new(),
        Some(sent) if sent.iter().all(|entry| entry["fieldsType"] == "FieldsV1") => sent,
        _ => stored(),
    };
    let kind = &target.view.kind;
    let is_served = |entry: &Value| {
        let version = entry["apiVersion"].as_str().unwrap_or_default();
        kind.versions.iter().any(|served| kind.api_version(&served.name) == version) || target.view.renames_events()
    };
    if kind.custom && !entries.iter().all(is_served) {
        return None;
    }
    let is_first = entries.is_empty();
    Some((entries.into_iter().filter(is_served).collect(), is_first))
}

fn record(entries: &mut Vec<Value>, target: &Target, difference: Difference) {
    let mut own = Fields::default();
    let mut others = Vec::new();
    let mut existing = None;
    for entry in entries.drain(..) {
        let mut fields = Fields::from_json(&entry["fieldsV1"]);
        if is_entry_of(&entry, target, "Update") {
            own = fields;
            existing = Some(entry);
            continue;
        }
        let before = fields.clone();
        fields.subtract(&difference.changed);
        fields.subtract(&difference.removed);
        if fields == before {
            others.push(entry);
        } else if !fields.is_empty() {
            let mut entry = entry;
            entry["fieldsV1"] = fields.into_json();
            others.push(entry);
        }
    }
    let before = own.clone();
    own.subtract(&difference.removed);
    let is_untouched = difference.changed.is_empty();
    own.union(difference.changed);
    match existing {
        Some(existing) if own == before && is_untouched => others.push(existing),
        _ if own.is_empty() => {}
        _ => others.push(entry(target, "Update", own)),
    }
    *entries = others;
}

/// The entry for all fields of an object that has no owners when something is first applied to it.
pub(crate) fn before_first_apply(target: &Target, current: &Value) -> Value {
    let difference = ownable_difference(&json!({}), current, target);
    let mut entry = entry(target, "Update", difference.changed);
    entry["manager"] = "before-first-apply".into();
    entry
}

/// Whether an entry of `managedFields` is this client's, through this subresource. A manager has
/// an entry for each version in which it updates, and one entry for all that it applies.
pub(crate) fn is_entry_of(entry: &Value, target: &Target, operation: &str) -> bool {
    entry["manager"] == *target.manager.name
        && entry["operation"] == operation
        && entry["subresource"].as_str() == subresource_name(target.subresource)
        && (operation == "Apply" || entry["apiVersion"] == *target.view.api_version())
}

fn subresource_name(subresource: Subresource) -> Option<&'static str> {
    match subresource {
        Subresource::Main => None,
        Subresource::Scale => Some("scale"),
        Subresource::Status => Some("status"),
        Subresource::Approval => Some("approval"),
        Subresource::Finalize => Some("finalize"),
        Subresource::EphemeralContainers => Some("ephemeralcontainers"),
    }
}

/// A new entry for this client.
pub(crate) fn entry(target: &Target, operation: &str, fields: Fields) -> Value {
    let mut entry = json!({
        "manager": target.manager.name, "operation": operation, "apiVersion": target.view.api_version(),
        "time": meta::time(target.now), "fieldsType": "FieldsV1", "fieldsV1": fields.into_json(),
    });
    if let Some(name) = subresource_name(target.subresource) {
        entry["subresource"] = name.into();
    }
    entry
}

/// Puts the entries into an object, in the order the real server keeps them in.
pub(crate) fn write_entries(object: &mut Value, mut entries: Vec<Value>) {
    entries.sort_by(|left, right| sort_key(left).cmp(&sort_key(right)));
    if entries.is_empty() {
        meta::metadata_mut(object).remove("managedFields");
    } else {
        meta::metadata_mut(object).insert("managedFields".to_owned(), entries.into());
    }
}

fn sort_key(entry: &Value) -> [&str; 5] {
    ["operation", "time", "manager", "apiVersion", "subresource"].map(|field| entry[field].as_str().unwrap_or_default())
}

/// Whether two states of an object are equal apart from the times in their `managedFields`.
pub(crate) fn same(old: &Value, new: &Value) -> bool {
    same_but(old, new, "metadata", |old, new| {
        same_but(old, new, "managedFields", |old, new| match (old.as_array(), new.as_array()) {
            (Some(old), Some(new)) => {
                let same_entry = |(old, new): (&Value, &Value)| same_but(old, new, "time", |_, _| true);
                old.len() == new.len() && old.iter().zip(new).all(same_entry)
            }
            _ => old == new,
        })
    })
}

/// Whether two maps are equal, where one field is compared by `same`.
fn same_but(old: &Value, new: &Value, field: &str, same: impl Fn(&Value, &Value) -> bool) -> bool {
    let (Some(old_fields), Some(new_fields)) = (old.as_object(), new.as_object()) else { return old == new };
    let others = |map: &Map<String, Value>| map.len() - usize::from(map.contains_key(field));
    others(old_fields) == others(new_fields)
        && old_fields.iter().filter(|(name, _)| *name != field).all(|(name, value)| new_fields.get(name) == Some(value))
        && same(&old[field], &new[field])
}
