//! A kind in one of its versions, and how objects go from one version to another.

use std::{borrow::Cow, sync::Arc};

use serde_json::Value;

use crate::registry::{column::Column, kinds::Kind};

/// A kind in one version.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) kind: Arc<Kind>,
    pub(crate) version: usize,
}

/// Renamings between the two forms of Event: as stored (core/v1), and in events.k8s.io.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

impl View {
    /// The version's columns in a Table.
    pub(crate) fn columns(&self) -> &[Column] {
        &self.kind.versions[self.version].columns
    }

    /// The version's `apiVersion`.
    pub(crate) fn api_version(&self) -> String {
        self.kind.api_version(&self.kind.versions[self.version].name)
    }

    /// Whether the version is one of events.k8s.io, whose fields have other names than the stored ones.
    pub(crate) fn renames_events(&self) -> bool {
        self.kind.group == "events.k8s.io"
    }

    /// Whether objects are stored in this very version.
    pub(crate) fn is_storage_form(&self) -> bool {
        self.kind.versions[self.version].storage && !self.renames_events()
    }

    /// From the client's version to the stored one.
    pub(crate) fn store(&self, value: &mut Value) {
        if self.renames_events() {
            rename(value, EVENT_FIELDS.map(|(core, new)| (new, core)));
            value["apiVersion"] = "v1".into();
        } else {
            value["apiVersion"] = self.kind.storage_api_version().into();
        }
        if !self.kind.custom {
            value["kind"] = self.kind.kind.as_str().into();
        }
    }

    /// A stored object under the field names of this version.
    pub(crate) fn renamed<'a>(&self, value: &'a Value) -> Cow<'a, Value> {
        if !self.renames_events() {
            return Cow::Borrowed(value);
        }
        let mut renamed = value.clone();
        rename(&mut renamed, EVENT_FIELDS);
        Cow::Owned(renamed)
    }

    /// A stored object in this version.
    pub(crate) fn shown<'a>(&self, value: &'a Value) -> Cow<'a, Value> {
        if value["apiVersion"] == self.api_version() {
            return Cow::Borrowed(value);
        }
        let mut shown = value.clone();
        self.show(&mut shown);
        Cow::Owned(shown)
    }

    /// From the stored version to the client's.
    pub(crate) fn show(&self, value: &mut Value) {
        if self.renames_events() {
            rename(value, EVENT_FIELDS);
        }
        value["apiVersion"] = self.api_version().into();
    }
}

fn rename(value: &mut Value, fields: [(&str, &str); 7]) {
    let Some(object) = value.as_object_mut() else { return };
    for (from, to) in fields {
        if let Some(value) = object.remove(from) {
            object.insert(to.to_owned(), value);
        }
    }
}
