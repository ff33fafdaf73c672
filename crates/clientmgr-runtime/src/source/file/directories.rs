//! [`Watches`]: the directories of files, watched by the operating system. It reports that something changed, not what.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// The directories that are watched.
pub(super) struct Watches {
    /// None where the system gives no watcher: the files are read every minute then.
    watcher: Option<RecommendedWatcher>,
    directories: BTreeSet<PathBuf>,
}

impl Watches {
    pub(super) fn new(reported: Arc<Notify>) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading is no change, and it is what a report leads to.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                reported.notify_one();
            }
        });
        let watcher = watcher.inspect_err(|error| tracing::debug!(%error, "files are read every minute")).ok();
        Self { watcher, directories: BTreeSet::new() }
    }

    /// Watches the directories that `paths` are in by now. Blocks.
    pub(super) fn watch(&mut self, paths: &[PathBuf]) {
        let Some(watcher) = &mut self.watcher else { return };
        let directories: BTreeSet<_> = paths.iter().flat_map(|path| directories(path)).collect();
        for gone in self.directories.difference(&directories) {
            // Fails where the directory is gone, and its watch with it.
            let _ = watcher.unwatch(gone);
        }
        for directory in &directories {
            // Each time: one that was removed and made again has lost its watch.
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                tracing::debug!(%error, "a directory cannot be watched: its files are read every minute");
            }
        }
        self.directories = directories;
    }
}

/// The directory of `path`, and of what it is a link to; the nearest one that exists, in which the next one would appear.
fn directories(path: &Path) -> Vec<PathBuf> {
    let target = fs::canonicalize(path).ok();
    let parents = [Some(path), target.as_deref()].into_iter().flatten().filter_map(Path::parent);
    let parents = parents.map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    parents.filter_map(|parent| parent.ancestors().find(|it| it.is_dir())).map(Path::to_owned).collect()
}
