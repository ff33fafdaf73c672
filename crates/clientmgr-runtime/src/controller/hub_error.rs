//! [`HubError`]: why the hub does not give the Clusters, and what to do.

use std::sync::Arc;
use std::time::Duration;

use crate::watching::Failure;

/// Why the hub does not give the Clusters. It is asked again, with a growing delay of up to 10 s.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The hub does not know the kind `Cluster`.
    #[error(
        "the hub does not serve Clusters: install their definition with `kubectl apply -f deploy/crds`, or create \
         Cluster::crd()"
    )]
    NotServed,
    /// The hub does not permit this process to list or watch Clusters.
    #[error(
        "the hub forbids to list and watch Clusters: {reason}: deploy/rbac/cluster-controller.yaml lists the rights"
    )]
    Forbidden {
        /// What the hub says.
        reason: Arc<str>,
    },
    /// The hub refuses the credentials of this process.
    #[error("the hub refuses the credentials of this process: {reason}: renew them")]
    Unauthorized {
        /// What the hub says.
        reason: Arc<str>,
    },
    /// The hub did not answer.
    #[error("the hub did not answer within {deadline:?}: check its API server and the network")]
    TimedOut {
        /// How long it may take.
        deadline: Duration,
    },
    /// The request failed in another way.
    #[error("the hub does not give the Clusters: {reason}")]
    Failed {
        /// Why.
        reason: Arc<str>,
    },
}

impl From<&Failure> for HubError {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::NotServed => Self::NotServed,
            Failure::Forbidden(reason) => Self::Forbidden { reason: reason.as_str().into() },
            Failure::Unauthorized(reason) => Self::Unauthorized { reason: reason.as_str().into() },
            Failure::TimedOut(deadline) => Self::TimedOut { deadline: *deadline },
            Failure::Other(reason) => Self::Failed { reason: reason.as_str().into() },
        }
    }
}
