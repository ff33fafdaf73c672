//! [`BoundError`]: why there is no state.

use std::fmt;

use crate::connected_at::ConnectedAt;
use crate::error::ClientError;
use crate::key::NamespacedName;

/// Why [`BoundStates::get_or_build`](crate::BoundStates::get_or_build) returned no state.
///
/// Exhaustive: either there was no client to build on, or the build failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BoundError<E, K = NamespacedName, R = ConnectedAt>
where
    K: fmt::Debug,
    R: fmt::Debug,
{
    /// There is no client to build on.
    #[error(transparent)]
    Client(#[from] ClientError<K, R>),

    /// The build failed on a good client.
    #[error("the state could not be built")]
    Build(#[source] E),
}
