//! The life of a `CustomResourceDefinition`: its kind is served once it is written, and its objects go before it does.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    api::{
        change::names::{Conflict, Taken, accept},
        object::meta,
        store::objects::{Collection, Key, Store, Stored},
    },
    registry::{
        definition::{self, words},
        kinds::{Kind, resource_id},
    },
    wire::status::Status,
};

const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Keeps a definition until its objects are gone.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Whether it is the kind of definitions.
pub(crate) fn is_definition(kind: &Kind) -> bool {
    kind.is("apiextensions.k8s.io", "customresourcedefinitions")
}

/// Accepts a definition's names and establishes it: its status, written with it.
pub(crate) fn establish(store: &Store, kind: &Kind, object: &mut Value) {
    if !is_definition(kind) || meta::is_deleting(object) {
        return;
    }
    let spec = &object["spec"];
    let (accepted, conflict) = accept(&spec["names"], &object["status"]["acceptedNames"], &Taken::beside(store, spec));
    let since = object["metadata"]["creationTimestamp"].clone();
    let condition = |kind: &str, status: bool, reason: &str, message: &str| {
        json!({
            "type": kind, "status": if status { "True" } else { "False" }, "reason": reason,
            "message": message, "lastTransitionTime": since,
        })
    };
    let conditions = match conflict {
        None => [
            condition("NamesAccepted", true, "NoConflicts", "no conflicts found"),
            condition("Established", true, "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        // A definition that is established stays so, under the names that it had.
        Some(Conflict { reason, message }) if is_established(object) => [
            condition("NamesAccepted", false, reason, &message),
            condition("Established", true, "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        Some(Conflict { reason, message }) => [
            condition("NamesAccepted", false, reason, &message),
            condition("Established", false, "NotAccepted", "not all names are accepted"),
        ],
    };
    let storage = spec["versions"].as_array().into_iter().flatten().find(|version| version["storage"] == true);
    let mut stored = words(&object["status"]["storedVersions"]);
    if let Some(name) = storage.and_then(|version| version["name"].as_str())
        && !stored.iter().any(|known| known == name)
    {
        stored.push(name.to_owned());
    }
    object["status"] = json!({
        "conditions": conditions, "acceptedNames": accepted, "storedVersions": stored,
    });
}

/// Serves what a definition defines.
pub(crate) fn after_write(store: &mut Store, kind: &Kind, stored: &Stored) {
    if !is_definition(kind) {
        return;
    }
    let object = stored.value();
    if meta::is_deleting(&object) {
        return;
    }
    if is_established(&object) {
        let mut spec = object["spec"].clone();
        spec["names"] = object["status"]["acceptedNames"].clone();
        store.serve(Arc::new(definition::kind_of(&spec)));
    }
}

fn is_established(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    let is_true = |condition: &Value| condition["type"] == "Established" && condition["status"] == "True";
    conditions.into_iter().flatten().any(is_true)
}

/// Stops serving what a definition defined. Its names are free: a definition of its group that waited for them is established.
fn withdraw(store: &mut Store, spec: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    store.withdraw(&text(&spec["group"]), &text(&spec["names"]["plural"]));
    let Some(kind) = store.kind("apiextensions.k8s.io", "customresourcedefinitions").cloned() else { return };
    let in_group = format!(".{}", text(&spec["group"]));
    let known = store.collection(DEFINITIONS).into_iter().flat_map(Collection::all);
    let of_group: Vec<Arc<Stored>> = known.filter(|known| known.key.name.ends_with(&in_group)).cloned().collect();
    for waiting in of_group {
        let before = waiting.value();
        if before["spec"]["group"] != spec["group"] || is_established(&before) {
            continue;
        }
        let mut object = before.clone();
        establish(store, &kind, &mut object);
        if object != before {
            let stored = store.put(DEFINITIONS, waiting.key.clone(), object);
            after_write(store, &kind, &stored);
        }
    }
}

/// Stops serving what a definition defined; lets a definition go when its last object went.
pub(crate) fn after_removal(store: &mut Store, kind: &Kind, gone: &Stored) {
    if is_definition(kind) {
        withdraw(store, &gone.value()["spec"]);
    } else if kind.custom {
        finish_deletion(store, &resource_id(&kind.group, &kind.plural));
    }
}

/// Prepares a definition for its deletion, if it has to wait for its objects.
pub(crate) fn hold_for_objects(store: &Store, kind: &Kind, object: &mut Value, now: Timestamp) {
    let name = meta::text(object, "name").to_owned();
    if is_definition(kind) && store.collection(&name).is_some_and(|collection| collection.len() > 0) {
        mark_for_deletion(object, now);
    }
}

/// Adds the finalizer and the condition of a definition that is being deleted.
pub(crate) fn mark_for_deletion(object: &mut Value, now: Timestamp) {
    if !meta::finalizers(object).contains(&CLEANUP) {
        let mut finalizers: Vec<Value> = meta::finalizers(object).into_iter().map(Value::from).collect();
        finalizers.push(CLEANUP.into());
        meta::metadata_mut(object).insert("finalizers".to_owned(), finalizers.into());
    }
    let conditions = object["status"]["conditions"].as_array_mut();
    if let Some(conditions) = conditions.filter(|all| all.iter().all(|one| one["type"] != "Terminating")) {
        conditions.push(json!({
            "type": "Terminating", "status": "True", "lastTransitionTime": meta::time(now),
            "reason": "InstanceDeletionPending",
            "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        }));
    }
}

/// Refuses a new object of a kind whose definition is being deleted.
pub(crate) fn check_not_terminating(store: &Store, kind: &Kind, object: &str) -> Result<(), Status> {
    let name = resource_id(&kind.group, &kind.plural);
    let definition = store.find(DEFINITIONS, &Key::new("", &name)).filter(|_| kind.custom);
    if definition.is_some_and(|definition| meta::is_deleting(&definition.value())) {
        let why = "create not allowed while custom resource definition is terminating";
        return Err(Status::forbidden(&kind.group, &kind.plural, object, why));
    }
    Ok(())
}

/// Lets a definition that is being deleted go once nothing of its kind is left.
pub(crate) fn finish_deletion(store: &mut Store, name: &str) {
    let key = Key::new("", name);
    let Some(mut object) = store.find(DEFINITIONS, &key).map(|stored| stored.value()) else { return };
    let empty = store.collection(name).is_none_or(|collection| collection.len() == 0);
    if !empty || !meta::is_deleting(&object) || !meta::finalizers(&object).contains(&CLEANUP) {
        return;
    }
    let left: Vec<Value> =
        meta::finalizers(&object).into_iter().filter(|name| *name != CLEANUP).map(Value::from).collect();
    let gone = left.is_empty();
    meta::metadata_mut(&mut object).insert("finalizers".to_owned(), left.into());
    meta::drop_empty(&mut object);
    if gone {
        let spec = object["spec"].clone();
        store.remove(DEFINITIONS, &key, object);
        withdraw(store, &spec);
    } else {
        store.put(DEFINITIONS, key, object);
    }
}
