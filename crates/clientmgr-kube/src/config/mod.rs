//! What a cluster's connection is made from: a kubeconfig's context or a ready configuration, checked and normalized.
//! What must not live here: connections.

mod address;
mod cluster_config;
#[cfg(all(test, unix, feature = "rustls-tls"))]
mod corpus_tests;
mod credential_files;
mod credentials;
mod environment;
mod field;
mod file_fields;
mod files;
mod fingerprint;
mod identity;
mod impersonation;
mod kubeconfig;
mod load;
#[cfg(test)]
mod mutation_tests;
mod normalize;
mod policy;
mod selection;
mod service_account;
mod source;
pub(crate) mod translate;
mod validate;

pub use self::cluster_config::{ClusterConfig, contexts};
pub use self::identity::{ClusterIdentity, Incarnation, InvalidIdentity, Naming};
pub use self::impersonation::Impersonation;
pub use self::kubeconfig::{parse_kubeconfig, read_kubeconfig, read_kubeconfig_from};
pub(crate) use self::load::{Credentials, Loaded, files, load, names_files};
pub use self::policy::Policy;
