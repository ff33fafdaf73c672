//! Object metadata: what it may look like, what the server fills in, what may change.
//!
//! Pure functions over one object, or over an old and a new one.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    registry::kinds::{Kind, Traits},
    wire::{
        object_body::cannot_unmarshal,
        status::Cause,
        syntax::{key_problems, label_problems, label_value_problems, subdomain_problems},
    },
};

/// How large all annotations of an object may be together, in bytes.
const MOST_ANNOTATED: usize = 256 * 1024;

/// The finalizers that need no domain.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// A time as `metav1.Time` writes it.
pub(crate) fn time(now: Timestamp) -> Value {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()
}

/// What is wrong with a name, or with a prefix that random letters follow.
fn name_problems(name: &str, traits: Traits, prefix: bool) -> Vec<String> {
    let name = if prefix && name.len() > 1 { name.strip_suffix('-').unwrap_or(name) } else { name };
    if traits.segment_name {
        let wrong = matches!(name, "." | "..") || name.contains(['/', '%']);
        return wrong.then(|| "may not be '.' or '..', or contain '/' or '%'".to_owned()).into_iter().collect();
    }
    if traits.label_name { label_problems(name) } else { subdomain_problems(name) }
}

/// The name or namespace of an object, empty if there is none.
pub(crate) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// Its finalizers.
pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Whether it is on its way out.
pub(crate) fn is_deleting(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// The metadata, made an empty map first when there is none. Objects have passed [`check_shape`].
pub(crate) fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    object_at(object, "metadata")
}

/// The map under `field`, made when it is missing or no map.
pub(crate) fn object_at<'a>(object: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    map_of(map_of(object).entry(field).or_insert(Value::Null))
}

/// The map a value is, or is made when it is something else.
pub(crate) fn map_of(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("a map was put there just above")
}

/// Says what in an object's metadata a typed decoder cannot read.
pub(crate) fn check_shape(object: &Value) -> Result<(), String> {
    let metadata = match &object["metadata"] {
        Value::Null => return Ok(()),
        Value::Object(metadata) => metadata,
        other => return Err(unreadable(other, "metadata", "v1.ObjectMeta")),
    };
    let is_text = |value: &Value| value.is_string() || value.is_null();
    for (field, value) in metadata.iter().filter(|(_, value)| !value.is_null()) {
        let (fine, wanted) = match field.as_str() {
            "name" | "namespace" | "generateName" | "uid" | "resourceVersion" | "selfLink" => {
                (value.is_string(), "string")
            }
            "creationTimestamp" | "deletionTimestamp" => (timestamp(value).is_some(), "v1.Time"),
            "generation" | "deletionGracePeriodSeconds" => (value.is_i64(), "int64"),
            "labels" | "annotations" => {
                (value.as_object().is_some_and(|map| map.values().all(is_text)), "map[string]string")
            }
            "finalizers" => (value.as_array().is_some_and(|list| list.iter().all(is_text)), "[]string"),
            "ownerReferences" => {
                (value.as_array().is_some_and(|list| list.iter().all(is_reference)), "[]v1.OwnerReference")
            }
            "managedFields" => (
                value.as_array().is_some_and(|list| list.iter().all(|item| item.is_object() || item.is_null())),
                "[]v1.ManagedFieldsEntry",
            ),
            _ => (true, ""),
        };
        if !fine {
            return Err(unreadable(value, &format!("metadata.{field}"), wanted));
        }
    }
    Ok(())
}

/// Whether metadata has a field that is null or an empty map, list or text.
pub(crate) fn has_empty(object: &Value) -> bool {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    // These are set by the server.
    let is_set = |field: &str| {
        matches!(
            field,
            "creationTimestamp" | "generation" | "managedFields" | "namespace" | "resourceVersion" | "selfLink" | "uid"
        )
    };
    object["metadata"].as_object().into_iter().flatten().any(|(field, value)| !is_set(field) && is_empty(value))
}

