//! The target of a write: which object, by whom and how.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    api::{
        merge::{field_set::Fields, manager::Manager},
        object::meta,
        store::objects::Key,
    },
    registry::view::View,
    wire::status::Status,
};

/// Which object is written, by whom and how.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) view: View,
    pub(crate) key: Key,
    pub(crate) subresource: Subresource,
    pub(crate) dry_run: bool,
    pub(crate) manager: Manager,
    pub(crate) now: Timestamp,
}

/// The part of the object a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subresource {
    /// All but the status, where that is a part of its own.
    Main,
    /// The status alone.
    Status,
    /// The number of replicas that a custom resource wants.
    Scale,
    /// A namespace's `spec.finalizers`.
    Finalize,
    /// The conditions of a certificate signing request.
    Approval,
    /// A pod's `spec.ephemeralContainers`.
    EphemeralContainers,
}

impl Target {
    fn group(&self) -> &str {
        &self.view.kind.group
    }

    fn plural(&self) -> &str {
        &self.view.kind.plural
    }

    /// The same, by a manager that applies and will own `fields`.
    pub(crate) fn applying(mut self, fields: Fields) -> Self {
        self.manager.applied = Some(fields);
        self
    }

    /// 404 for this object.
    pub(crate) fn not_found(&self) -> Status {
        Status::not_found(self.group(), self.plural(), &self.key.name)
    }

    /// 409 for this object.
    pub(crate) fn conflict(&self, why: &str) -> Status {
        Status::conflict(self.group(), self.plural(), &self.key.name, why)
    }

    /// 409 if an object that would be new says which one it is: that one is gone.
    pub(crate) fn expects_nothing(&self, object: &Value, style: Style) -> Result<(), Status> {
        match (meta::text(object, "uid"), style) {
            ("", _) => Ok(()),
            (uid, Style::Apply) => Err(self.conflict(&format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            ))),
            (uid, _) => {
                Err(self.conflict(&format!("Precondition failed: UID in precondition: {uid}, UID in object meta: ")))
            }
        }
    }

    pub(crate) fn has_status(&self) -> bool {
        self.view.kind.versions[self.view.version].status
    }

    /// Checks that the namespace and name of an object agree with the URL, and sets the namespace: an object of the cluster
    /// loses the one it names.
    pub(crate) fn place(&self, object: &mut Value) -> Result<(), Status> {
        let namespace = meta::text(object, "namespace");
        if self.view.kind.namespaced && !namespace.is_empty() && *namespace != *self.key.namespace {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        let name = meta::text(object, "name");
        if !self.key.name.is_empty() && name.is_empty() {
            return Err(Status::bad_request(format!(
                "the name of the object ({} based on URL) was undeterminable: name must be provided",
                self.key.name
            )));
        }
        if !self.key.name.is_empty() && *name != *self.key.name {
            return Err(Status::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                self.key.name
            )));
        }
        let metadata = meta::metadata_mut(object);
        if self.view.kind.namespaced {
            metadata.insert("namespace".to_owned(), (&*self.key.namespace).into());
        } else {
            metadata.remove("namespace");
        }
        Ok(())
    }
}

/// What an update does beyond replacing the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// PUT: the client's object, which must say on what it is based where the kind wants it so.
    Replace,
    /// PATCH: derived from the current object.
    Derive,
    /// Server-side apply: records the owners of fields itself.
    Apply,
}
