//! `PartialObjectMetadata`: an object without its content.

use serde_json::{Value, json};

/// An object's `PartialObjectMetadata`.
pub(crate) fn metadata_only(value: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": value["metadata"],
    })
}