/// Removes the fields of metadata that cannot be read: where a custom resource is applied, they are no error.
pub(crate) fn drop_malformed(object: &mut Value) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    metadata.retain(|field, value| check_shape(&json!({"metadata": {field: value}})).is_ok());
}

fn unreadable(value: &Value, field: &str, wanted: &str) -> String {
    cannot_unmarshal(value, "", field, wanted)
}

fn is_reference(value: &Value) -> bool {
    let Some(fields) = value.as_object() else { return value.is_null() };
    fields.iter().filter(|(_, value)| !value.is_null()).all(|(field, value)| match field.as_str() {
        "apiVersion" | "kind" | "name" | "uid" => value.is_string(),
        "controller" | "blockOwnerDeletion" => value.is_boolean(),
        _ => true,
    })
}

fn timestamp(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// Brings metadata that [`check_shape`] accepts into the form in which it is stored: times in whole seconds, an empty text
/// for a null in a map or list of texts, and no field that is empty.
pub(crate) fn normalize(object: &mut Value) {
    let metadata = metadata_mut(object);
    for (field, value) in metadata.iter_mut() {
        match field.as_str() {
            "creationTimestamp" | "deletionTimestamp" => *value = timestamp(value).map_or(Value::Null, time),
            "labels" | "annotations" => {
                value.as_object_mut().into_iter().flat_map(Map::values_mut).for_each(null_to_text);
            }
            "finalizers" => value.as_array_mut().into_iter().flatten().for_each(null_to_text),
            "ownerReferences" => {
                let Some(references) = value.as_array_mut() else { continue };
                references.iter_mut().for_each(normalize_reference);
                let mut known = Vec::with_capacity(references.len());
                references.retain(|reference| {
                    let new = !known.contains(reference);
                    known.push(reference.clone());
                    new
                });
            }
            _ => {}
        }
    }
    metadata.retain(|field, value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Number(number) => field != "generation" || number.as_i64() != Some(0),
        _ => true,
    });
}

fn null_to_text(value: &mut Value) {
    if value.is_null() {
        *value = "".into();
    }
}

fn normalize_reference(reference: &mut Value) {
    let fields = map_of(reference);
    fields.retain(|_, value| !value.is_null());
    for field in ["apiVersion", "kind", "name", "uid"] {
        fields.entry(field).or_insert_with(|| "".into());
    }
}

/// All that is wrong with an object's metadata.
pub(crate) fn problems(object: &Value, kind: &Kind) -> Vec<Cause> {
    let mut causes = problems_of(&object["metadata"], kind.traits);
    causes.extend(unqualified_finalizers(object, kind));
    causes
}

/// The finalizers without a domain, which core kinds refuse.
fn unqualified_finalizers(object: &Value, kind: &Kind) -> Vec<Cause> {
    let mut causes = Vec::new();
    if !kind.custom && matches!(kind.group.as_str(), "" | "apps") {
        for (at, finalizer) in finalizers(object).into_iter().enumerate() {
            if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer) {
                let rule = "name is neither a standard finalizer name nor is it fully qualified";
                causes.push(Cause::invalid(format!("metadata.finalizers[{at}]"), finalizer, rule));
            }
        }
    }
    causes
}

/// What is wrong with the metadata at `path` of an embedded object, which needs no name.
pub(crate) fn embedded_problems(metadata: &Value, path: &str) -> Vec<Cause> {
    let mut causes = problems_of(metadata, Traits { segment_name: true, ..Traits::default() });
    let named = metadata["name"].as_str().is_some_and(|name| !name.is_empty());
    causes.retain(|cause| named || cause.field != "metadata.name");
    for cause in &mut causes {
        cause.field = format!("{path}{}", &cause.field["metadata".len()..]);
    }
    causes
}

