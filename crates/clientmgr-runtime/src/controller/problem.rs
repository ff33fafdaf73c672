//! [`ConfigProblem`]: why the spec of a `Cluster` gives no configuration. Each text begins with the field that is wrong.

use clientmgr_kube::{ConnectError, ConnectErrorKind, ConnectedAt, NamespacedName};
use jiff::{SignedDuration, Timestamp};

use crate::source::SourceError;

/// How far a revision may be ahead of this process's clock. Clocks differ by less.
const TOLERANCE: SignedDuration = SignedDuration::from_hours(24);

/// Why the spec of a `Cluster` gives no configuration to connect with.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// The Secret was not read yet.
    #[error("spec.connection.kubeconfig.secretRef.name: secret {secret} is being read")]
    SecretPending {
        /// The Secret.
        secret: NamespacedName,
    },

    /// The Secret does not exist.
    #[error("spec.connection.kubeconfig.secretRef.name: secret {secret} does not exist: create it")]
    SecretNotFound {
        /// The Secret.
        secret: NamespacedName,
    },

    /// The Secret lacks the key.
    #[error("spec.connection.kubeconfig.secretRef.key: secret {secret} has no key {key:?}: correct one of them")]
    SecretKeyNotFound {
        /// The Secret.
        secret: NamespacedName,
        /// The key.
        key: String,
    },

    /// The controller may not read the Secret.
    #[error(
        "spec.connection.kubeconfig.secretRef.name: secret {secret} is forbidden: allow the controller to get, list and \
         watch it"
    )]
    SecretForbidden {
        /// The Secret.
        secret: NamespacedName,
    },

    /// The hub's API server did not give the Secret.
    #[error(
        "spec.connection.kubeconfig.secretRef.name: secret {secret} cannot be read: the hub's API server failed, and is \
         asked again"
    )]
    SecretUnavailable {
        /// The Secret.
        secret: NamespacedName,
    },

    /// The kubeconfig in the Secret is broken, or the policy denies something in it.
    #[error("spec.connection.kubeconfig.secretRef: key {key:?} of secret {secret}: {error}")]
    Kubeconfig {
        /// The Secret.
        secret: NamespacedName,
        /// The key.
        key: String,
        /// What is wrong; it names the field of the kubeconfig.
        error: ConnectError,
    },

    /// The context of the controller's kubeconfig is missing or broken.
    #[error("spec.connection.context.name: {error}")]
    Context {
        /// What is wrong.
        error: ConnectError,
    },

    /// The controller's kubeconfig was not read yet.
    #[error("spec.connection.context: the controller's kubeconfig is being read")]
    ContextsPending,

    /// The controller's kubeconfig cannot be read.
    #[error("spec.connection.context: the controller's kubeconfig: {error}")]
    ContextFile {
        /// What is wrong.
        error: SourceError,
    },

    /// The controller was started without contexts.
    #[error("spec.connection.context: contexts are not allowed: start the controller with allow_contexts")]
    ContextsNotAllowed,

    /// The controller does not run in a cluster.
    #[error("spec.connection.inCluster: {error}")]
    InCluster {
        /// What is wrong.
        error: ConnectError,
    },

    /// The controller was started without its own cluster.
    #[error("spec.connection.inCluster: the controller's own cluster is not allowed: start it with allow_in_cluster")]
    InClusterNotAllowed,

    /// The connection is of a kind that this version does not know.
    #[error("spec.connection: this version of the controller does not know the kind of connection: update it")]
    UnknownConnection,

    /// The status names a revision that is more than a day ahead of the clock: another writer, or a clock, was wrong.
    #[error(
        "status.connectedAt: {connected_at} is more than a day ahead of the controller's clock. Correct the clock, \
         or remove the field with `kubectl edit --subresource=status`: the connection in use stays, and is written again"
    )]
    RevisionAhead {
        /// The revision.
        connected_at: ConnectedAt,
    },
}

impl ConfigProblem {
    /// Returns what is wrong with a revision that a status names.
    pub(super) fn of_revision(connected_at: Option<ConnectedAt>, now: Timestamp) -> Option<Self> {
        let connected_at = connected_at?;
        let latest = now.saturating_add(TOLERANCE).unwrap_or(Timestamp::MAX);
        (connected_at.as_unix_micros() > latest.as_microsecond()).then_some(Self::RevisionAhead { connected_at })
    }

    /// Returns the revision that a status names and that is refused.
    pub(super) fn refused_revision(&self) -> Option<ConnectedAt> {
        match self {
            Self::RevisionAhead { connected_at } => Some(*connected_at),
            _ => None,
        }
    }

    /// Returns the reason, as the conditions of the `Cluster` have it.
    pub fn reason(&self) -> String {
        match self {
            Self::SecretPending { .. } => "SecretPending".to_owned(),
            Self::SecretNotFound { .. } => "SecretNotFound".to_owned(),
            Self::SecretKeyNotFound { .. } => "SecretKeyNotFound".to_owned(),
            Self::SecretForbidden { .. } => "SecretForbidden".to_owned(),
            Self::SecretUnavailable { .. } => "SecretUnavailable".to_owned(),
            Self::Kubeconfig { error, .. } | Self::Context { error } | Self::InCluster { error } => reason_of(error),
            Self::ContextsPending => "ContextsPending".to_owned(),
            Self::ContextFile { error } => reason_of_kind(error.kind()),
            Self::ContextsNotAllowed | Self::InClusterNotAllowed => "NotAllowed".to_owned(),
            Self::UnknownConnection => "UnknownConnection".to_owned(),
            Self::RevisionAhead { .. } => "RevisionAhead".to_owned(),
        }
    }
}

/// Returns the reason of an error of the fleet: the name of its kind.
pub(super) fn reason_of(error: &ConnectError) -> String {
    reason_of_kind(error.kind())
}

pub(super) fn reason_of_kind(kind: ConnectErrorKind) -> String {
    format!("{kind:?}")
}
