//! Object metadata: what it may look like, what the server fills in, what may change.
//!
//! Pure functions over one object, or over an old and a new one.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{
    registry::kinds::{Kind, Traits},
    wire::{
        status::{Cause, Status},
        syntax::{LABEL_RULE, LABEL_VALUE_RULE, SUBDOMAIN_RULE, check_key, is_label, is_label_value, is_subdomain},
    },
};

/// How large all annotations of an object may be together, in bytes.
const MOST_ANNOTATED: usize = 256 * 1024;

/// A time as `metav1.Time` writes it.
pub(crate) fn time(now: Timestamp) -> Value {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()
}

fn name_problem(name: &str, traits: Traits, prefix: bool) -> Option<&'static str> {
    // A prefix may end where the random letters go on.
    let name = if prefix { name.trim_end_matches('-') } else { name };
    if traits.segment_name {
        return (matches!(name, "." | "..") || name.contains(['/', '%']))
            .then_some("may not be '.' or '..', or contain '/' or '%'");
    }
    if traits.label_name {
        return match name {
            long if long.len() > 63 => Some("must be no more than 63 characters"),
            name => (!is_label(name)).then_some(LABEL_RULE),
        };
    }
    match name {
        long if long.len() > 253 => Some("must be no more than 253 characters"),
        name => (!is_subdomain(name)).then_some(SUBDOMAIN_RULE),
    }
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

/// Refuses what a typed decoder could not even read: 400, as the real server says it.
pub(crate) fn check_shape(object: &Value, kind: &Kind, version: &str) -> Result<(), Status> {
    let refuse = |field: &str, wanted: &str| {
        let name = &kind.kind;
        Err(Status::bad_request(format!(
            "{name} in version {version:?} cannot be handled as a {name}: json: cannot unmarshal into Go struct \
             field ObjectMeta.{field} of type {wanted}"
        )))
    };
    if !object.is_object() {
        return Err(Status::bad_request(format!(
            "couldn't get version/kind; json parse error: {} must be a JSON object",
            kind.kind
        )));
    }
    let metadata = match &object["metadata"] {
        Value::Null => return Ok(()),
        Value::Object(metadata) => metadata,
        _ => return refuse("metadata", "v1.ObjectMeta"),
    };
    for (field, value) in metadata.iter().filter(|(_, value)| !value.is_null()) {
        let strings = |mut values: Box<dyn Iterator<Item = &Value> + '_>| values.all(Value::is_string);
        let (fine, wanted) = match field.as_str() {
            "name" | "namespace" | "generateName" | "uid" | "resourceVersion" | "selfLink" => {
                (value.is_string(), "string")
            }
            "creationTimestamp" | "deletionTimestamp" => {
                (value.as_str().is_some_and(|time| time.parse::<Timestamp>().is_ok()), "v1.Time")
            }
            "generation" | "deletionGracePeriodSeconds" => (value.is_i64(), "int64"),
            "labels" | "annotations" => {
                (value.as_object().is_some_and(|map| strings(Box::new(map.values()))), "map[string]string")
            }
            "finalizers" => (value.as_array().is_some_and(|list| strings(Box::new(list.iter()))), "[]string"),
            "ownerReferences" | "managedFields" => {
                (value.as_array().is_some_and(|list| list.iter().all(Value::is_object)), "[]v1.OwnerReference")
            }
            _ => (true, ""),
        };
        if !fine {
            return refuse(field, wanted);
        }
    }
    Ok(())
}

/// All that is wrong with an object's metadata.
pub(crate) fn problems(object: &Value, kind: &Kind) -> Vec<Cause> {
    let mut causes = Vec::new();
    let prefix = text(object, "generateName");
    if !prefix.is_empty()
        && let Some(rule) = name_problem(prefix, kind.traits, true)
    {
        causes.push(Cause::invalid("metadata.generateName", prefix, rule));
    }
    let name = text(object, "name");
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if let Some(rule) = name_problem(name, kind.traits, false) {
        causes.push(Cause::invalid("metadata.name", name, rule));
    }
    let metadata = &object["metadata"];
    for (key, value) in metadata["labels"].as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        if let Err(rule) = check_key(key) {
            let rule = rule.split_once(": name part").map_or("", |(_, rule)| rule);
            causes.push(Cause::invalid("metadata.labels", key, &format!("name part{rule}")));
        }
        if !is_label_value(value) {
            causes.push(Cause::invalid("metadata.labels", value, LABEL_VALUE_RULE));
        }
    }
    for (key, _) in metadata["annotations"].as_object().into_iter().flatten() {
        if let Err(rule) = check_key(&key.to_lowercase()) {
            let rule = rule.split_once(": name part").map_or("", |(_, rule)| rule);
            causes.push(Cause::invalid("metadata.annotations", key, &format!("name part{rule}")));
        }
    }
    let size = |(key, value): (&String, &Value)| key.len() + value.as_str().map_or(0, str::len);
    if metadata["annotations"].as_object().into_iter().flatten().map(size).sum::<usize>() > MOST_ANNOTATED {
        causes.push(Cause::too_long("metadata.annotations", MOST_ANNOTATED));
    }
    let standard = ["kubernetes", "orphan", "foregroundDeletion"];
    for (at, finalizer) in finalizers(object).into_iter().enumerate() {
        if check_key(finalizer).is_err() {
            causes.push(Cause::invalid(
                "metadata.finalizers",
                finalizer,
                "name part must consist of alphanumeric characters, '-', '_' or '.'",
            ));
        } else if !kind.custom && !finalizer.contains('/') && !standard.contains(&finalizer) {
            causes.push(Cause::invalid(
                format!("metadata.finalizers[{at}]"),
                finalizer,
                "name is neither a standard finalizer name nor is it fully qualified",
            ));
        }
    }
    for (at, owner) in metadata["ownerReferences"].as_array().into_iter().flatten().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner[field].as_str().unwrap_or_default().is_empty() {
                causes.push(Cause::invalid(format!("metadata.ownerReferences[{at}].{field}"), "", "must not be empty"));
            }
        }
    }
    let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
    let controllers: Vec<&str> = owners
        .filter(|owner| owner["controller"] == true)
        .map(|owner| owner["name"].as_str().unwrap_or_default())
        .collect();
    if let [.., one, other] = controllers.as_slice() {
        let rule = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {one} and {other}"
        );
        causes.push(Cause::invalid("metadata.ownerReferences", "", &rule));
    }
    causes
}

/// The same for an update, which a real server checks several times over, and says so.
pub(crate) fn problems_of_update(object: &Value, kind: &Kind) -> Vec<Cause> {
    let checked_as_new = matches!(kind.kind.as_str(), "ConfigMap" | "Secret") && !kind.custom;
    let times = if checked_as_new { 4 } else { 3 };
    let causes = problems(object, kind);
    std::iter::repeat_n(causes, times).flatten().collect()
}

/// Gives a new object what only the server may give, and takes what no client may set.
pub(crate) fn stamp_new(object: &mut Value, uid: &str, now: Timestamp, kind: &Kind) {
    let metadata = metadata_mut(object);
    for field in ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        metadata.remove(field);
    }
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
    metadata.remove("selfLink");
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
        "finalizers" | "ownerReferences" | "managedFields" => value.as_array().is_some_and(|list| !list.is_empty()),
        _ => !value.is_null() && value.as_str() != Some(""),
    });
}
