//! Definitions of custom resources: checked, accepted, and turned into kinds that are served.
//!
//! Schemas are stored and read for how lists merge; objects are neither validated against them nor pruned
//! nor defaulted. Versions are not converted: an object looks the same in all of them.

use std::{collections::HashSet, sync::Arc};

use serde_json::{Value, json};

use super::{
    columns,
    kinds::{Kind, Version, shelf_id},
    meta,
    schema::Schema,
    status::Cause,
    store::{Key, Stored},
    table::{Column, Source, is_known_path},
    watch::Store,
};

/// Keeps a definition until its objects are gone.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

fn is_definition(kind: &Kind) -> bool {
    kind.is("apiextensions.k8s.io", "customresourcedefinitions")
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|word| Some(word.as_str()?.to_owned())).collect()
}

/// Defaults of the spec.
pub(crate) fn fill_in(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").filter(|spec| spec.is_object()) else { return };
    if spec["conversion"].is_null() {
        spec["conversion"] = json!({"strategy": "None"});
    }
    let kind = spec["names"]["kind"].as_str().unwrap_or_default().to_owned();
    let Some(names) = spec["names"].as_object_mut() else { return };
    names.entry("singular").or_insert_with(|| kind.to_lowercase().into());
    names.entry("listKind").or_insert_with(|| format!("{kind}List").into());
}

/// What is wrong with a definition.
pub(crate) fn problems(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = &object["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (group, plural) = (text(&spec["group"]), text(&spec["names"]["plural"]));
    let name = meta::text(object, "name");
    if name != format!("{plural}.{group}") {
        let rule = format!("must be spec.names.plural+\".\"+spec.group ({plural}.{group})");
        causes.push(Cause::invalid("metadata.name", name, &rule));
    }
    if group.is_empty() {
        causes.push(Cause::required("spec.group", ""));
    } else if !meta::is_subdomain(&group) || !group.contains('.') {
        causes.push(Cause::invalid("spec.group", &group, "should be a domain with at least one dot"));
    }
    match spec["scope"].as_str() {
        Some("Namespaced" | "Cluster") => {}
        None | Some("") => causes.push(Cause::required("spec.scope", "")),
        Some(other) => {
            causes.push(Cause::not_supported("spec.scope", other, &["Cluster", "Namespaced"]));
        }
    }
    for field in ["plural", "kind"] {
        if text(&spec["names"][field]).is_empty() {
            causes.push(Cause::required(format!("spec.names.{field}"), ""));
        }
    }
    if !matches!(spec["conversion"]["strategy"].as_str(), None | Some("None")) {
        causes.push(Cause::not_supported(
            "spec.conversion.strategy",
            &text(&spec["conversion"]["strategy"]),
            &["None"],
        ));
    }
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if versions.is_empty() {
        causes.push(Cause::required("spec.versions", "must have at least one version"));
    }
    let storing = versions.iter().filter(|version| version["storage"] == true).count();
    if !versions.is_empty() && storing != 1 {
        let rule = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid_raw("spec.versions", "[]", rule));
    }
    let mut seen = HashSet::new();
    for (at, version) in versions.iter().enumerate() {
        let name = text(&version["name"]);
        if name.is_empty() || !meta::is_subdomain(&name) {
            let rule = "a DNS-1035 label must consist of lower case alphanumeric characters or '-'";
            causes.push(Cause::invalid(format!("spec.versions[{at}].name"), &name, rule));
        }
        if !seen.insert(name.clone()) {
            let rule = "must contain unique version names";
            causes.push(Cause::invalid(format!("spec.versions[{at}].name"), &name, rule));
        }
        if !version["schema"]["openAPIV3Schema"].is_object() {
            let field = format!("spec.versions[{at}].schema.openAPIV3Schema");
            causes.push(Cause::required(field, "schemas are required"));
        }
        for (column, declared) in version["additionalPrinterColumns"].as_array().into_iter().flatten().enumerate() {
            let path = text(&declared["jsonPath"]);
            if !is_known_path(&path) {
                let field = format!("spec.versions[{at}].additionalPrinterColumns[{column}].jsonPath");
                causes.push(Cause::invalid(field, &path, "is no JSON path this server can read"));
            }
        }
    }
    if let Some(old) = old {
        for (field, path) in [
            ("group", "/spec/group"),
            ("scope", "/spec/scope"),
            ("names.plural", "/spec/names/plural"),
            ("names.kind", "/spec/names/kind"),
        ] {
            if old.pointer(path) != object.pointer(path) {
                let value = object.pointer(path).map(text).unwrap_or_default();
                causes.push(Cause::invalid(format!("spec.{field}"), &value, "field is immutable"));
            }
        }
    }
    causes
}

