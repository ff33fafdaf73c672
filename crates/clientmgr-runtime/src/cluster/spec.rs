//! The spec of a [`Cluster`]: how to connect it. The rules that the API server checks stand beside the fields.
#![expect(unreachable_pub, reason = "the derive of the schema repeats each type inside a function")]
#![expect(clippy::duplicated_attributes, reason = "columns of one type, each in its own list")]

use std::collections::BTreeMap;

use clientmgr_kube::{ClusterObject, ConnectedAt, ResourceName as _};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions::{ConditionType, find_condition};
use super::status::ClusterStatus;

/// The key of a Secret that is read where a [`SecretKeyRef`] names none.
const DEFAULT_KEY: &str = "kubeconfig";

/// How to connect a cluster, and as whom.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[kube(
    group = "clientmgr.dev",
    version = "v1alpha1",
    kind = "Cluster",
    plural = "clusters",
    shortname = "cmc",
    category = "clientmgr",
    namespaced,
    status = "ClusterStatus",
    derive = "PartialEq",
    doc = "A cluster that controllers connect to. Its status says whether it is connected, and under which revision.",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(
        name = "Connected",
        type_ = "date",
        description = "How long ago this incarnation of the cluster was first connected",
        json_path = ".status.connectedAt"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Paused", type_ = "boolean", priority = 1, json_path = ".spec.paused"),
    printcolumn(name = "Identity", type_ = "string", priority = 1, json_path = ".status.identity"),
    printcolumn(name = "Expires", type_ = "string", priority = 1, json_path = ".status.credentialsExpireAt"),
    printcolumn(name = "Error", type_ = "string", priority = 1, json_path = ".status.error")
)]
#[x_kube(
    validation = Rule::new("self.epoch >= oldSelf.epoch").message("epoch may only grow: raise it to reset the cluster"),
    validation = Rule::new(
        "!has(self.connection.docker) || (!has(self.defaultNamespace) && !has(self.impersonate))"
    ).message("a docker cluster has no Kubernetes client: remove defaultNamespace and impersonate")
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSpec {
    /// How to reach the cluster. Set exactly one of the fields.
    pub connection: Connection,

    /// The namespace that clients use where a request names none. By default the one of the kubeconfig's context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub default_namespace: Option<String>,

    /// The user that requests are made as. The connection's own user needs the right to impersonate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impersonate: Option<Impersonation>,

    /// While true, changes of this object and of its Secret have no effect. An existing connection stays.
    #[serde(default)]
    pub paused: bool,

    /// Raise it to reset all state that controllers keep on the cluster. It may only grow.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub epoch: i64,
}

/// How to reach a cluster: exactly one of the fields is set.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new(
        "(has(self.kubeconfig) ? 1 : 0) + (has(self.inCluster) ? 1 : 0) + (has(self.context) ? 1 : 0) + (has(self.docker) ? 1 : 0) == 1"
    ).message("set exactly one of kubeconfig, inCluster, context and docker")
)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// By a kubeconfig in a Secret of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<KubeconfigConnection>,

    /// The cluster that the controller runs in, by the service account of its Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_cluster: Option<InClusterConnection>,

    /// By a context of the kubeconfig on the controller's machine. The controller must be started with contexts allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextConnection>,

    /// A Docker engine: a valid cluster that has no Kubernetes client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<DockerConnection>,
}

/// A kubeconfig in a Secret.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KubeconfigConnection {
    /// The Secret.
    pub secret_ref: SecretKeyRef,

    /// The context of the kubeconfig; by default its `current-context`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub context: Option<String>,
}

/// A key of a Secret in the same namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The name of the Secret.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,

    /// The key in the Secret's data.
    #[serde(default = "default_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

fn default_key() -> String {
    DEFAULT_KEY.to_owned()
}

impl SecretKeyRef {
    /// Returns a reference to the key `kubeconfig` of the Secret `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), key: default_key() }
    }
}

/// The cluster that the controller runs in. It has no fields.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct InClusterConnection {}

/// A context of the kubeconfig on the controller's machine.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ContextConnection {
    /// The name of the context.
    #[schemars(length(min = 1, max = 1024))]
    pub name: String,
}

/// A Docker engine.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct DockerConnection {
    /// The address of the engine, as `DOCKER_HOST` has it: `unix:///var/run/docker.sock`.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^(unix|npipe|tcp|ssh|http|https|fd)://"))]
    pub host: String,
}

/// The user that requests are made as.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Impersonation {
    /// The user's name.
    #[schemars(length(min = 1, max = 1024))]
    pub user: String,

    /// The user's UID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub uid: Option<String>,

    /// The user's groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 1024)))]
    pub groups: Vec<String>,

    /// Extra fields of the user, each with its values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

impl From<Impersonation> for clientmgr_kube::Impersonation {
    fn from(Impersonation { user, uid, groups, extra }: Impersonation) -> Self {
        Self { user, uid, groups, extra }
    }
}

/// Which of the fields of a [`Connection`] is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionKind<'a> {
    /// A kubeconfig in a Secret.
    Kubeconfig(&'a KubeconfigConnection),
    /// The cluster that the controller runs in.
    InCluster,
    /// A context of the kubeconfig on the controller's machine.
    Context(&'a ContextConnection),
    /// A Docker engine.
    Docker(&'a DockerConnection),
}

impl Connection {
    /// Returns the connection by the kubeconfig in a Secret.
    pub fn by_secret(secret: SecretKeyRef) -> Self {
        let kubeconfig = KubeconfigConnection { secret_ref: secret, context: None };
        Self { kubeconfig: Some(kubeconfig), ..Self::default() }
    }

    /// Returns the field that is set. `None` where none or several are, which the API server refuses, or where it is one
    /// that this version does not know.
    pub fn kind(&self) -> Option<ConnectionKind<'_>> {
        match (&self.kubeconfig, &self.in_cluster, &self.context, &self.docker) {
            (Some(kubeconfig), None, None, None) => Some(ConnectionKind::Kubeconfig(kubeconfig)),
            (None, Some(_), None, None) => Some(ConnectionKind::InCluster),
            (None, None, Some(context), None) => Some(ConnectionKind::Context(context)),
            (None, None, None, Some(docker)) => Some(ConnectionKind::Docker(docker)),
            _ => None,
        }
    }
}

impl ClusterSpec {
    /// Returns a spec with this connection and nothing else.
    pub fn new(connection: Connection) -> Self {
        Self { connection, default_namespace: None, impersonate: None, paused: false, epoch: 0 }
    }
}

impl Cluster {
    /// Returns whether the condition [`Connected`](super::ConditionType::Connected) is true: the cluster answered when the
    /// status was written. During an outage a reconcile has nothing to do; the recovery brings its object back.
    ///
    /// This is what the status says. No status is written while the Cluster is paused, or while no process writes: then ask
    /// for the client and act on its error.
    pub fn is_connected(&self) -> bool {
        let conditions = self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        find_condition(conditions, ConditionType::Connected).is_some_and(|condition| condition.status == "True")
    }
}

impl ClusterObject for Cluster {
    fn cluster_name(&self) -> (&str, &str) {
        self.namespace_and_name()
    }

    fn connected_at(&self) -> Option<ConnectedAt> {
        self.status.as_ref()?.connected_at
    }
}
