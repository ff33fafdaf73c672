//! The objects that tests send.

use serde_json::{Value, json};

/// The API group of the widgets that all tests share.
pub(crate) const WIDGET_GROUP: &str = "conformance.example.com";

pub(crate) fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}})
}

pub(crate) fn labelled(mut object: Value, key: &str, value: &str) -> Value {
    object["metadata"]["labels"][key] = value.into();
    object
}

/// A widget: a custom resource with a status of its own.
pub(crate) fn widget(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("{WIDGET_GROUP}/v1"), "kind": "Widget", "metadata": {"name": name}, "spec": spec,
    })
}

/// The same, with nothing but a status to say.
pub(crate) fn widget_status(name: &str, status: &Value) -> Value {
    json!({
        "apiVersion": format!("{WIDGET_GROUP}/v1"), "kind": "Widget", "metadata": {"name": name}, "status": status,
    })
}

/// The definition of widgets in a group.
pub(crate) fn widgets(group: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {
                "plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList",
                "shortNames": ["wd"], "categories": ["conformance"],
            },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "selectableFields": [{"jsonPath": ".spec.color"}],
                "additionalPrinterColumns": [
                    {"name": "Color", "type": "string", "jsonPath": ".spec.color"},
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size", "priority": 1},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {
                        "color": {"type": "string"}, "size": {"type": "integer"},
                        "parts": {"type": "array", "items": {"type": "string"}},
                    }},
                    "status": {"type": "object", "properties": {
                        "ready": {"type": "boolean"},
                        "conditions": {
                            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
                            "items": {
                                "type": "object", "required": ["type"],
                                "properties": {"type": {"type": "string"}, "status": {"type": "string"}},
                            },
                        },
                    }},
                }}},
            }],
        },
    })
}

/// A deployment of some containers. Nothing runs it: neither server has a controller manager.
pub(crate) fn deployment(name: &str, containers: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}},
        },
    })
}

pub(crate) fn rv(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().expect("a resource version")
}

pub(crate) fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().expect("a UID")
}

pub(crate) fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("a list");
    items.iter().map(|item| item["metadata"]["name"].as_str().expect("a name")).collect()
}

/// The managers of the object's fields, each as `manager operation subresource`.
pub(crate) fn managers(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array();
    let mut managers: Vec<String> = entries
        .into_iter()
        .flatten()
        .map(|entry| {
            let text = |field: &str| entry[field].as_str().unwrap_or("-").to_owned();
            format!("{} {} {}", text("manager"), text("operation"), text("subresource"))
        })
        .collect();
    managers.sort();
    managers
}
