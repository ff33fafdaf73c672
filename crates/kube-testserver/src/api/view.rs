//! How a stored object looks to one client: in its API version and in the form it asked for.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{kinds::Kind, negotiate::Format, status::Status, store::Stored, table};

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
    /// The version's `apiVersion`.
    pub(crate) fn api_version(&self) -> String {
        self.kind.api_version(&self.kind.versions[self.version].name)
    }

    fn renames_events(&self) -> bool {
        self.kind.group == "events.k8s.io"
    }

    fn is_storage_form(&self) -> bool {
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
        value["kind"] = self.kind.kind.as_str().into();
    }

    /// From the stored version to the client's.
    pub(crate) fn show(&self, value: &mut Value) {
        if self.renames_events() {
            rename(value, EVENT_FIELDS);
        }
        value["apiVersion"] = self.api_version().into();
    }

    /// The object, parsed, in this version.
    pub(crate) fn value(&self, stored: &Stored) -> Value {
        let mut value = stored.value();
        // An object stored before the storage version changed keeps the old one.
        self.show(&mut value);
        value
    }

    /// The object's JSON in this version.
    pub(crate) fn json(&self, stored: &Stored) -> Bytes {
        if self.is_storage_form() && !self.kind.custom {
            return stored.json.clone();
        }
        let value = self.value(stored);
        Bytes::from(value.to_string())
    }

    /// One object in the form the client wants.
    pub(crate) fn render(&self, stored: &Stored, format: Format, now: Timestamp) -> Result<Bytes, Status> {
        match format {
            Format::Object => Ok(self.json(stored)),
            Format::Metadata => Ok(Bytes::from(metadata_only(&self.value(stored)).to_string())),
            Format::Table(include) => {
                let value = self.value(stored);
                let rows = vec![table::row(self, &value, include, now)];
                let metadata = json!({"resourceVersion": stored.rv.to_string()});
                let table = table::table(self, &rows, &metadata, true);
                Ok(Bytes::from(table.to_string()))
            }
            Format::MetadataList => Err(Status::not_acceptable(
                "you requested PartialObjectMetadataList, but the requested object is not a list",
            )),
        }
    }
}

/// An object's `PartialObjectMetadata`.
pub(crate) fn metadata_only(value: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": value["metadata"],
    })
}

fn rename(value: &mut Value, fields: [(&str, &str); 7]) {
    let Some(object) = value.as_object_mut() else { return };
    for (from, to) in fields {
        if let Some(value) = object.remove(from) {
            object.insert(to.to_owned(), value);
        }
    }
}
