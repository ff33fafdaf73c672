//! The kinds that are served: what a resource is called, how it is scoped and what is special about it.
//!
//! Core types are a static table; custom resources join through `definition`. Data only.

use std::sync::Arc;

use serde_json::Value;

use crate::registry::{
    column::Column,
    merge_schema::Schema,
    structural::{builtin, node::Node},
};

/// One resource of one API group.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "`kind` and `listKind` are what Kubernetes calls them")]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) versions: Vec<Version>,
    /// Where its objects are kept: `plural.group`. Two kinds may share a collection (the two `Event`s do).
    pub(crate) collection: String,
    /// Declared by a `CustomResourceDefinition`.
    pub(crate) custom: bool,
    pub(crate) traits: Traits,
}

/// What sets a core type apart from the usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a type, each read on its own")]
pub(crate) struct Traits {
    /// PUT without a resource version is refused.
    pub(crate) conditional_update: bool,
    /// PUT makes the object when there is none.
    pub(crate) create_on_update: bool,
    /// `metadata.generation` counts the changes of the spec.
    pub(crate) generation: bool,
    /// A delete answers the object instead of a Status.
    pub(crate) returns_deleted: bool,
    /// The name must be a DNS label, not only a subdomain.
    pub(crate) label_name: bool,
    /// The name may hold anything a path segment may (RBAC).
    pub(crate) segment_name: bool,
}

/// One served form of a resource.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) served: bool,
    pub(crate) storage: bool,
    pub(crate) status: bool,
    pub(crate) scale: Option<Scale>,
    pub(crate) columns: Vec<Column>,
    /// Field selectors besides `metadata.name` and `metadata.namespace`.
    pub(crate) selectable: Vec<String>,
    pub(crate) schema: Arc<Schema>,
    /// What its objects may hold; `None` for a core type without a schema here.
    pub(crate) structural: Option<Arc<Node>>,
    /// As the CRD declares it, for the `OpenAPI` documents.
    pub(crate) openapi: Option<Value>,
}

/// Where in an object the fields are that its `scale` subresource shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scale {
    pub(crate) spec_replicas: String,
    pub(crate) status_replicas: String,
    pub(crate) label_selector: Option<String>,
}

impl Kind {
    /// `group/version`, or the bare version for the core group.
    pub(crate) fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }

    /// The served version of this name.
    pub(crate) fn served(&self, version: &str) -> Option<usize> {
        self.versions.iter().position(|known| known.served && known.name == version)
    }

    /// The `apiVersion` objects are kept in.
    pub(crate) fn storage_api_version(&self) -> String {
        let version = self.versions.iter().find(|version| version.storage);
        self.api_version(version.map_or("v1", |version| &version.name))
    }

    /// The fields of the metadata that a write of the status may not change, where it may change the others.
    pub(crate) fn kept_by_status(&self) -> Option<&'static [&'static str]> {
        match self.plural.as_str() {
            _ if self.custom => None,
            "deployments" => Some(&["labels"]),
            "pods" => Some(&["ownerReferences"]),
            "certificatesigningrequests" => Some(&[]),
            _ => self.group.is_empty().then_some(&[]),
        }
    }

    /// Whether this is the resource `plural` of `group`.
    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }
}

/// `plural.group`, the name a CRD of it would have.
pub(crate) fn resource_id(group: &str, plural: &str) -> String {
    if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
}

/// A row of the table of core types.
struct Row {
    group: &'static str,
    plural: &'static str,
    kind: &'static str,
    short: &'static [&'static str],
    categories: &'static [&'static str],
    namespaced: bool,
    status: bool,
    selectable: &'static [&'static str],
    traits: Traits,
}

const PLAIN: Traits = Traits {
    conditional_update: false,
    create_on_update: false,
    generation: false,
    returns_deleted: false,
    label_name: false,
    segment_name: false,
};

const NAMESPACED: Row = Row {
    group: "",
    plural: "",
    kind: "",
    short: &[],
    categories: &[],
    namespaced: true,
    status: false,
    selectable: &[],
    traits: PLAIN,
};

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

const EVENT_FIELDS_NEW: &[&str] = &[
    "regarding.kind",
    "regarding.namespace",
    "regarding.name",
    "regarding.uid",
    "regarding.apiVersion",
    "regarding.resourceVersion",
    "regarding.fieldPath",
    "reason",
    "reportingController",
    "type",
];

const RBAC: Row = Row {
    group: "rbac.authorization.k8s.io",
    traits: Traits { segment_name: true, create_on_update: true, ..PLAIN },
    ..NAMESPACED
};