/// Accepts a definition's names and establishes it: its status, written with it.
pub(crate) fn settle(store: &Store, kind: &Kind, object: &mut Value) {
    if !is_definition(kind) || meta::is_deleting(object) {
        return;
    }
    let spec = &object["spec"];
    let taken = name_conflict(store, spec);
    let since = object["metadata"]["creationTimestamp"].clone();
    let condition = |kind: &str, status: bool, reason: &str, message: &str| {
        json!({
            "type": kind, "status": if status { "True" } else { "False" }, "reason": reason,
            "message": message, "lastTransitionTime": since,
        })
    };
    let conditions = match &taken {
        None => [
            condition("NamesAccepted", true, "NoConflicts", "no conflicts found"),
            condition("Established", true, "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        Some(conflict) => [
            condition("NamesAccepted", false, "KindConflict", conflict),
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
    let accepted = if taken.is_none() { spec["names"].clone() } else { json!({"plural": "", "kind": ""}) };
    object["status"] = json!({
        "conditions": conditions, "acceptedNames": accepted, "storedVersions": stored,
    });
}

/// Another kind of the group that already has one of these names.
fn name_conflict(store: &Store, spec: &Value) -> Option<String> {
    let (group, plural, kind) = (&spec["group"], &spec["names"]["plural"], &spec["names"]["kind"]);
    store
        .kinds()
        .filter(|known| *group == *known.group && *plural != *known.plural)
        .find(|known| *kind == *known.kind || *plural == *known.singular)
        .map(|known| format!("{kind} is already in use by {}", shelf_id(&known.group, &known.plural)))
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
    let conditions = object["status"]["conditions"].as_array();
    let established = conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Established" && condition["status"] == "True");
    if established {
        store.serve(Arc::new(kind_of(&object["spec"])));
    }
}

/// Stops serving what a definition defined; lets a definition go when its last object went.
pub(crate) fn after_removal(store: &mut Store, kind: &Kind, gone: &Stored) {
    if is_definition(kind) {
        let spec = &gone.value()["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        store.withdraw(&text(&spec["group"]), &text(&spec["names"]["plural"]));
    } else if kind.custom {
        finish_deletion(store, &shelf_id(&kind.group, &kind.plural));
    }
}

/// Prepares a definition for its deletion: it waits for its objects.
pub(crate) fn hold_for_objects(store: &Store, kind: &Kind, object: &mut Value) {
    let name = meta::text(object, "name").to_owned();
    let waits = is_definition(kind) && store.shelf(&name).is_some_and(|shelf| shelf.len() > 0);
    if waits && !meta::finalizers(object).contains(&CLEANUP) {
        let mut finalizers: Vec<Value> = meta::finalizers(object).into_iter().map(Value::from).collect();
        finalizers.push(CLEANUP.into());
        meta::metadata_mut(object).insert("finalizers".to_owned(), finalizers.into());
    }
}

/// Lets a definition that is being deleted go once nothing of its kind is left.
pub(crate) fn finish_deletion(store: &mut Store, name: &str) {
    const SHELF: &str = "customresourcedefinitions.apiextensions.k8s.io";
    let key = Key::new("", name);
    let Some(mut object) = store.find(SHELF, &key).map(|stored| stored.value()) else { return };
    let empty = store.shelf(name).is_none_or(|shelf| shelf.len() == 0);
    if !empty || !meta::is_deleting(&object) || !meta::finalizers(&object).contains(&CLEANUP) {
        return;
    }
    let left: Vec<Value> =
        meta::finalizers(&object).into_iter().filter(|name| *name != CLEANUP).map(Value::from).collect();
    let gone = left.is_empty();
    meta::metadata_mut(&mut object).insert("finalizers".to_owned(), left.into());
    meta::tidy(&mut object);
    if gone {
        let (group, plural) = (object["spec"]["group"].clone(), object["spec"]["names"]["plural"].clone());
        store.remove(SHELF, &key, object);
        store.withdraw(group.as_str().unwrap_or_default(), plural.as_str().unwrap_or_default());
    } else {
        store.put(SHELF, key, object);
    }
}

fn kind_of(spec: &Value) -> Kind {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names = &spec["names"];
    let (group, plural) = (text(&spec["group"]), text(&names["plural"]));
    let versions = spec["versions"].as_array().into_iter().flatten().map(version_of).collect();
    Kind {
        shelf: shelf_id(&group, &plural),
        group,
        plural,
        singular: text(&names["singular"]),
        kind: text(&names["kind"]),
        list_kind: text(&names["listKind"]),
        short_names: words(&names["shortNames"]),
        categories: words(&names["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        versions,
        custom: true,
        traits: super::kinds::Traits { generation: true, ..super::kinds::Traits::default() },
    }
}

fn version_of(version: &Value) -> Version {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let openapi = version["schema"].get("openAPIV3Schema");
    let mut columns = vec![columns::name_column()];
    match version["additionalPrinterColumns"].as_array() {
        Some(declared) if !declared.is_empty() => columns.extend(declared.iter().map(|column| Column {
            name: text(&column["name"]),
            kind: text(&column["type"]),
            format: text(&column["format"]),
            description: text(&column["description"]),
            priority: column["priority"].as_i64().unwrap_or(0),
            source: Source::Path(text(&column["jsonPath"])),
        })),
        _ => columns.push(columns::created_column()),
    }
    let selectable = version["selectableFields"].as_array().into_iter().flatten();
    Version {
        name: text(&version["name"]),
        served: version["served"] == true,
        storage: version["storage"] == true,
        status: version["subresources"]["status"].is_object(),
        scale: version["subresources"]["scale"].is_object(),
        columns,
        selectable: selectable.map(|field| text(&field["jsonPath"]).trim_start_matches('.').to_owned()).collect(),
        schema: Schema::of_custom(openapi),
        openapi: openapi.cloned(),
    }
}
