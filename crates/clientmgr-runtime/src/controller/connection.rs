//! From the spec of a `Cluster` and its Secret to a configuration, or to the problem with it. Reads nothing itself.

use std::sync::Arc;

use clientmgr_kube::{ClusterConfig, ConnectError, ConnectedAt, NamespacedName, Policy};
use kube::config::Kubeconfig;

use super::problem::ConfigProblem;
use super::secret_data::SecretData;
use crate::cluster::{ClusterSpec, ConnectionKind, KubeconfigConnection};
use crate::source::SourceError;

/// What connections are allowed.
#[derive(Clone)]
pub(super) struct Allowed {
    /// For the kubeconfigs in Secrets.
    pub(super) secrets: Policy,
    pub(super) contexts: Contexts,
    pub(super) in_cluster: bool,
}

/// The kubeconfig on the controller's machine. It has no `Debug`: it holds credentials.
#[derive(Clone)]
pub(super) enum Contexts {
    /// Its contexts are not allowed.
    Denied,
    /// Its files were not read yet.
    Unread,
    Read(Arc<Kubeconfig>),
    /// Its files cannot be read.
    Broken(SourceError),
}

/// What is known of a Secret. It has no `Debug`: the data is secret.
#[derive(Clone, Default, PartialEq)]
pub(super) enum SecretState {
    #[default]
    Unread,
    Read(Arc<SecretData>),
    /// It was read, and its data was dropped after use.
    Used,
    NotFound,
    Forbidden,
    Unavailable,
}

/// What the spec asks for.
#[derive(Clone, Debug)]
pub(super) enum Desired {
    /// The Secret was not read yet.
    Pending(Arc<ConfigProblem>),
    Connect(ClusterConfig),
    Broken(Arc<ConfigProblem>),
    /// A cluster without a Kubernetes client, at this host.
    Docker(Arc<str>),
}

impl Desired {
    /// Returns the revision that the status names and that is refused.
    pub(super) fn refused_revision(&self) -> Option<ConnectedAt> {
        match self {
            Self::Broken(problem) => problem.refused_revision(),
            _ => None,
        }
    }
}

/// Returns the Secret that the spec refers to.
pub(super) fn secret_of(namespace: &str, spec: &ClusterSpec) -> Option<NamespacedName> {
    match spec.connection.kind() {
        Some(ConnectionKind::Kubeconfig(kubeconfig)) => {
            Some(NamespacedName::new(namespace, &kubeconfig.secret_ref.name))
        }
        _ => None,
    }
}

/// Returns what the spec asks for. `secret` is the state of [`secret_of`].
pub(super) fn desired(namespace: &str, spec: &ClusterSpec, secret: &SecretState, allowed: &Allowed) -> Desired {
    let config = match spec.connection.kind() {
        Some(ConnectionKind::Docker(docker)) => return Desired::Docker(docker.host.as_str().into()),
        Some(ConnectionKind::Kubeconfig(kubeconfig)) => from_secret(namespace, kubeconfig, spec, secret, allowed),
        Some(ConnectionKind::Context(context)) => match &allowed.contexts {
            Contexts::Denied => Err(ConfigProblem::ContextsNotAllowed),
            Contexts::Unread => Err(ConfigProblem::ContextsPending),
            Contexts::Broken(error) => Err(ConfigProblem::ContextFile { error: error.clone() }),
            Contexts::Read(file) => {
                let config = ClusterConfig::from_kubeconfig(file, &context.name);
                validated(config, spec).map_err(|error| ConfigProblem::Context { error })
            }
        },
        Some(ConnectionKind::InCluster) if !allowed.in_cluster => Err(ConfigProblem::InClusterNotAllowed),
        Some(ConnectionKind::InCluster) => {
            let config = ClusterConfig::in_cluster().and_then(|config| validated(config, spec));
            config.map_err(|error| ConfigProblem::InCluster { error })
        }
        None => Err(ConfigProblem::UnknownConnection),
    };
    // With the details first, one write of the status says all.
    match config.map(ClusterConfig::with_details_first) {
        Ok(config) => Desired::Connect(match &spec.default_namespace {
            Some(namespace) => config.with_default_namespace(namespace),
            None => config,
        }),
        Err(problem @ (ConfigProblem::SecretPending { .. } | ConfigProblem::ContextsPending)) => {
            Desired::Pending(Arc::new(problem))
        }
        Err(problem) => Desired::Broken(Arc::new(problem)),
    }
}

fn from_secret(
    namespace: &str,
    connection: &KubeconfigConnection,
    spec: &ClusterSpec,
    state: &SecretState,
    allowed: &Allowed,
) -> Result<ClusterConfig, ConfigProblem> {
    let secret = NamespacedName::new(namespace, &connection.secret_ref.name);
    let key = &connection.secret_ref.key;
    let data = match state {
        SecretState::Read(data) => data,
        SecretState::Unread | SecretState::Used => return Err(ConfigProblem::SecretPending { secret }),
        SecretState::NotFound => return Err(ConfigProblem::SecretNotFound { secret }),
        SecretState::Forbidden => return Err(ConfigProblem::SecretForbidden { secret }),
        SecretState::Unavailable => return Err(ConfigProblem::SecretUnavailable { secret }),
    };
    let Some(kubeconfig) = data.kubeconfig(key) else {
        return Err(ConfigProblem::SecretKeyNotFound { secret, key: key.clone() });
    };
    let context = connection.context.as_deref();
    let config = kubeconfig.and_then(|kubeconfig| ClusterConfig::from_secret_kubeconfig(kubeconfig, context));
    let config = config.map(|config| config.with_policy(allowed.secrets)).and_then(|config| validated(config, spec));
    config.map_err(|error| ConfigProblem::Kubeconfig { secret, key: key.clone(), error })
}

/// Adds the impersonation of the spec, which is no matter of the source's policy, and validates the whole.
fn validated(config: ClusterConfig, spec: &ClusterSpec) -> Result<ClusterConfig, ConnectError> {
    let config = match spec.impersonate.clone() {
        Some(impersonation) => config.with_impersonation(impersonation.into()),
        None => config,
    };
    config.validate()?;
    Ok(config)
}