const CORE: &[Row] = &[
    Row { plural: "configmaps", kind: "ConfigMap", short: &["cm"], ..NAMESPACED },
    Row {
        plural: "events",
        kind: "Event",
        short: &["ev"],
        selectable: EVENT_FIELDS,
        traits: Traits { create_on_update: true, ..PLAIN },
        ..NAMESPACED
    },
    Row {
        plural: "namespaces",
        kind: "Namespace",
        short: &["ns"],
        namespaced: false,
        status: true,
        selectable: &["status.phase"],
        traits: Traits { label_name: true, ..PLAIN },
        ..NAMESPACED
    },
    Row {
        plural: "nodes",
        kind: "Node",
        short: &["no"],
        namespaced: false,
        status: true,
        selectable: &["spec.unschedulable"],
        ..NAMESPACED
    },
    Row {
        plural: "pods",
        kind: "Pod",
        short: &["po"],
        categories: &["all"],
        status: true,
        selectable: &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        traits: Traits { generation: true, returns_deleted: true, ..PLAIN },
        ..NAMESPACED
    },
    Row { plural: "secrets", kind: "Secret", selectable: &["type"], ..NAMESPACED },
    Row {
        plural: "serviceaccounts",
        kind: "ServiceAccount",
        short: &["sa"],
        traits: Traits { conditional_update: true, returns_deleted: true, ..PLAIN },
        ..NAMESPACED
    },
    Row {
        plural: "services",
        kind: "Service",
        short: &["svc"],
        categories: &["all"],
        status: true,
        selectable: &["spec.clusterIP", "spec.type"],
        traits: Traits { create_on_update: true, returns_deleted: true, label_name: true, ..PLAIN },
        ..NAMESPACED
    },
    Row {
        group: "apiextensions.k8s.io",
        plural: "customresourcedefinitions",
        kind: "CustomResourceDefinition",
        short: &["crd", "crds"],
        categories: &["api-extensions"],
        namespaced: false,
        status: true,
        traits: Traits { conditional_update: true, generation: true, ..PLAIN },
        ..NAMESPACED
    },
    Row {
        group: "apps",
        plural: "deployments",
        kind: "Deployment",
        short: &["deploy"],
        categories: &["all"],
        status: true,
        traits: Traits { generation: true, ..PLAIN },
        ..NAMESPACED
    },
    Row {
        group: "certificates.k8s.io",
        plural: "certificatesigningrequests",
        kind: "CertificateSigningRequest",
        short: &["csr"],
        namespaced: false,
        status: true,
        selectable: &["spec.signerName"],
        ..NAMESPACED
    },
    Row {
        group: "coordination.k8s.io",
        plural: "leases",
        kind: "Lease",
        traits: Traits { conditional_update: true, create_on_update: true, ..PLAIN },
        ..NAMESPACED
    },
    Row {
        group: "events.k8s.io",
        plural: "events",
        kind: "Event",
        short: &["ev"],
        selectable: EVENT_FIELDS_NEW,
        traits: Traits { create_on_update: true, ..PLAIN },
        ..NAMESPACED
    },
    Row { plural: "clusterrolebindings", kind: "ClusterRoleBinding", namespaced: false, ..RBAC },
    Row { plural: "clusterroles", kind: "ClusterRole", namespaced: false, ..RBAC },
    Row { plural: "rolebindings", kind: "RoleBinding", ..RBAC },
    Row { plural: "roles", kind: "Role", ..RBAC },
];

/// The kinds every cluster has.
pub(crate) fn core() -> Vec<Arc<Kind>> {
    CORE.iter().map(|row| Arc::new(row.kind())).collect()
}

impl Row {
    fn kind(&self) -> Kind {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let openapi = builtin::of_core(self.kind);
        Kind {
            group: self.group.to_owned(),
            plural: self.plural.to_owned(),
            singular: self.kind.to_lowercase(),
            kind: self.kind.to_owned(),
            list_kind: format!("{}List", self.kind),
            short_names: owned(self.short),
            categories: owned(self.categories),
            namespaced: self.namespaced,
            versions: vec![Version {
                name: "v1".to_owned(),
                served: true,
                storage: true,
                status: self.status,
                scale: None,
                columns: crate::registry::core_columns::of_core(self.kind),
                selectable: owned(self.selectable),
                schema: Schema::of_core(self.kind),
                structural: openapi.as_ref().map(|schema| Arc::new(Node::parse(schema))),
                openapi,
            }],
            collection: if self.kind == "Event" { "events".to_owned() } else { resource_id(self.group, self.plural) },
            custom: false,
            traits: self.traits,
        }
    }
}
