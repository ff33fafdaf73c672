//! Which objects of a kind a list or watch is about.

use serde_json::Value;

use crate::{
    api::store::objects::Stored,
    registry::{json_path::json_path, view::View},
    wire::select::{FieldSelector, LabelSelector},
};

/// Which objects of a kind a list or watch is about.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    /// All namespaces if there is none.
    pub(crate) namespace: Option<String>,
    pub(crate) labels: LabelSelector,
    pub(crate) fields: FieldSelector,
}

impl Selection {
    /// Whether an object is among them. Only fields other than its name cost a parse.
    pub(crate) fn matches(&self, view: &View, stored: &Stored) -> bool {
        if self.namespace.as_ref().is_some_and(|namespace| **namespace != *stored.key.namespace) {
            return false;
        }
        if !self.labels.matches(|key| stored.label(key)) {
            return false;
        }
        if self.fields.is_empty() {
            return true;
        }
        let parsed = std::cell::OnceCell::new();
        self.fields.matches(|field| match field {
            "metadata.name" => stored.key.name.to_string(),
            "metadata.namespace" => stored.key.namespace.to_string(),
            other => field_text(parsed.get_or_init(|| view.value(stored)), other),
        })
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}

/// A selectable field's value as text; what is not set is empty, or `false` where the type says so.
fn field_text(object: &Value, field: &str) -> String {
    let found = match field {
        "source" => &object["source"]["component"],
        _ => json_path(object, &format!(".{field}")).first().copied().unwrap_or(&Value::Null),
    };
    match found {
        Value::String(text) => text.clone(),
        Value::Null if matches!(field, "spec.unschedulable" | "spec.hostNetwork") => "false".to_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
