//! How lists and maps of a kind merge: what server-side apply and strategic merge patches go by.
//!
//! A tree that follows the object: granular maps, atomic values, sets, and lists keyed by some of their
//! fields. It comes from a table for core types and from the `OpenAPI` schema for custom resources. It says
//! nothing about which values are valid.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use serde_json::Value;

/// What happens to a value that two parties write.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Shape {
    /// Maps merge key by key, lists are replaced.
    #[default]
    Granular,
    /// Owned and replaced as a whole.
    Atomic,
    /// A list of scalars that merges by value.
    Set,
    /// A list that merges by these fields of its items, each with its default.
    Keyed(Vec<(String, Option<Value>)>),
}

/// One node of the tree.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Schema {
    pub(crate) shape: Shape,
    of: Types,
    fields: BTreeMap<String, Schema>,
    items: Option<Box<Schema>>,
}

/// Whose node it is: what is known of fields that no table and no schema names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Types {
    /// A custom resource's: they are entries of free maps.
    #[default]
    Custom,
    /// A custom resource itself.
    CustomRoot,
    /// A core type's: they are fields of structs, for no core type served here has a map of maps that is owned entry by
    /// entry.
    Core,
}

/// Everything that is not declared: maps merge, lists are replaced.
static FREE: LazyLock<Schema> = LazyLock::new(Schema::default);
static FREE_OF_CORE: LazyLock<Schema> = LazyLock::new(|| Schema { of: Types::Core, ..Schema::default() });

/// Fields of core types that are written out even when they are empty, so that no write adds or removes them.
/// Names are enough because they are unambiguous among the kinds served. When you add a kind, extend this: `DaemonSet`
/// has an `updateStrategy` and `CronJob` a `jobTemplate`.
const ALWAYS_THERE: [&str; 14] = [
    "metadata",
    "spec",
    "status",
    "template",
    "strategy",
    "containers",
    "resources",
    "source",
    "deprecatedSource",
    "loadBalancer",
    "nodeInfo",
    "daemonEndpoints",
    "names",
    "acceptedNames",
];

/// `path rule` lines: `path[]` steps into a list's items, a rule is `set`, `atomic`, or the keys of the list.
const META: &[(&str, &str)] = &[
    ("metadata.finalizers", "set"),
    ("metadata.ownerReferences", "uid="),
    ("metadata.ownerReferences[]", "atomic"),
    ("metadata.annotations", "map"),
    ("metadata.labels", "map"),
];

const POD: &[(&str, &str)] = &[
    ("containers", "name"),
    ("initContainers", "name"),
    ("ephemeralContainers", "name"),
    ("volumes", "name"),
    ("imagePullSecrets", "name"),
    ("imagePullSecrets[]", "atomic"),
    ("hostAliases", "ip"),
    ("topologySpreadConstraints", "topologyKey,whenUnsatisfiable"),
    ("topologySpreadConstraints[].labelSelector", "atomic"),
    ("schedulingGates", "name"),
    ("resourceClaims", "name"),
    ("nodeSelector", "atomic"),
    ("affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution", "atomic"),
    ("volumes[].cephfs.secretRef", "atomic"),
    ("volumes[].cinder.secretRef", "atomic"),
    ("volumes[].csi.nodePublishSecretRef", "atomic"),
    ("volumes[].ephemeral.volumeClaimTemplate.spec.dataSource", "atomic"),
    ("volumes[].ephemeral.volumeClaimTemplate.spec.selector", "atomic"),
    ("volumes[].flexVolume.secretRef", "atomic"),
    ("volumes[].iscsi.secretRef", "atomic"),
    ("volumes[].rbd.secretRef", "atomic"),
    ("volumes[].scaleIO.secretRef", "atomic"),
    ("volumes[].storageos.secretRef", "atomic"),
];

const CONTAINER: &[(&str, &str)] = &[
    ("ports", "containerPort,protocol=TCP"),
    ("env", "name"),
    ("env[].valueFrom.configMapKeyRef", "atomic"),
    ("env[].valueFrom.fieldRef", "atomic"),
    ("env[].valueFrom.resourceFieldRef", "atomic"),
    ("env[].valueFrom.secretKeyRef", "atomic"),
    ("volumeMounts", "mountPath"),
    ("volumeDevices", "devicePath"),
    ("resources.claims", "name"),
];

impl Schema {
    /// The schema of a core kind.
    pub(crate) fn of_core(kind: &str) -> Arc<Self> {
        let mut root = Self { of: Types::Core, ..Self::default() };
        root.add_all("", META);
        let rules: &[(&str, &str)] = match kind {
            "Pod" => &[("status.conditions", "type"), ("status.podIPs", "ip")],
            "Deployment" => &[("spec.selector", "atomic"), ("status.conditions", "type")],
            "Service" => {
                &[("spec.ports", "port,protocol=TCP"), ("spec.selector", "atomic"), ("status.conditions", "type")]
            }
            "Node" => &[("status.conditions", "type"), ("status.addresses", "type"), ("spec.podCIDRs", "set")],
            "CertificateSigningRequest" | "CustomResourceDefinition" | "Namespace" => &[("status.conditions", "type")],
            "ServiceAccount" => &[("secrets", "name"), ("secrets[]", "atomic")],
            "Event" => &[("involvedObject", "atomic"), ("regarding", "atomic"), ("related", "atomic")],
            "RoleBinding" | "ClusterRoleBinding" => &[("roleRef", "atomic")],
            _ => &[],
        };
        root.add_all("", rules);
        match kind {
            "Pod" => root.add_pod("spec."),
            "Deployment" => {
                root.add_all("spec.template.", META);
                root.add_pod("spec.template.spec.");
            }
            _ => {}
        }
        Arc::new(root)
    }

