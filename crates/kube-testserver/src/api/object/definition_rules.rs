//! What is valid in a `CustomResourceDefinition`, and what the server fills in.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::{
    api::object::meta,
    registry::{json_path::is_known_path, structural::structure},
    wire::{status::Cause, syntax::is_subdomain},
};

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
    let schemas: Vec<&Value> = versions.iter().map(|version| &version["schema"]["openAPIV3Schema"]).collect();
    // A real server keeps a schema that all versions share in one place, and names that.
    let shared = schemas.iter().all(|schema| Some(schema) == schemas.first());
    for (at, schema) in
        schemas.into_iter().enumerate().filter(|(at, schema)| schema.is_object() && (*at == 0 || !shared))
    {
        let path = if shared {
            "spec.validation.openAPIV3Schema".to_owned()
        } else {
            format!("spec.versions[{at}].schema.openAPIV3Schema")
        };
        causes.extend(structure::problems(schema, &path));
    }
    let mut seen = HashSet::new();
    for (at, version) in versions.iter().enumerate() {
        let name = text(&version["name"]);
        if name.is_empty() || !is_subdomain(&name) {
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
