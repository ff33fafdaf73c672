//! [`ClusterProfiles`]: the clusters of the cluster inventory API.

mod profile;
mod providers;

use clientmgr_kube::kube::Client;
use clientmgr_kube::kube::api::DynamicObject;
use clientmgr_kube::{ClusterConfig, Policy};
use futures::Stream;

use self::profile::translate;
pub use self::providers::AccessProviders;
use super::error::SourceError;
use super::event::SourceEvent;
use super::target::{Kind, Namespaces};
use super::watch::declared;

const PROFILES: Kind = Kind {
    group: "multicluster.x-k8s.io",
    name: "ClusterProfile",
    plural: "clusterprofiles",
    versions: &["v1alpha2", "v1alpha1"],
};

/// Returns the configuration that a `ClusterProfile` describes, with the credential plugin of the first of `providers` that
/// the profile offers. Pure.
///
/// # Errors
///
/// The profile offers none of `providers`, a field is malformed, or `policy` denies it.
pub fn cluster_profile_config(
    profile: &DynamicObject,
    providers: &AccessProviders,
    policy: Policy,
) -> Result<ClusterConfig, SourceError> {
    translate(&profile.data, providers, policy)
}

/// A source of `ClusterProfile`s. The cluster's key is the namespace and name of its profile.
///
/// A profile that is deleted is a cluster that is gone. A profile that offers no known provider is an error of that cluster,
/// which keeps the connection that it has.
///
/// The credential plugin comes from the providers that the operator configures, so it is permitted. All else comes from the
/// profile, and gets the policy [`for_secrets`](Policy::for_secrets).
///
/// # Examples
///
/// ```no_run
/// # fn example(hub: clientmgr_kube::kube::Client) -> Result<(), clientmgr_runtime::source::SourceError> {
/// use clientmgr_runtime::source::{AccessProviders, ClusterProfiles};
///
/// let providers = AccessProviders::read("/etc/clusterprofile/providers.json")?;
/// let source = ClusterProfiles::new(hub, providers).watch();
/// # drop(source);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "call `watch`"]
pub struct ClusterProfiles {
    client: Client,
    providers: AccessProviders,
    namespaces: Namespaces,
    policy: Policy,
}

impl ClusterProfiles {
    /// Returns the source of the `ClusterProfile`s in all namespaces of the hub.
    pub fn new(client: Client, providers: AccessProviders) -> Self {
        let policy = Policy::for_secrets().allow_exec(true);
        Self { client, providers, namespaces: Namespaces::default(), policy }
    }

    /// Reads these namespaces only.
    pub fn namespaces(self, namespaces: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { namespaces: Namespaces::of(namespaces), ..self }
    }

    /// Sets what a profile may do beside running its provider's plugin.
    pub fn policy(self, policy: Policy) -> Self {
        Self { policy: policy.allow_exec(true), ..self }
    }

    /// Returns the source, which watches the profiles while it is polled.
    pub fn watch(self) -> impl Stream<Item = SourceEvent> + Send + 'static {
        let profiles = self.namespaces.dynamic(&self.client, &PROFILES);
        declared(profiles, move |profile| Some(cluster_profile_config(profile, &self.providers, self.policy)))
    }
}

impl std::fmt::Debug for ClusterProfiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterProfiles").field("providers", &self.providers).finish_non_exhaustive()
    }
}
