//! The widgets of the suite as a Rust type.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, CustomResource, api::ObjectMeta};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::case::Case;

#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(group = "conformance.example.com", version = "v1", kind = "Widget", namespaced)]
#[kube(status = "WidgetStatus")]
#[serde(rename_all = "camelCase")]
pub(crate) struct WidgetSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) color: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<i32>,
}

#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub(crate) struct WidgetStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ready: Option<bool>,
}

/// A widget of a size, not yet created.
pub(crate) fn sized(name: &str, size: i32) -> Widget {
    Widget::new(name, WidgetSpec { size: Some(size), color: None })
}

/// The test's widgets.
pub(crate) async fn widgets(case: &Case) -> Api<Widget> {
    case.widgets().await;
    Api::default_namespaced(case.client().await)
}

/// The test's `ConfigMap`s.
pub(crate) async fn maps(case: &Case) -> Api<ConfigMap> {
    Api::default_namespaced(case.client().await)
}

/// A `ConfigMap` with one value, not yet created.
pub(crate) fn map(name: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([("key".to_owned(), value.to_owned())])),
        ..ConfigMap::default()
    }
}
