//! [`StatusWriter`]: whether this process writes the status of Clusters.

use crate::lease::Leadership;

/// Whether this process writes the status of Clusters.
///
/// Exactly one process at a time may write it, and only that one names incarnations. All processes serve clients. There is no
/// default: two processes that both [always](Self::Always) write would reset each other's clusters.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StatusWriter {
    /// It always writes. For a program of which exactly one replica runs: a Deployment with `strategy: Recreate`, say.
    Always,
    /// It writes while it is the leader. For several replicas, and for rolling updates.
    Elected(Leadership),
    /// It never writes: the controller of Clusters runs in another process, and this one uses them.
    Never,
}

impl StatusWriter {
    pub(super) fn may_write(&self) -> bool {
        match self {
            Self::Always => true,
            Self::Elected(leadership) => leadership.is_leader(),
            Self::Never => false,
        }
    }

    /// Waits until the answer may have changed.
    pub(super) async fn changed(&mut self) {
        match self {
            Self::Elected(leadership) => {
                if !leadership.changed().await {
                    // The election has ended, and with it every term.
                    *self = Self::Never;
                }
            }
            Self::Always | Self::Never => std::future::pending().await,
        }
    }
}