fn problems_of(metadata: &Value, traits: Traits) -> Vec<Cause> {
    let mut causes = Vec::new();
    let text = |field: &str| metadata[field].as_str().unwrap_or_default();
    let prefix = text("generateName");
    if !prefix.is_empty() {
        let problems = name_problems(prefix, traits, true);
        causes.extend(problems.iter().map(|rule| Cause::invalid("metadata.generateName", prefix, rule)));
    }
    let name = text("name");
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else {
        let problems = name_problems(name, traits, false);
        causes.extend(problems.iter().map(|rule| Cause::invalid("metadata.name", name, rule)));
    }
    if let Some(generation) = metadata["generation"].as_i64().filter(|generation| *generation < 0) {
        let rule = "must be greater than or equal to 0";
        causes.push(Cause::invalid_raw("metadata.generation", &generation.to_string(), rule));
    }
    label_causes(&metadata["labels"], &mut causes);
    annotation_causes(&metadata["annotations"], &mut causes);
    owner_causes(&metadata["ownerReferences"], &mut causes);
    finalizer_causes(&metadata["finalizers"], &mut causes);
    causes
}

fn label_causes(labels: &Value, causes: &mut Vec<Cause>) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        causes.extend(key_problems(key).iter().map(|rule| Cause::invalid("metadata.labels", key, rule)));
        let value = value.as_str().unwrap_or_default();
        causes.extend(label_value_problems(value).iter().map(|rule| Cause::invalid("metadata.labels", value, rule)));
    }
}

fn annotation_causes(annotations: &Value, causes: &mut Vec<Cause>) {
    let mut size = 0;
    for (key, value) in annotations.as_object().into_iter().flatten() {
        let problems = key_problems(&key.to_lowercase());
        causes.extend(problems.iter().map(|rule| Cause::invalid("metadata.annotations", key, rule)));
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > MOST_ANNOTATED {
        causes.push(Cause::too_long("metadata.annotations", MOST_ANNOTATED));
    }
}

fn owner_causes(owners: &Value, causes: &mut Vec<Cause>) {
    let mut controller: Option<String> = None;
    for owner in owners.as_array().into_iter().flatten() {
        let text = |field: &str| owner[field].as_str().unwrap_or_default();
        let field = |name: &str| format!("metadata.ownerReferences.{name}");
        let version = text("apiVersion");
        if version.is_empty() || version.matches('/').count() > 1 {
            causes.push(Cause::invalid(field("apiVersion"), version, "version must not be empty"));
        }
        for name in ["kind", "name", "uid"] {
            if text(name).is_empty() {
                causes.push(Cause::invalid(field(name), "", "must not be empty"));
            }
        }
        if version == "v1" && text("kind") == "Event" {
            let rule = "/v1, Kind=Event is disallowed from being an owner";
            causes.push(Cause::invalid_raw("metadata.ownerReferences", &shown_reference(owner), rule));
        }
        if owner["controller"] == true {
            let this = format!("{}/{}", text("kind"), text("name"));
            match &controller {
                None => controller = Some(this),
                Some(first) => {
                    let rule = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} \
                         and {this}"
                    );
                    let all: Vec<String> = owners.as_array().into_iter().flatten().map(shown_reference).collect();
                    let shown = format!("[{}]", all.join(","));
                    causes.push(Cause::invalid_raw("metadata.ownerReferences", &shown, &rule));
                }
            }
        }
    }
}

/// A reference as error messages show it.
fn shown_reference(owner: &Value) -> String {
    let fields = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
    let shown = fields.into_iter().filter_map(|field| Some(format!("\"{field}\":{}", owner.get(field)?)));
    format!("{{{}}}", shown.collect::<Vec<_>>().join(","))
}

fn finalizer_causes(finalizers: &Value, causes: &mut Vec<Cause>) {
    let names: Vec<&str> = finalizers.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for name in &names {
        causes.extend(key_problems(name).iter().map(|rule| Cause::invalid("metadata.finalizers", name, rule)));
    }
    if ["orphan", "foregroundDeletion"].iter().all(|name| names.contains(name)) {
        let rule = "finalizer orphan and foregroundDeletion cannot be both set";
        causes.push(Cause::invalid_raw("metadata.finalizers", &finalizers.to_string(), rule));
    }
}

