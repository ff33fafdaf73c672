//! [`ClusterProfiles`]: the clusters of the cluster inventory API.

mod join;
mod profile;
mod providers;

use std::path::PathBuf;

use clientmgr_kube::kube::Client;
use clientmgr_kube::kube::api::DynamicObject;
use clientmgr_kube::{ClusterConfig, Policy};
use futures::stream::{self, Stream, StreamExt as _};

use self::join::Join;
use self::profile::translate;
pub use self::providers::AccessProviders;
use self::providers::ProvidersFile;
use super::error::SourceError;
use super::event::SourceEvent;
use super::file::{News, reread};
use super::target::{Kind, Namespaces};
use super::watch::{Observed, combined};

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
/// // Read once, or again when it changes:
/// let providers = AccessProviders::read("/etc/clusterprofile/providers.json")?;
/// let fixed = ClusterProfiles::new(hub.clone(), providers).watch();
/// let watched = ClusterProfiles::from_file(hub, "/etc/clusterprofile/providers.json").watch();
/// # drop((fixed, watched));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "call `watch`"]
pub struct ClusterProfiles {
    client: Client,
    providers: Providers,
    namespaces: Namespaces,
    policy: Policy,
}

#[derive(Clone, Debug)]
enum Providers {
    Given(AccessProviders),
    InFile(PathBuf),
}

impl ClusterProfiles {
    /// Returns the source of the `ClusterProfile`s in all namespaces of the hub, with these providers.
    pub fn new(client: Client, providers: AccessProviders) -> Self {
        Self::with(client, Providers::Given(providers))
    }

    /// Returns the source of the `ClusterProfile`s in all namespaces of the hub, with the providers in the file `path`, which
    /// is read again when it changes.
    ///
    /// A file that cannot be read, or is not valid, is an error of the source; the previous providers count until it is
    /// corrected. The file may lie on a mounted ConfigMap.
    pub fn from_file(client: Client, path: impl Into<PathBuf>) -> Self {
        Self::with(client, Providers::InFile(path.into()))
    }

    fn with(client: Client, providers: Providers) -> Self {
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

    /// Returns the source, which watches the profiles, and the file of the providers, while it is polled.
    pub fn watch(self) -> impl Stream<Item = SourceEvent> + Send + 'static {
        let profiles =
            combined(self.namespaces.dynamic(&self.client, &PROFILES)).map(|(_, seen)| Seen::Profile(seen.into()));
        let providers = match self.providers {
            Providers::Given(providers) => stream::once(async { Ok(providers) }).boxed(),
            Providers::InFile(path) => reread(ProvidersFile(path))
                .map(|news| match news {
                    News::Read(read) => Ok(read.1.clone()),
                    News::Partly(_, error) | News::Failed(error) => Err(error),
                })
                .boxed(),
        };
        let mut join = Join::new(self.policy);
        stream::select(providers.map(Seen::Providers), profiles).flat_map(move |seen| {
            stream::iter(match seen {
                Seen::Providers(Ok(providers)) => join.providers(providers),
                Seen::Providers(Err(error)) => join.providers_failed(error),
                Seen::Profile(seen) => match *seen {
                    Observed::Applied(profile) => join.profile(profile),
                    Observed::Gone(cluster) => join.gone(cluster),
                    Observed::Synced => join.synced(),
                    Observed::Failed(error) => vec![SourceEvent::Failed(error)],
                },
            })
        })
    }
}

enum Seen {
    Providers(Result<AccessProviders, SourceError>),
    Profile(Box<Observed<DynamicObject>>),
}

impl std::fmt::Debug for ClusterProfiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterProfiles").field("providers", &self.providers).finish_non_exhaustive()
    }
}
