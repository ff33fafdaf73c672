//! [`WatchedFiles`]: the credential files of a member whose changes are noticed.

use std::path::PathBuf;

use crate::auth::FileWatch;

/// Watches of the files that the last attempt read, and of those of the configuration in use, while another one fails.
#[derive(Default)]
pub(super) struct WatchedFiles {
    last: Option<Watched>,
    in_use: Option<Watched>,
}

struct Watched {
    files: Vec<PathBuf>,
    _watch: FileWatch,
}

impl WatchedFiles {
    /// Watches the files that an attempt read, also where it failed: they may be corrected. `watch` begins a watch, if they
    /// are not watched yet.
    pub(super) fn attempted(&mut self, files: Vec<PathBuf>, watch: impl FnOnce(Vec<PathBuf>) -> FileWatch) {
        if [&self.last, &self.in_use].into_iter().flatten().any(|watched| watched.files == files) {
            return;
        }
        let last = (!files.is_empty()).then(|| Watched { _watch: watch(files.clone()), files });
        let before = std::mem::replace(&mut self.last, last);
        // The first ones that are replaced after a success are those in use.
        self.in_use = self.in_use.take().or(before);
    }

    /// The last attempt succeeded with the current configuration: no other file matters.
    pub(super) fn succeeded(&mut self) {
        self.in_use = None;
    }
}
