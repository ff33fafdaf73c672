//! How a stored object looks to one client: in its API version and in the form it asked for.

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    api::{
        object::schema,
        present::{partial::metadata_only, table},
        store::objects::Stored,
    },
    registry::view::View,
    wire::{negotiate::Format, status::Status},
};

impl View {
    /// The object, parsed, in this version.
    pub(crate) fn value(&self, stored: &Stored) -> Value {
        let mut value = stored.value();
        schema::bring_up_to_date(self, &mut value);
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

    /// Writes the object's JSON as an item of a list, whose type says what its items are.
    pub(crate) fn write_item(&self, stored: &Stored, body: &mut Vec<u8>) {
        if self.is_storage_form() {
            body.push(b'{');
            body.extend_from_slice(stored.untyped());
            return;
        }
        let mut value = self.value(stored);
        if let Some(fields) = value.as_object_mut() {
            fields.remove("kind");
            fields.remove("apiVersion");
        }
        body.extend_from_slice(value.to_string().as_bytes());
    }

    /// One object in the form the client wants.
    pub(crate) fn render(&self, stored: &Stored, format: Format, now: Timestamp) -> Result<Bytes, Status> {
        match format {
            Format::Object => Ok(self.json(stored)),
            Format::Metadata => Ok(Bytes::from(metadata_only(&self.value(stored)).to_string())),
            Format::Table(include) => {
                let value = self.value(stored);
                let rows = vec![table::row(self.columns(), &value, include, now)];
                let metadata = json!({"resourceVersion": stored.rv.to_string()});
                let table = table::table(self.columns(), &rows, &metadata, true);
                Ok(Bytes::from(table.to_string()))
            }
            Format::MetadataList if self.kind.custom => {
                Err(Status::failure(StatusCode::INTERNAL_SERVER_ERROR, "", "content is not a list"))
            }
            Format::MetadataList => Err(Status::not_acceptable(
                "you requested PartialObjectMetadataList, but the requested object is not a list",
            )),
        }
    }
}
