//! [`Clusters`]: what files hold, and how two readings differ.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clientmgr_kube::{ClusterConfig, NamespacedName};

use crate::source::error::SourceError;

/// The clusters that files declare.
pub(super) type Clusters = Vec<(NamespacedName, Result<ClusterConfig, SourceError>)>;

/// Returns whether two readings declare the same.
pub(super) fn is_same(last: &Clusters, now: &Clusters) -> bool {
    let same =
        |(last, now): (&Result<ClusterConfig, SourceError>, &Result<ClusterConfig, SourceError>)| match (last, now) {
            (Ok(last), Ok(now)) => last == now,
            (Err(last), Err(now)) => last.to_string() == now.to_string(),
            _ => false,
        };
    last.len() == now.len() && last.iter().zip(now).all(|(last, now)| last.0 == now.0 && same((&last.1, &now.1)))
}

/// Returns whether a cluster is gone.
pub(super) fn lacks(last: &Clusters, now: &Clusters) -> bool {
    let now: BTreeSet<_> = now.iter().map(|(cluster, _)| cluster).collect();
    last.iter().any(|(cluster, _)| !now.contains(cluster))
}

/// Whether there is something in the file at `path`: an empty one is being written.
pub(super) fn not_empty(path: &Path) -> Result<(), SourceError> {
    let metadata = fs::metadata(path);
    let metadata = metadata.map_err(|error| SourceError::File { path: path.to_owned(), source: error.into() })?;
    if metadata.is_file() && metadata.len() == 0 {
        Err(SourceError::EmptyFile { path: path.to_owned() })
    } else {
        Ok(())
    }
}
