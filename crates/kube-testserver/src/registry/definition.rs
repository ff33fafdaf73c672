//! The kind that a `CustomResourceDefinition` defines.

use std::sync::Arc;

use serde_json::Value;

use crate::registry::{
    column::{Column, Source},
    core_columns,
    kinds::{Kind, Scale, Traits, Version, resource_id},
    merge_schema::Schema,
    structural::node::Node,
};

/// The kind that a valid definition with this spec defines.
pub(crate) fn kind_of(spec: &Value) -> Kind {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names = &spec["names"];
    let (group, plural) = (text(&spec["group"]), text(&names["plural"]));
    let versions = spec["versions"].as_array().into_iter().flatten().map(version_of).collect();
    Kind {
        collection: resource_id(&group, &plural),
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
        traits: Traits { generation: true, ..Traits::default() },
    }
}

fn version_of(version: &Value) -> Version {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let openapi = version["schema"].get("openAPIV3Schema");
    let mut columns = vec![core_columns::name_column()];
    match version["additionalPrinterColumns"].as_array() {
        Some(declared) if !declared.is_empty() => columns.extend(declared.iter().map(|column| Column {
            name: text(&column["name"]),
            kind: text(&column["type"]),
            format: text(&column["format"]),
            description: text(&column["description"]),
            priority: column["priority"].as_i64().unwrap_or(0),
            source: Source::Path(text(&column["jsonPath"])),
        })),
        _ => columns.push(core_columns::created_column()),
    }
    let selectable = version["selectableFields"].as_array().into_iter().flatten();
    Version {
        name: text(&version["name"]),
        served: version["served"] == true,
        storage: version["storage"] == true,
        status: version["subresources"]["status"].is_object(),
        scale: scale_of(&version["subresources"]["scale"]),
        columns,
        selectable: selectable.map(|field| text(&field["jsonPath"]).trim_start_matches('.').to_owned()).collect(),
        schema: Schema::of_custom(openapi),
        structural: openapi.map(|schema| Arc::new(Node::of_resource(schema))),
        openapi: openapi.cloned(),
    }
}

fn scale_of(scale: &Value) -> Option<Scale> {
    let path = |key: &str| scale[key].as_str().map(str::to_owned);
    Some(Scale {
        spec_replicas: path("specReplicasPath")?,
        status_replicas: path("statusReplicasPath")?,
        label_selector: path("labelSelectorPath"),
    })
}

/// The texts in a list.
pub(crate) fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|word| Some(word.as_str()?.to_owned())).collect()
}