    fn add_pod(&mut self, prefix: &str) {
        self.add_all(prefix, POD);
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            self.add_all(&format!("{prefix}{list}[]."), CONTAINER);
        }
    }

    fn add_all(&mut self, prefix: &str, rules: &[(&str, &str)]) {
        let of = if self.of == Types::Core { Types::Core } else { Types::Custom };
        for (path, rule) in rules {
            let mut node = &mut *self;
            for step in format!("{prefix}{path}").split('.') {
                let (field, into_items) = step.strip_suffix("[]").map_or((step, false), |field| (field, true));
                node = node.fields.entry(field.to_owned()).or_default();
                node.of = of;
                if into_items {
                    node = node.items.get_or_insert_default();
                    node.of = of;
                }
            }
            node.shape = match *rule {
                "set" => Shape::Set,
                "atomic" => Shape::Atomic,
                "map" => Shape::Granular,
                keys => Shape::Keyed(
                    keys.split(',')
                        .map(|key| match key.split_once('=') {
                            Some((key, default)) => (key.to_owned(), Some(default.into())),
                            None => (key.to_owned(), None),
                        })
                        .collect(),
                ),
            };
        }
    }

    /// The schema of a custom resource, read off the `x-kubernetes-*` extensions of its `OpenAPI` schema.
    pub(crate) fn of_custom(openapi: Option<&Value>) -> Arc<Self> {
        let mut root = openapi.map(Self::from_openapi).unwrap_or_default();
        root.of = Types::CustomRoot;
        root.fields.remove("metadata");
        root.add_all("", META);
        Arc::new(root)
    }

    fn from_openapi(openapi: &Value) -> Self {
        let text = |key: &str| openapi.get(key).and_then(Value::as_str);
        let items = openapi.get("items");
        let shape = match (text("x-kubernetes-list-type"), text("x-kubernetes-map-type")) {
            (_, Some("atomic")) | (Some("atomic"), _) => Shape::Atomic,
            (Some("set"), _) => Shape::Set,
            (Some("map"), _) => {
                let keys = openapi.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
                let default_of = |key: &str| items?.get("properties")?.get(key)?.get("default").cloned();
                Shape::Keyed(
                    keys.into_iter()
                        .flatten()
                        .filter_map(Value::as_str)
                        .map(|key| (key.to_owned(), default_of(key)))
                        .collect(),
                )
            }
            _ => Shape::Granular,
        };
        let fields = openapi.get("properties").and_then(Value::as_object);
        let mut node = Self {
            shape,
            of: Types::Custom,
            fields: fields
                .into_iter()
                .flatten()
                .map(|(name, field)| (name.clone(), Self::from_openapi(field)))
                .collect(),
            items: items
                .or_else(|| openapi.get("additionalProperties"))
                .filter(|inner| inner.is_object())
                .map(|inner| Box::new(Self::from_openapi(inner))),
        };
        if openapi["x-kubernetes-embedded-resource"] == true {
            node.fields.entry("apiVersion".to_owned()).or_default();
            node.fields.entry("kind".to_owned()).or_default();
            node.fields.remove("metadata");
            node.add_all("", META);
        }
        node
    }

    /// The node below a field or map key.
    pub(crate) fn field(&self, name: &str) -> &Self {
        self.fields.get(name).or(self.items.as_deref()).unwrap_or(self.free())
    }

    /// The node of a list's items.
    pub(crate) fn item(&self) -> &Self {
        self.items.as_deref().unwrap_or(self.free())
    }

    fn free(&self) -> &'static Self {
        if self.is_core() { &FREE_OF_CORE } else { &FREE }
    }

    /// Whether it is of a core type, which is written out without the fields that are empty.
    pub(crate) fn is_core(&self) -> bool {
        self.of == Types::Core
    }

    /// Whether a map or list called `name` is a declared field here, so that owning what is below does not mean
    /// owning it.
    pub(crate) fn declares(&self, name: &str) -> bool {
        self.is_core() || self.fields.contains_key(name)
    }

    /// Whether a map or list called `name` is there even when it is empty.
    pub(crate) fn has_always(&self, name: &str) -> bool {
        match self.of {
            Types::Custom => false,
            Types::CustomRoot => name == "metadata",
            Types::Core => ALWAYS_THERE.contains(&name),
        }
    }
}

/// The identity of a keyed list's item: its key fields, canonical, without those that are missing; `None` when all are.
pub(crate) fn item_key(item: &Value, keys: &[(String, Option<Value>)]) -> Option<String> {
    let mut found = BTreeMap::new();
    for (key, default) in keys {
        if let Some(value) = item.get(key).or(default.as_ref()) {
            found.insert(key.as_str(), value);
        }
    }
    (!found.is_empty()).then(|| serde_json::to_string(&found).ok())?
}
