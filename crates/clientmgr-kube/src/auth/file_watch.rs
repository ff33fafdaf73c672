//! [`FileWatch`]: notices when the content of credential files changes: a mounted Secret whose symlink is swapped, a file
//! that is replaced by a rename, one that appears. Directories are watched, because the files themselves go away.
//!
//! Looks at the files every minute too: network file systems report nothing, and a program may run out of watches.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use std::{fs, io::Read};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::work::{BlockingWorker, Tasks};

/// How long the files are left alone after a report: a swap is several changes.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// How often they are looked at without a report.
const POLL: Duration = Duration::from_secs(60);
/// How long looking at them may take until it is tried again.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is read of a file at most.
const LIMIT: u64 = 1024 * 1024;

/// The content of some files at a time, as a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp([u8; 32]);

impl Stamp {
    /// The stamp of what `files` hold now. Blocks. Take it before the files are read for their credentials: a change in
    /// between is noticed then.
    pub(crate) fn of(files: &[PathBuf]) -> Self {
        let mut hash = Sha256::new();
        for file in files {
            let content: Option<[u8; 32]> = read(file).map(|content| Sha256::digest(content).into());
            hash.update([u8::from(content.is_some())]);
            hash.update(content.unwrap_or_default());
        }
        Self(hash.finalize().into())
    }
}

/// The content of a regular file: a pipe would never end.
fn read(path: &Path) -> Option<Vec<u8>> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let mut content = Vec::new();
    fs::File::open(path).ok()?.take(LIMIT).read_to_end(&mut content).ok()?;
    Some(content)
}

/// Watches directories for all files of a fleet: the system has few watchers, and each is a thread.
#[derive(Clone, Default)]
pub(crate) struct FileWatcher {
    tasks: Tasks,
    /// None until the first directory, and where the system gives none. To watch a directory waits for the thread that
    /// reports: what that one locks is not to be locked meanwhile.
    watcher: Arc<Mutex<Option<RecommendedWatcher>>>,
    directories: Arc<Mutex<Directories>>,
}

#[derive(Default)]
struct Directories {
    watched: HashMap<PathBuf, Vec<Weak<Notify>>>,
}

/// Each lock guards what is whole between two steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        let (this, reported) = (self.clone(), Arc::new(Notify::new()));
        let files: Arc<[PathBuf]> = files.into();
        let task = async move {
            let mut last = known;
            loop {
                let look = {
                    let (this, files, reported) = (this.clone(), Arc::clone(&files), Arc::clone(&reported));
                    // The directories first: what changes after they are watched is reported.
                    move || {
                        this.subscribe(&files, &reported);
                        Stamp::of(&files)
                    }
                };
                if let Ok(stamp) = worker.run(PATIENCE, look).await
                    && stamp != last
                {
                    last = stamp;
                    changed();
                }
                if timeout(POLL, reported.notified()).await.is_ok() {
                    sleep(DEBOUNCE).await;
                }
            }
        };
        FileWatch { _task: AbortOnDropHandle::new(self.tasks.spawn_on(task, &Handle::current())) }
    }

    /// Watches the directories that `files` are in by now. Blocks.
    fn subscribe(&self, files: &[PathBuf], reported: &Arc<Notify>) {
        let mut watcher = lock(&self.watcher);
        let left = lock(&self.directories).forget_dropped();
        for directory in left {
            // Fails where the directory is gone, and its watch with it.
            let _ = watcher.as_mut().map(|watcher| watcher.unwatch(&directory));
        }
        for directory in files.iter().flat_map(|file| directories(file)) {
            if lock(&self.directories).join(&directory, reported) {
                continue;
            }
            match self.watch_directory(&mut watcher, &directory) {
                Ok(()) => lock(&self.directories).add(directory, reported),
                Err(error) => {
                    tracing::debug!(%error, "a directory cannot be watched: its files are read every minute");
                }
            }
        }
    }

    fn watch_directory(&self, watcher: &mut Option<RecommendedWatcher>, directory: &Path) -> notify::Result<()> {
        let watcher = match watcher {
            Some(watcher) => watcher,
            none => none.insert(notify::recommended_watcher({
                let directories = Arc::downgrade(&self.directories);
                move |event: notify::Result<notify::Event>| {
                    let Some(directories) = directories.upgrade() else { return };
                    lock(&directories).report(event.ok().as_ref());
                }
            })?),
        };
        watcher.watch(directory, RecursiveMode::NonRecursive)
    }
}

