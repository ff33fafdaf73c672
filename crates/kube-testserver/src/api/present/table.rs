//! The Table form of objects: what `kubectl get` prints.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{api::present::partial::metadata_only, registry::column::Column, wire::negotiate::Include};

/// One object's row.
pub(crate) fn row(columns: &[Column], object: &Value, include: Include, now: Timestamp) -> Value {
    let cells: Vec<Value> = columns.iter().map(|column| column.cell(object, now)).collect();
    let object = match include {
        Include::Nothing => Value::Null,
        Include::Metadata => metadata_only(object),
        Include::Object => object.clone(),
    };
    json!({"cells": cells, "object": object})
}

/// Rows under their headings (which a watch sends only once).
pub(crate) fn table(columns: &[Column], rows: &[Value], metadata: &Value, headings: bool) -> Value {
    let definitions: Value = if headings { columns.iter().map(Column::definition).collect() } else { Value::Null };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions, "rows": rows,
    })
}
