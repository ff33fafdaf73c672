//! A configuration from its parts, for declarations that hold no kubeconfig.

use clientmgr_kube::kube::config::{AuthInfo, Cluster, Context, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};
use clientmgr_kube::{ClusterConfig, Policy};

use super::error::SourceError;

const NAME: &str = "cluster";

/// Returns the configuration of `cluster` and `user`, checked. `place` returns where a field of it comes from.
pub(super) fn config_of(
    cluster: Cluster,
    user: AuthInfo,
    policy: Policy,
    place: impl FnOnce(&str) -> String,
) -> Result<ClusterConfig, SourceError> {
    let context = Context { cluster: NAME.to_owned(), user: Some(NAME.to_owned()), ..Context::default() };
    let kubeconfig = Kubeconfig {
        contexts: vec![NamedContext { name: NAME.to_owned(), context: Some(context), ..NamedContext::default() }],
        clusters: vec![NamedCluster { name: NAME.to_owned(), cluster: Some(cluster), ..NamedCluster::default() }],
        auth_infos: vec![NamedAuthInfo { name: NAME.to_owned(), auth_info: Some(user), ..NamedAuthInfo::default() }],
        ..Kubeconfig::default()
    };
    let config = ClusterConfig::from_kubeconfig(&kubeconfig, NAME).with_policy(policy);
    config.validate().map_err(|error| SourceError::at(error.field().map(place), &error))?;
    Ok(config)
}
