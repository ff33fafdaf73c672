//! [`StatusWriter`]: whether this process writes the status of Clusters.

use crate::lease::Leadership;

/// Whether this process writes the status of Clusters.
///
/// Exactly one process at a time may write it, and only that one names incarnations. All processes serve clients.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum StatusWriter {
    /// It always writes: there is one replica.
    #[default]
    Always,
    /// It writes while it is the leader: there are several replicas.
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
        if let Self::Elected(leadership) = self
            && leadership.changed().await
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}