/// The same for an update, which a real server checks several times over, and says so.
pub(crate) fn problems_of_update(object: &Value, kind: &Kind) -> Vec<Cause> {
    let checked_as_new = matches!(kind.kind.as_str(), "ConfigMap" | "Secret") && !kind.custom;
    let whole = problems_of(&object["metadata"], kind.traits);
    let is_checked_again = |cause: &&Cause| {
        let part = cause.field.strip_prefix("metadata.").unwrap_or_default();
        ["labels", "annotations", "ownerReferences"].iter().any(|checked| part.starts_with(checked))
    };
    let again: Vec<Cause> = whole.iter().filter(is_checked_again).cloned().collect();
    let as_new = if checked_as_new { problems(object, kind) } else { Vec::new() };
    let unqualified = unqualified_finalizers(object, kind);
    [whole, again.clone(), again, unqualified, as_new].into_iter().flatten().collect()
}

/// Removes what a client that creates an object may not say about it.
pub(crate) fn wipe(object: &mut Value) {
    let metadata = metadata_mut(object);
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        metadata.remove(field);
    }
}

/// Removes what a client may say and the storage drops: a dry run shows it.
pub(crate) fn drop_unstored(object: &mut Value) {
    metadata_mut(object).remove("selfLink");
}

/// Gives a new object what only the server may give.
pub(crate) fn stamp_new(object: &mut Value, uid: &str, now: Timestamp, kind: &Kind) {
    let metadata = metadata_mut(object);
    metadata.remove("resourceVersion");
    metadata.insert("uid".to_owned(), uid.into());
    metadata.insert("creationTimestamp".to_owned(), time(now));
    if kind.custom || kind.traits.generation {
        metadata.insert("generation".to_owned(), 1.into());
    }
}

/// Carries over what an update may leave out, and refuses what it may not change.
pub(crate) fn carry_over(old: &Value, new: &mut Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let metadata = metadata_mut(new);
    match &old["metadata"]["generation"] {
        Value::Null => metadata.remove("generation"),
        value => metadata.insert("generation".to_owned(), value.clone()),
    };
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let before = &old["metadata"][field];
        match metadata.get(field).filter(|value| !value.is_null()) {
            None if before.is_null() => {
                metadata.remove(field);
            }
            None => {
                metadata.insert(field.to_owned(), before.clone());
            }
            // What is said about these is passed over, once the server has said something.
            Some(_) if !before.is_null() && field.ends_with("Timestamp") => {
                metadata.insert(field.to_owned(), before.clone());
            }
            Some(value) if value != before => {
                let shown = value.as_str().map_or_else(|| value.to_string(), |text| format!("{text:?}"));
                causes.push(Cause::invalid_raw(format!("metadata.{field}"), &shown, "field is immutable"));
            }
            Some(_) => {}
        }
    }
    if is_deleting(old) {
        let known: HashSet<&str> = finalizers(old).into_iter().collect();
        let added: Vec<&str> = finalizers(new).into_iter().filter(|finalizer| !known.contains(finalizer)).collect();
        if !added.is_empty() {
            causes.push(Cause::forbidden(
                "metadata.finalizers",
                &format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers \
                     []string{{{}}}",
                    added.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
                ),
            ));
        }
    }
    causes
}

/// Drops empty maps and lists that the real server would not write out.
pub(crate) fn drop_empty(object: &mut Value) {
    let metadata = metadata_mut(object);
    metadata.retain(|field, value| match field.as_str() {
        "labels" | "annotations" => value.as_object().is_some_and(|map| !map.is_empty()),
        // An empty list removes all owners.
        "managedFields" => true,
        "finalizers" | "ownerReferences" => value.as_array().is_some_and(|list| !list.is_empty()),
        _ => !value.is_null() && value.as_str() != Some(""),
    });
}
