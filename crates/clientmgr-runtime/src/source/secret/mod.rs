//! Sources that read Secrets: plain kubeconfigs, and Argo CD's clusters.
//!
//! A translation from a Secret to a configuration is pure; the watch is the same for all.

mod argo_cd;
mod kubeconfig;

pub use self::argo_cd::{ArgoCdClusters, argo_cd_config};
pub use self::kubeconfig::{KubeconfigFormat, KubeconfigSecrets};
