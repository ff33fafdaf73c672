//! What a cluster's connection is made from: a kubeconfig's context or a ready configuration, checked and normalized.
//! What must not live here: connections.

mod address;
mod cluster_config;
mod encrypted_key;
mod files;
mod kubeconfig;
mod load;
mod normalize;
pub(crate) mod translate;

pub use self::cluster_config::{ClusterConfig, contexts};
pub use self::kubeconfig::{read_kubeconfig, read_kubeconfig_from};
pub(crate) use self::load::{Credentials, Loaded, load};