impl Directories {
    /// Reports to `reported` too, where the directory is watched already.
    fn join(&mut self, directory: &Path, reported: &Arc<Notify>) -> bool {
        let Some(subscribers) = self.watched.get_mut(directory) else { return false };
        if !subscribers.iter().any(|subscriber| subscriber.as_ptr() == Arc::as_ptr(reported)) {
            subscribers.push(Arc::downgrade(reported));
        }
        true
    }

    fn add(&mut self, directory: PathBuf, reported: &Arc<Notify>) {
        self.watched.insert(directory, vec![Arc::downgrade(reported)]);
    }

    /// Reports an event to those whose directories it is about: to all where it does not say.
    fn report(&self, event: Option<&notify::Event>) {
        // Reading is no change, and it is what the reports lead to.
        if event.is_some_and(|event| event.kind.is_access()) {
            return;
        }
        let paths = event.filter(|event| !event.need_rescan()).map_or(&[][..], |event| &event.paths);
        let concerns = |directory: &Path| {
            paths.is_empty() || paths.iter().any(|path| path == directory || path.parent() == Some(directory))
        };
        let concerned = self.watched.iter().filter(|(directory, _)| concerns(directory));
        concerned.flat_map(|(_, subscribers)| subscribers).filter_map(Weak::upgrade).for_each(|it| it.notify_one());
    }

    /// Removes watchers that were dropped, and returns the directories without a watcher.
    fn forget_dropped(&mut self) -> Vec<PathBuf> {
        let mut left = Vec::new();
        self.watched.retain(|directory, subscribers| {
            subscribers.retain(|subscriber| subscriber.strong_count() > 0);
            if subscribers.is_empty() {
                left.push(directory.clone());
            }
            !subscribers.is_empty()
        });
        left
    }
}

/// The directory of `file`, and of what it is a link to; the nearest one that exists, in which the next one would appear.
fn directories(file: &Path) -> Vec<PathBuf> {
    let target = fs::canonicalize(file).ok();
    let parents = [Some(file), target.as_deref()].into_iter().flatten().filter_map(Path::parent);
    let existing = |parent: &Path| parent.ancestors().find(|it| it.is_dir()).map(Path::to_owned);
    let mut found: Vec<_> = parents.filter_map(existing).collect();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio::time::timeout;

    use super::{FileWatch, FileWatcher, Stamp, directories};
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
    async fn files_in_one_directory_share_a_watch_that_ends_with_the_last() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (directory.path().join("a"), directory.path().join("b"));
        let watcher = FileWatcher::default();
        let (first, mut of_first) = watch(&watcher, std::slice::from_ref(&a));
        let (_second, mut of_second) = watch(&watcher, std::slice::from_ref(&b));
        fs::write(&a, "a").unwrap();
        change(&mut of_first).await;
        fs::write(&b, "b").unwrap();
        change(&mut of_second).await;
        assert!(of_first.try_recv().is_err(), "the other file did not change");
        assert_eq!(super::lock(&watcher.directories).watched.len(), 1);

        drop(first);
        let left = async {
            loop {
                let is_gone = {
                    let mut directories = super::lock(&watcher.directories);
                    directories.forget_dropped();
                    directories.watched.values().map(Vec::len).eq([1])
                };
                if is_gone {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), left).await.expect("a watch that was dropped is left");
    }

    #[test]
    fn the_nearest_directory_that_exists_is_watched() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        assert_eq!(directories(&root.join("a/b/c")), std::slice::from_ref(&root));
        fs::write(root.join("file"), "").unwrap();
        assert_eq!(directories(&root.join("file")), [root]);
    }

    #[test]
    fn a_stamp_tells_contents_and_absence_apart() {
        let directory = tempfile::tempdir().unwrap();
        let files = [directory.path().join("a"), directory.path().join("b")];
        let mut seen = vec![Stamp::of(&files)];
        for (file, content) in [(0, ""), (0, "x"), (1, "x"), (0, "xx"), (1, "xx")] {
            fs::write(&files[file], content).unwrap();
            let stamp = Stamp::of(&files);
            assert!(!seen.contains(&stamp));
            seen.push(stamp);
        }
        assert_eq!(Stamp::of(&files), Stamp::of(&files));
    }
}
