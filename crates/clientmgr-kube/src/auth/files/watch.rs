//! [`FileWatch`]: notices when the content of credential files changes: a mounted Secret whose symlink is swapped, a file
//! that is replaced by a rename, one that appears. Directories are watched, because the files themselves go away.
//!
//! Looks at the files every minute too: network file systems report nothing, and a program may run out of watches.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::directories::{Directories, directories};
use super::stamp::Stamp;
use crate::work::{BlockingWorker, Tasks};

/// How long the files are left alone after a report: a swap is several changes.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// How often they are looked at without a report.
const POLL: Duration = Duration::from_secs(60);
/// How long looking at them may take until it is tried again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Watches the credential files of a fleet.
#[derive(Clone, Default)]
pub(crate) struct FileWatcher {
    tasks: Tasks,
    directories: Directories,
}

/// Calls back while it is alive.
pub(crate) struct FileWatch {
    _task: AbortOnDropHandle<()>,
}

impl FileWatcher {
    /// A watcher whose tasks are among `tasks`.
    pub(crate) fn new(tasks: Tasks) -> Self {
        Self { tasks, ..Self::default() }
    }

    /// Calls `changed` after each change of what `files` hold, beginning with `known`. Must be called within a runtime;
    /// the files are looked at by `worker`, since file systems hang.
    pub(crate) fn watch(
        &self,
        files: Vec<PathBuf>,
        known: Stamp,
        worker: BlockingWorker,
        changed: impl Fn() + Send + 'static,
    ) -> FileWatch {
        let (watched, reported) = (self.directories.clone(), Arc::new(Notify::new()));
        let files: Arc<[PathBuf]> = files.into();
        let task = async move {
            let mut last = known;
            loop {
                let look = {
                    let files = Arc::clone(&files);
                    move || (files.iter().flat_map(|file| directories(file)).collect(), Stamp::of(&files))
                };
                if let Ok((directories, stamp)) = worker.run(PATIENCE, look).await {
                    // Reports once when they are watched: what changed since the look is noticed then.
                    watched.subscribe(&reported, directories);
                    if stamp != last {
                        last = stamp;
                        changed();
                    }
                }
                if timeout(POLL, reported.notified()).await.is_ok() {
                    sleep(DEBOUNCE).await;
                }
            }
        };
        FileWatch { _task: AbortOnDropHandle::new(self.tasks.spawn_on(task, &Handle::current())) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio::time::timeout;

    use super::{FileWatch, FileWatcher, Stamp};
    use crate::work::BlockingWorker;

    fn watch(watcher: &FileWatcher, files: &[PathBuf]) -> (FileWatch, UnboundedReceiver<()>) {
        let (send, receive) = unbounded_channel();
        let watch = watcher.watch(files.to_vec(), Stamp::of(files), BlockingWorker::new(), move || {
            let _ = send.send(());
        });
        (watch, receive)
    }

    /// Well below the interval at which files are read without a report.
    async fn change(changes: &mut UnboundedReceiver<()>) {
        timeout(Duration::from_secs(20), changes.recv()).await.expect("no change was reported").unwrap();
    }

    fn replace(file: &Path, content: &str) {
        let temporary = file.with_extension("new");
        fs::write(&temporary, content).unwrap();
        fs::rename(temporary, file).unwrap();
    }

    #[tokio::test]
    async fn a_file_that_is_replaced_written_removed_or_appears_has_changed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("below/token");
        let (_watch, mut changes) = watch(&FileWatcher::default(), std::slice::from_ref(&file));
        fs::create_dir(directory.path().join("below")).unwrap();
        fs::write(&file, "a").unwrap();
        change(&mut changes).await;
        replace(&file, "b");
        change(&mut changes).await;
        fs::write(&file, "c").unwrap();
        change(&mut changes).await;
        fs::remove_file(&file).unwrap();
        change(&mut changes).await;
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_swap_of_a_mounted_secret_is_noticed() {
        use std::os::unix::fs::symlink;

        let mount = tempfile::tempdir().unwrap();
        let path = |name: &str| mount.path().join(name);
        for (version, content) in [("1", "a"), ("2", "b"), ("3", "c")] {
            fs::create_dir(path(version)).unwrap();
            fs::write(path(version).join("token"), content).unwrap();
        }
        symlink("1", path("..data")).unwrap();
        symlink("..data/token", path("token")).unwrap();

        let (_watch, mut changes) = watch(&FileWatcher::default(), &[path("token")]);
        for version in ["2", "3"] {
            symlink(version, path("..data_tmp")).unwrap();
            fs::rename(path("..data_tmp"), path("..data")).unwrap();
            change(&mut changes).await;
        }
    }

    #[tokio::test]
    async fn what_changed_since_the_stamp_is_reported_though_it_was_not_seen() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        fs::write(&file, "a").unwrap();
        let known = Stamp::of(std::slice::from_ref(&file));
        fs::write(&file, "b").unwrap();
        let (send, mut changes) = unbounded_channel();
        let changed = move || send.send(()).unwrap();
        let _watch = FileWatcher::default().watch(vec![file], known, BlockingWorker::new(), changed);
        change(&mut changes).await;
    }

    #[tokio::test]
    async fn a_directory_that_is_made_anew_is_watched_anew() {
        let mount = tempfile::tempdir().unwrap();
        let file = mount.path().join("below/token");
        let (_watch, mut changes) = watch(&FileWatcher::default(), std::slice::from_ref(&file));
        for content in ["a", "b", "c"] {
            fs::create_dir(file.parent().unwrap()).unwrap();
            fs::write(&file, content).unwrap();
            change(&mut changes).await;
            replace(&file, &content.repeat(2));
            change(&mut changes).await;
            fs::remove_dir_all(file.parent().unwrap()).unwrap();
            change(&mut changes).await;
        }
    }

    #[tokio::test]
    async fn files_of_one_directory_change_apart() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (directory.path().join("a"), directory.path().join("b"));
        let watcher = FileWatcher::default();
        let (_first, mut of_first) = watch(&watcher, std::slice::from_ref(&a));
        let (_second, mut of_second) = watch(&watcher, std::slice::from_ref(&b));
        fs::write(&a, "a").unwrap();
        change(&mut of_first).await;
        fs::write(&b, "b").unwrap();
        change(&mut of_second).await;
        assert!(of_first.try_recv().is_err(), "the other file did not change");
    }
}
