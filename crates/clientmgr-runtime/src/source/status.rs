//! What is known of the sources of a fleet: [`SourcesStatus`].

use std::sync::Arc;

use clientmgr_kube::NamespacedName;

use super::error::SourceError;

/// The state of the sources of a fleet, at one moment.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SourcesStatus {
    /// Each source, in the order in which they were registered.
    pub sources: Vec<SourceStatus>,
    /// The clusters that several sources name.
    pub conflicts: Vec<Conflict>,
}

/// The state of one source, at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SourceStatus {
    /// The name under which it was registered.
    pub name: Arc<str>,
    /// Whether it has completed a list.
    pub synced: bool,
    /// Whether its stream has ended. Its clusters stay as they are.
    pub ended: bool,
    /// How many clusters it names.
    pub clusters: usize,
    /// Why the source as a whole does not work now. Its clusters stay as they are.
    pub error: Option<SourceError>,
    /// The clusters whose declaration cannot be used, with the reason.
    pub broken: Vec<(NamespacedName, SourceError)>,
}

/// Why the sources will not all have completed a list.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotSynced {
    /// The stream of a source ended before. Its clusters stay as they are.
    #[error("the source {name:?} ended before it had listed its clusters")]
    Ended {
        /// The name under which it was registered.
        name: Arc<str>,
        /// The last error of the source, if it had one.
        source: Option<SourceError>,
    },
    /// The task of the sources ended before, with its runtime.
    #[error("the sources were stopped before they had listed their clusters")]
    Stopped,
}

/// A cluster that several sources name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// The cluster.
    pub cluster: NamespacedName,
    /// The source whose declaration counts: of those that name the cluster, the first that was registered.
    pub used: Arc<str>,
    /// The sources whose declarations do not count.
    pub ignored: Vec<Arc<str>>,
}

impl SourcesStatus {
    /// Returns whether every source has completed a list.
    pub fn is_synced(&self) -> bool {
        self.sources.iter().all(|source| source.synced)
    }

    /// Returns why not every source will have completed a list: the first one that ended before.
    pub(super) fn ended_unsynced(&self) -> Option<NotSynced> {
        let ended = self.sources.iter().find(|source| source.ended && !source.synced)?;
        Some(NotSynced::Ended { name: Arc::clone(&ended.name), source: ended.error.clone() })
    }

    /// Returns the status of the source that was registered as `name`.
    pub fn source(&self, name: &str) -> Option<&SourceStatus> {
        self.sources.iter().find(|source| &*source.name == name)
    }
}
