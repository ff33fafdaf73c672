//! From the spec of a `Cluster` and its Secret to a configuration, or to the problem with it. Reads nothing itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use clientmgr_kube::{ClusterConfig, ConnectError, NamespacedName, Policy};
use k8s_openapi::ByteString;
use kube::Config;
use kube::config::{AuthInfo, Kubeconfig};

use super::problem::ConfigProblem;
use crate::cluster::{ClusterSpec, ConnectionKind, Impersonation, KubeconfigConnection};

/// What connections are allowed.
#[derive(Clone)]
pub(super) struct Allowed {
    /// For the kubeconfigs in Secrets.
    pub(super) secrets: Policy,
    /// The controller's own kubeconfig, if its contexts are allowed.
    pub(super) contexts: Option<Arc<Kubeconfig>>,
    pub(super) in_cluster: bool,
}

/// What is known of a Secret. It has no `Debug`: the data is secret.
#[derive(Clone, Default, PartialEq)]
pub(super) enum SecretState {
    #[default]
    Unread,
    Read(Arc<BTreeMap<String, ByteString>>),
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
            Some(file) => from_context(file, &context.name, spec).map_err(|error| ConfigProblem::Context { error }),
            None => Err(ConfigProblem::ContextsNotAllowed),
        },
        Some(ConnectionKind::InCluster) if !allowed.in_cluster => Err(ConfigProblem::InClusterNotAllowed),
        Some(ConnectionKind::InCluster) => in_cluster(spec).map_err(|error| ConfigProblem::InCluster { error }),
        None => Err(ConfigProblem::UnknownConnection),
    };
    // With the details first, one write of the status says all.
    match config.map(ClusterConfig::with_details_first) {
        Ok(config) => Desired::Connect(match &spec.default_namespace {
            Some(namespace) => config.with_default_namespace(namespace),
            None => config,
        }),
        Err(problem @ ConfigProblem::SecretPending { .. }) => Desired::Pending(Arc::new(problem)),
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
        SecretState::Unread => return Err(ConfigProblem::SecretPending { secret }),
        SecretState::NotFound => return Err(ConfigProblem::SecretNotFound { secret }),
        SecretState::Forbidden => return Err(ConfigProblem::SecretForbidden { secret }),
        SecretState::Unavailable => return Err(ConfigProblem::SecretUnavailable { secret }),
    };
    let Some(ByteString(text)) = data.get(key) else {
        return Err(ConfigProblem::SecretKeyNotFound { secret, key: key.clone() });
    };
    let context = connection.context.as_deref();
    from_text(text, context, spec.impersonate.as_ref(), allowed.secrets).map_err(|error| ConfigProblem::Kubeconfig {
        secret,
        key: key.clone(),
        error,
    })
}

fn from_text(
    text: &[u8],
    context: Option<&str>,
    impersonation: Option<&Impersonation>,
    policy: Policy,
) -> Result<ClusterConfig, ConnectError> {
    let config = ClusterConfig::from_secret(text, context)?.with_policy(policy);
    // Without the impersonation of the spec: the policy is about the Secret.
    config.validate()?;
    // The text was just read as a kubeconfig.
    let parsed = std::str::from_utf8(text).ok().and_then(|text| Kubeconfig::from_yaml(text).ok());
    let (Some(impersonation), Some(mut kubeconfig)) = (impersonation, parsed) else { return Ok(config) };
    let Some(context) = context.map(str::to_owned).or_else(|| kubeconfig.current_context.clone()) else {
        return Ok(config);
    };
    impersonate_in(&mut kubeconfig, &context, impersonation);
    let config = ClusterConfig::from_kubeconfig(&kubeconfig, &context).with_policy(policy.allow_impersonation(true));
    config.validate()?;
    Ok(config)
}

fn from_context(file: &Kubeconfig, context: &str, spec: &ClusterSpec) -> Result<ClusterConfig, ConnectError> {
    let config = match &spec.impersonate {
        None => ClusterConfig::from_kubeconfig(file, context),
        Some(impersonation) => {
            let mut kubeconfig = file.clone();
            impersonate_in(&mut kubeconfig, context, impersonation);
            ClusterConfig::from_kubeconfig(&kubeconfig, context)
        }
    };
    config.validate()?;
    Ok(config)
}

fn in_cluster(spec: &ClusterSpec) -> Result<ClusterConfig, ConnectError> {
    let plain = ClusterConfig::in_cluster()?;
    let Some(impersonation) = &spec.impersonate else { return Ok(plain) };
    // kube reads the same files of the Pod; where it cannot, the plain configuration says why when it is connected.
    let Ok(mut config) = Config::incluster() else { return Ok(plain) };
    impersonate(&mut config.auth_info, impersonation);
    Ok(ClusterConfig::from_config(config))
}

/// Adds the impersonation to the user of `context`. Where the context has no user, validation has said so.
fn impersonate_in(kubeconfig: &mut Kubeconfig, context: &str, impersonation: &Impersonation) {
    let named = kubeconfig.contexts.iter().find(|named| named.name == context);
    let user = named.and_then(|named| named.context.as_ref()?.user.clone());
    let user = kubeconfig.auth_infos.iter_mut().find(|named| Some(&named.name) == user.as_ref());
    if let Some(user) = user.and_then(|named| named.auth_info.as_mut()) {
        impersonate(user, impersonation);
    }
}

fn impersonate(user: &mut AuthInfo, impersonation: &Impersonation) {
    let Impersonation { user: name, uid, groups, extra } = impersonation;
    user.impersonate = Some(name.clone());
    user.impersonate_uid.clone_from(uid);
    user.impersonate_groups = Some(groups.clone()).filter(|groups| !groups.is_empty());
    user.impersonate_user_extra = Some(extra.clone().into_iter().collect());
}
