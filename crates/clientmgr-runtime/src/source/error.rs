//! [`SourceError`]: what is wrong with one cluster's declaration, or with a source as a whole. Names the field in the words
//! of what declares the cluster, and never holds a secret.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clientmgr_kube::kube::{self, runtime::watcher};
use clientmgr_kube::{ClusterConfig, ConnectError, ConnectErrorKind, NamespacedName};

use crate::watching::Failure;

/// What is wrong with one cluster's declaration, or with a source as a whole.
///
/// [`field`](Self::field) names the field of a declaration. Cheap to clone.
///
/// # Examples
///
/// ```
/// use clientmgr_kube::k8s_openapi::api::core::v1::Secret;
/// use clientmgr_runtime::source::KubeconfigFormat;
///
/// let error = KubeconfigFormat::multicluster_runtime().config(&Secret::default()).unwrap_err();
/// assert_eq!(error.to_string(), "data.kubeconfig: it is missing");
/// assert_eq!(error.field(), Some("data.kubeconfig"));
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A field is missing.
    #[error("{field}: it is missing")]
    Missing {
        /// The path of the field.
        field: String,
    },

    /// A field does not have the form that it should have.
    #[error("{field}: it is not {expected}")]
    Malformed {
        /// The path of the field.
        field: String,
        /// What it should be.
        expected: &'static str,
    },

    /// A field is not supported.
    #[error("{field}: it is not supported: {instead}")]
    Unsupported {
        /// The path of the field.
        field: String,
        /// What to use in its place.
        instead: &'static str,
    },

    /// The configuration cannot be used, or its policy denies a field.
    #[error("{}{message}", Prefix(field.as_deref()))]
    Config {
        /// The path of the field, where it is one field.
        field: Option<String>,
        /// What kind of failure it is.
        kind: ConnectErrorKind,
        /// What is wrong.
        message: String,
    },

    /// The Secret of a Cluster API cluster is missing.
    #[error("the Secret {secret} is missing: the cluster's control plane provider creates it")]
    NoSecret {
        /// The Secret.
        secret: NamespacedName,
    },

    /// A `ClusterProfile` offers none of the providers that the provider file configures.
    #[error("status.accessProviders: it offers {offered:?}, and the provider file configures none of them")]
    NoProvider {
        /// The names that the profile offers.
        offered: Vec<String>,
    },

    /// The hub does not serve the kind that the source reads.
    #[error("the hub serves none of {versions:?}: install the CustomResourceDefinition of {kind}")]
    NotServed {
        /// The kind.
        kind: &'static str,
        /// The versions that the source can read.
        versions: &'static [&'static str],
    },

    /// The hub does not permit a request.
    #[error("the hub forbids the {request}: {reason} (403): give the hub's client the rights that this source needs")]
    Forbidden {
        /// `list`, `watch` or `discovery`.
        request: &'static str,
        /// What the hub says.
        reason: String,
    },

    /// The hub refuses the credentials of the hub's client.
    #[error("the hub refuses the credentials at the {request}: {reason} (401): renew them")]
    Unauthorized {
        /// `list`, `watch` or `discovery`.
        request: &'static str,
        /// What the hub says.
        reason: String,
    },

    /// A request to the hub failed in another way.
    #[error("the {request} on the hub failed: {reason}")]
    Hub {
        /// `list`, `watch` or `discovery`.
        request: &'static str,
        /// Why, without what may hold a secret.
        reason: String,
    },

    /// The hub did not answer in time.
    #[error("the hub did not answer a request within {deadline:?}: check its API server and the network")]
    TimedOut {
        /// How long it may take.
        deadline: Duration,
    },

    /// A file or directory cannot be read.
    #[error("{path:?} cannot be read")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: Arc<io::Error>,
    },

    /// A file, or every file of a directory, is gone. Its clusters stay for a grace time.
    #[error("{path:?} has no kubeconfig any more: if it does not come back within {grace:?}, its clusters are removed")]
    Absent {
        /// The file or directory.
        path: PathBuf,
        /// How long its clusters stay.
        grace: Duration,
    },

    /// Reading files does not end. Most likely a file system hangs.
    #[error("reading the files took longer than {deadline:?}: check the file system they are on")]
    FilesHang {
        /// How long it may take.
        deadline: Duration,
    },

    /// A file is empty. It is most likely being written.
    #[error("{path:?} is empty: write a kubeconfig to it")]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },

    /// Two files of a directory name the same cluster.
    #[error("{first:?} and {second:?} name the same cluster: rename one of them")]
    SameName {
        /// The one file.
        first: PathBuf,
        /// The other file.
        second: PathBuf,
    },

    /// A kubeconfig file, or one of its contexts, cannot be used.
    #[error(transparent)]
    Kubeconfig(#[from] ConnectError),

    /// The stream of the source panicked, and ended with that.
    #[error("the source panicked and ended: please report it")]
    Panicked,
}

