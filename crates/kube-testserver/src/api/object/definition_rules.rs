//! What is valid in a `CustomResourceDefinition`, and what the server fills in.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::{
    api::object::{meta, schema},
    registry::{
        json_path::is_known_path,
        structural::{node::Node, structure},
    },
    wire::{
        status::Cause,
        syntax::{dns_1035_problems, is_subdomain},
    },
};

/// How many fields of a version a list can be restricted by.
const MOST_SELECTABLE: usize = 8;

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
    let (group, plural) = (text(&spec["group"]), text(&spec["names"]["plural"]));
    let name = meta::text(object, "name");
    if name != format!("{plural}.{group}") {
        let rule = format!("must be spec.names.plural+\".\"+spec.group ({plural}.{group})");
        causes.push(Cause::invalid("metadata.name", name, &rule));
    }
    if group.is_empty() {
        causes.push(Cause::required("spec.group", ""));
    } else if !is_subdomain(&group) || !group.contains('.') {
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
    name_problems(&spec["names"], &mut causes);
    if spec["preserveUnknownFields"] == true {
        let rule =
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        causes.push(Cause::invalid_raw("spec.preserveUnknownFields", "true", rule));
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
    shared_problems(versions, &mut causes);
    version_problems(versions, &mut causes);
    if let Some(old) = old {
        change_problems(object, old, versions, &mut causes);
    }
    causes
}

/// What is wrong with the parts that the versions may share. A real server keeps such a part in one place, and names
/// that.
fn shared_problems(versions: &[Value], causes: &mut Vec<Cause>) {
    let schemas: Vec<&Value> = versions.iter().map(|version| &version["schema"]["openAPIV3Schema"]).collect();
    let shared = schemas.iter().all(|schema| Some(schema) == schemas.first());
    for (at, schema) in
        schemas.into_iter().enumerate().filter(|(at, schema)| schema.is_object() && (*at == 0 || !shared))
    {
        let path = if shared {
            "spec.validation.openAPIV3Schema".to_owned()
        } else {
            format!("spec.versions[{at}].schema.openAPIV3Schema")
        };
        let wrong = structure::problems(schema, &path);
        // A default is checked by a schema that is structural.
        if wrong.is_empty() {
            schema::default_problems(&Node::of_resource(schema), &path, causes);
        }
        causes.extend(wrong);
    }
    for (at, version) in versions.iter().enumerate() {
        let shares = |field: &str| versions.iter().all(|other| other[field] == version[field]);
        let path = |field: &str| {
            if shares(field) { format!("spec.{field}") } else { format!("spec.versions[{at}].{field}") }
        };
        if at == 0 || !shares("additionalPrinterColumns") {
            column_problems(&version["additionalPrinterColumns"], &path("additionalPrinterColumns"), causes);
        }
        if at == 0 || !shares("selectableFields") {
            selectable_problems(version, &path("selectableFields"), causes);
        }
        if at == 0 || !shares("subresources") {
            scale_problems(&version["subresources"]["scale"], &path("subresources"), causes);
        }
    }
}

/// What is wrong with each version.
fn version_problems(versions: &[Value], causes: &mut Vec<Cause>) {
    let mut seen = HashSet::new();
    for (at, version) in versions.iter().enumerate() {
        let name = text(&version["name"]);
        let wrong = dns_1035_problems(&name);
        if !wrong.is_empty() {
            causes.push(Cause::invalid(format!("spec.versions[{at}].name"), &name, &wrong.join(",")));
            // A real server keeps the name of the first version in a deprecated field as well.
            if at == 0 {
                causes.push(Cause::invalid("spec.version", &name, &wrong.join(",")));
            }
        }
        if !seen.insert(name.clone()) {
            let rule = "must contain unique version names";
            causes.push(Cause::invalid(format!("spec.versions[{at}].name"), &name, rule));
        }
        if !version["schema"]["openAPIV3Schema"].is_object() {
            let field = format!("spec.versions[{at}].schema.openAPIV3Schema");
            causes.push(Cause::required(field, "schemas are required"));
        }
        if version["deprecationWarning"].is_string() && version["deprecated"] != true {
            let field = format!("spec.versions[{at}].deprecationWarning");
            causes.push(Cause::invalid(
                field,
                &text(&version["deprecationWarning"]),
                "can only be set for deprecated versions",
            ));
        }
        for (column, declared) in version["additionalPrinterColumns"].as_array().into_iter().flatten().enumerate() {
            let path = text(&declared["jsonPath"]);
            if !is_known_path(&path) {
                let field = format!("spec.versions[{at}].additionalPrinterColumns[{column}].jsonPath");
                causes.push(Cause::invalid(field, &path, "is no JSON path this server can read"));
            }
        }
    }
}

/// What a change of a definition may not do.
fn change_problems(object: &Value, old: &Value, versions: &[Value], causes: &mut Vec<Cause>) {
    let stored = old["status"]["storedVersions"].as_array().into_iter().flatten();
    for (at, name) in stored.enumerate().filter(|(_, name)| versions.iter().all(|version| version["name"] != **name)) {
        let rule = format!(
            "missing from spec.versions; {} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {} and removes {} from status.storedVersions",
            text(name),
            text(name),
            text(name)
        );
        causes.push(Cause::invalid(format!("status.storedVersions[{at}]"), &text(name), &rule));
    }
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

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What is wrong with the names of the kind.
fn name_problems(names: &Value, causes: &mut Vec<Cause>) {
    let text = |field: &str| names[field].as_str().unwrap_or_default();
    let mut check = |field: String, name: &str, mixed: bool| {
        let lower = name.to_lowercase();
        let wrong = dns_1035_problems(if mixed { &lower } else { name });
        if !name.is_empty() && !wrong.is_empty() {
            let prefix = if mixed { "may have mixed case, but should otherwise match: " } else { "" };
            causes.push(Cause::invalid(field, name, &format!("{prefix}{}", wrong.join(","))));
        }
    };
    for (field, mixed) in [("plural", false), ("singular", false), ("kind", true), ("listKind", true)] {
        check(format!("spec.names.{field}"), text(field), mixed);
    }
    for list in ["shortNames", "categories"] {
        for (at, name) in names[list].as_array().into_iter().flatten().enumerate() {
            check(format!("spec.names.{list}[{at}]"), name.as_str().unwrap_or_default(), false);
        }
    }
    if !text("kind").is_empty() && text("kind") == text("listKind") {
        let rule = "kind and listKind may not be the same";
        causes.push(Cause::invalid("spec.names.listKind", text("listKind"), rule));
    }
}

/// What is wrong with the columns of a table.
fn column_problems(columns: &Value, path: &str, causes: &mut Vec<Cause>) {
    const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
    for (at, column) in columns.as_array().into_iter().flatten().enumerate() {
        let text = |field: &str| column[field].as_str().unwrap_or_default();
        let field = |name: &str| format!("{path}[{at}].{name}");
        if text("name").is_empty() {
            causes.push(Cause::required(field("name"), ""));
        }
        let rule = format!("must be one of {}", TYPES.join(","));
        match text("type") {
            "" => causes.push(Cause::required(field("type"), &rule)),
            kind if !TYPES.contains(&kind) => causes.push(Cause::invalid(field("type"), kind, &rule)),
            _ => {}
        }
        match text("jsonPath") {
            "" => causes.push(Cause::required(field("JSONPath"), "")),
            path if !path.starts_with('.') => {
                causes.push(Cause::invalid(field("JSONPath"), path, "must be a simple json path starting with ."));
            }
            _ => {}
        }
    }
}

/// What is wrong with the fields that a list can be restricted by.
fn selectable_problems(version: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut known = HashSet::new();
    for (at, selectable) in version["selectableFields"].as_array().into_iter().flatten().enumerate() {
        let (field, named) = (format!("{path}[{at}].jsonPath"), text(&selectable["jsonPath"]));
        if named.is_empty() {
            causes.push(Cause::required(field, ""));
            continue;
        }
        let found = match selected(&version["schema"]["openAPIV3Schema"], &named) {
            Ok(schema) => schema["type"].as_str().unwrap_or_default(),
            Err(why) => {
                causes.push(Cause::invalid(field, &named, &format!("is an invalid path: {why}")));
                continue;
            }
        };
        if named.starts_with(".metadata.") {
            causes.push(Cause::invalid(&field, &named, "must not point to fields in metadata"));
        }
        if !matches!(found, "string" | "boolean" | "integer") {
            let rule = "must point to a field of type string, boolean or integer. Enum string fields and strings with \
                        formats are allowed.";
            causes.push(Cause::invalid(&field, &named, rule));
        }
        if !known.insert(named.clone()) {
            let message = format!("Duplicate value: {named:?}");
            causes.push(Cause { reason: "FieldValueDuplicate", message, field });
        }
    }
    if known.len() > MOST_SELECTABLE {
        let message = format!("Too many: {}: must have at most {MOST_SELECTABLE} items", known.len());
        causes.push(Cause { reason: "FieldValueTooMany", message, field: path.to_owned() });
    }
}

/// The schema of the field at a path such as `.spec.size`.
fn selected<'a>(schema: &'a Value, path: &str) -> Result<&'a Value, &'static str> {
    let mut found = schema;
    let mut names = path.split('.');
    if names.next() != Some("") || path == "." {
        return Err(if path.contains('[') {
            "array notation is not allowed"
        } else {
            "does not refer to a valid field"
        });
    }
    for name in names {
        if name.contains(['[', ']']) {
            return Err("array notation is not allowed");
        }
        found = found["properties"].get(name).ok_or("does not refer to a valid field")?;
    }
    Ok(found)
}

/// What is wrong with the paths of the scale.
fn scale_problems(scale: &Value, path: &str, causes: &mut Vec<Cause>) {
    if !scale.is_object() {
        return;
    }
    for (name, below) in [("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")] {
        let (field, value) = (format!("{path}.scale.{name}"), scale[name].as_str().unwrap_or_default());
        if value.is_empty() {
            causes.push(Cause::required(field, ""));
        } else if !value.starts_with('.') {
            causes.push(Cause::invalid(field, value, "must be a simple json path starting with ."));
        } else if !value.starts_with(&format!("{below}.")) {
            causes.push(Cause::invalid(field, value, &format!("should be a json path under {below}")));
        }
    }
    let selector = scale["labelSelectorPath"].as_str().unwrap_or_default();
    if !selector.is_empty() && !selector.starts_with(".spec.") && !selector.starts_with(".status.") {
        let rule = "should be a json path under either .spec or .status";
        causes.push(Cause::invalid(format!("{path}.scale.labelSelectorPath"), selector, rule));
    }
}
