//! Sources: where the clusters of a fleet come from, other than the `Cluster` resource.
//!
//! A source is a stream of [`SourceEvent`]s. [`Sources`] runs several of them into one fleet, decides which one counts where
//! two name the same cluster, and shows what is wrong with each.
//!
//! | source | reads | the cluster's key |
//! |---|---|---|
//! | [`static_clusters`] | a list in the program | as given |
//! | [`local_cluster`] | the Pod's service account | as given |
//! | [`KubeconfigFiles`] | the contexts of kubeconfig files | the context |
//! | [`KubeconfigDirectory`] | a directory with a kubeconfig for each cluster | the file's name |
//! | [`KubeconfigSecrets`] | labelled Secrets, each with a kubeconfig | the Secret |
//! | [`ClusterApi`] | Cluster API's clusters and their Secrets | the `Cluster` |
//! | [`ClusterProfiles`] | `ClusterProfile`s, with the operator's credential plugins | the profile |
//! | [`ArgoCdClusters`] | Argo CD's cluster Secrets | the Secret |
//!
//! With a source there is no resource whose status holds the revision of a connection: the fleet's
//! [snapshot](clientmgr_kube::ClusterSnapshot) is the cluster object.
//!
//! ```no_run
//! use clientmgr_kube::{ClientManager, Fleet, k8s_openapi::api::core::v1::ConfigMap};
//!
//! # async fn reconcile(fleet: Fleet, clients: ClientManager, object: ConfigMap) -> Result<(), Box<dyn std::error::Error>> {
//! let Some(cluster) = fleet.snapshot("east") else { return Ok(()) };
//! if clients.refresh(&object, &cluster).is_reset() {
//!     // Another cluster answers under the name: drop what was built on the old client.
//! }
//! let client = clients.client(&object, &cluster).await?;
//! # drop(client);
//! # Ok(())
//! # }
//! ```
//!
//! What must not live here: connections. A source says how to connect; the fleet connects.

mod assemble;
mod cluster_api;
mod cluster_profile;
mod error;
mod event;
mod file;
mod fixed;
mod go_json;
mod merge;
mod secret;
mod set;
mod status;
mod target;
mod watch;

pub use self::cluster_api::ClusterApi;
pub use self::cluster_profile::{AccessProviders, ClusterProfiles, cluster_profile_config};
pub use self::error::SourceError;
pub use self::event::SourceEvent;
pub use self::file::{InvalidPattern, KubeconfigDirectory, KubeconfigFiles};
pub(crate) use self::file::{Merged, News, reread};
pub use self::fixed::{local_cluster, static_clusters};
pub use self::secret::{ArgoCdClusters, KubeconfigFormat, KubeconfigSecrets, argo_cd_config};
pub use self::set::{RunningSources, Sources};
pub use self::status::{Conflict, NotSynced, SourceStatus, SourcesStatus};