struct Prefix<'a>(Option<&'a str>);

impl std::fmt::Display for Prefix<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |field| write!(f, "{field}: "))
    }
}

impl SourceError {
    /// Returns the path of the field that is wrong or denied, in the words of what declares the cluster.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Missing { field } | Self::Malformed { field, .. } | Self::Unsupported { field, .. } => Some(field),
            Self::Config { field, .. } => field.as_deref(),
            Self::NoProvider { .. } => Some("status.accessProviders"),
            Self::Kubeconfig(error) => error.field(),
            _ => None,
        }
    }

    /// Returns what kind of failure this is.
    pub fn kind(&self) -> ConnectErrorKind {
        match self {
            Self::Config { kind, .. } => *kind,
            Self::Kubeconfig(error) => error.kind(),
            Self::NoSecret { .. } => ConnectErrorKind::NoCredentials,
            Self::Unauthorized { .. } => ConnectErrorKind::Unauthorized,
            Self::Hub { .. } | Self::Forbidden { .. } => ConnectErrorKind::Unreachable,
            Self::TimedOut { .. } | Self::FilesHang { .. } => ConnectErrorKind::Timeout,
            Self::Panicked => ConnectErrorKind::Internal,
            _ => ConnectErrorKind::InvalidConfig,
        }
    }

    /// Returns a configuration whose connections fail with this error.
    pub(super) fn to_config(&self) -> ClusterConfig {
        let (field, text) = (self.field(), self.to_string());
        ClusterConfig::unusable(self.kind(), field, without_field(&text, field))
    }

    /// Returns the error of a kubeconfig that `field` holds as a whole.
    pub(super) fn within(field: &str, error: &ConnectError) -> Self {
        Self::Config { field: Some(field.to_owned()), kind: error.kind(), message: error.to_string() }
    }

    /// Returns the error of a `request` to the hub that failed.
    pub(super) fn of_request(request: &'static str, error: &kube::Error) -> Self {
        Self::of_failure(request, Failure::of(error))
    }

    fn of_failure(request: &'static str, failure: Failure) -> Self {
        match failure {
            Failure::Forbidden(reason) => Self::Forbidden { request, reason },
            Failure::Unauthorized(reason) => Self::Unauthorized { request, reason },
            Failure::TimedOut(deadline) => Self::TimedOut { deadline },
            Failure::NotServed | Failure::Other(_) => Self::Hub { request, reason: failure.to_string() },
        }
    }

    /// Returns `error` with the path `field` in place of its own.
    pub(super) fn at(field: Option<String>, error: &ConnectError) -> Self {
        let message = without_field(&error.to_string(), error.field()).to_owned();
        Self::Config { field, kind: error.kind(), message }
    }
}

fn without_field<'a>(text: &'a str, field: Option<&str>) -> &'a str {
    field.and_then(|field| text.strip_prefix(field)?.strip_prefix(": ")).unwrap_or(text).trim_start()
}

impl From<watcher::Error> for SourceError {
    fn from(error: watcher::Error) -> Self {
        let request = match &error {
            watcher::Error::InitialListFailed(_) => "list",
            _ => "watch",
        };
        Self::of_failure(request, Failure::of_watch(&error))
    }
}

#[cfg(test)]
mod tests {
    use clientmgr_kube::{ConnectErrorKind, Policy};

    use super::SourceError;

    #[test]
    fn an_error_makes_a_configuration_that_fails_with_it() {
        let denied = SourceError::Config {
            field: Some("data.config".into()),
            kind: ConnectErrorKind::DeniedByPolicy,
            message: "no plugins".into(),
        };
        let missing = SourceError::Missing { field: "data.config".into() };
        for (error, text) in [(denied, "data.config: no plugins"), (missing, "data.config: it is missing")] {
            let shown = error.to_config().with_policy(Policy::for_secrets()).validate().unwrap_err();
            assert_eq!((shown.kind(), shown.field()), (error.kind(), error.field()));
            assert_eq!(shown.to_string(), text);
        }
    }
}
