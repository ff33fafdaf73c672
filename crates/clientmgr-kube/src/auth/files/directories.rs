//! [`Directories`]: the directories that a fleet watches, and the watches to notify of their changes. One watcher serves the
//! whole fleet: the system has few, and each is a thread.
//!
//! A thread of its own adds and removes directories, since that may hang on a broken mount. Members never wait for it.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::{fs, thread};

use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// How many subscriptions may wait for the thread. What does not fit is subscribed at the next look at the files.
const QUEUE: usize = 4096;

/// Watches directories. Clones share the watcher, which ends with the last of them.
#[derive(Clone, Default)]
pub(super) struct Directories(Arc<OnceLock<Option<SyncSender<Subscription>>>>);

/// Reports changes in exactly these directories to `subscriber` from now on.
struct Subscription {
    subscriber: Weak<Notify>,
    directories: Vec<PathBuf>,
}

impl Directories {
    /// Reports changes in exactly these directories to `subscriber`, until it is dropped. Also once when a directory began to
    /// be watched: it may have changed just before. Never blocks.
    ///
    /// Where the system cannot watch, nothing is reported.
    pub(super) fn subscribe(&self, subscriber: &Arc<Notify>, directories: Vec<PathBuf>) {
        if let Some(queue) = self.0.get_or_init(start) {
            // A full queue: a mount hangs. The next look subscribes again.
            let _ = queue.try_send(Subscription { subscriber: Arc::downgrade(subscriber), directories });
        }
    }
}

fn start() -> Option<SyncSender<Subscription>> {
    let (queue, subscriptions) = sync_channel(QUEUE);
    let started = thread::Builder::new().name("clientmgr-files".into()).spawn(move || run(&subscriptions));
    started.ok().map(|_| queue)
}

fn run(subscriptions: &Receiver<Subscription>) {
    let watched = Arc::new(Mutex::new(Watched::default()));
    let reports = Arc::clone(&watched);
    let mut watcher = match notify::recommended_watcher(move |event: notify::Result<Event>| {
        lock(&reports).report(event.ok().as_ref());
    }) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::debug!(%error, "no directory can be watched: credential files are read every minute");
            return;
        }
    };
    while let Ok(subscription) = subscriptions.recv() {
        subscribe(&mut watcher, &watched, subscription);
    }
}

/// The watcher reports under the lock of `watched`, and answers between two reports: the lock is free while it works.
fn subscribe(watcher: &mut RecommendedWatcher, watched: &Mutex<Watched>, subscription: Subscription) {
    let Subscription { subscriber, directories } = subscription;
    let change = lock(watched).set(&subscriber, directories);
    for directory in change.left {
        // Fails where the directory is gone, and its watch with it.
        let _ = watcher.unwatch(&directory);
    }
    for directory in change.added {
        if let Err(error) = watcher.watch(&directory, RecursiveMode::NonRecursive) {
            lock(watched).0.remove(&directory);
            tracing::debug!(%error, "a directory cannot be watched: its files are read every minute");
        }
    }
    if change.is_new
        && let Some(subscriber) = subscriber.upgrade()
    {
        subscriber.notify_one();
    }
}

/// The subscribers of each directory.
#[derive(Default)]
struct Watched(HashMap<PathBuf, Vec<Weak<Notify>>>);

/// Each lock guards what is whole between two steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a subscription changes.
#[derive(Debug, Default, PartialEq)]
struct Change {
    /// Directories to watch.
    added: Vec<PathBuf>,
    /// Directories without a subscriber.
    left: Vec<PathBuf>,
    /// Whether the subscriber has a directory that it did not have before.
    is_new: bool,
}

impl Watched {
    /// Subscribes to exactly these directories, and removes subscribers that were dropped.
    fn set(&mut self, subscriber: &Weak<Notify>, directories: Vec<PathBuf>) -> Change {
        let wanted: BTreeSet<PathBuf> = directories.into_iter().collect();
        let mut change = Change::default();
        self.0.retain(|directory, subscribers| {
            let is_wanted = wanted.contains(directory);
            subscribers.retain(|it| it.strong_count() > 0 && (is_wanted || !it.ptr_eq(subscriber)));
            if subscribers.is_empty() && !is_wanted {
                change.left.push(directory.clone());
            }
            is_wanted || !subscribers.is_empty()
        });
        for directory in wanted {
            let subscribers = self.0.entry(directory).or_insert_with_key(|directory| {
                change.added.push(directory.clone());
                Vec::new()
            });
            if !subscribers.iter().any(|it| it.ptr_eq(subscriber)) {
                subscribers.push(Weak::clone(subscriber));
                change.is_new = true;
            }
        }
        change
    }

    /// Reports an event to those whose directories it is about: to all where it does not say. A directory that is removed or
    /// renamed is not watched any more.
    fn report(&mut self, event: Option<&Event>) {
        // Reading is no change, and it is what the reports lead to.
        if event.is_some_and(|event| event.kind.is_access()) {
            return;
        }
        let paths = event.filter(|event| !event.need_rescan()).map_or(&[][..], |event| &event.paths);
        let is_gone = event
            .is_some_and(|event| matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))));
        self.0.retain(|directory, subscribers| {
            let is_itself = paths.contains(directory);
            let is_within = || paths.iter().any(|path| path.parent() == Some(directory));
            if paths.is_empty() || is_itself || is_within() {
                subscribers.iter().filter_map(Weak::upgrade).for_each(|it| it.notify_one());
            }
            !(is_gone && is_itself)
        });
    }
}

/// The directory of `file`, and of what it is a link to; the nearest one that exists, in which the next one would appear.
/// Blocks.
pub(super) fn directories(file: &Path) -> Vec<PathBuf> {
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
    use std::path::PathBuf;
    use std::sync::Arc;

    use futures::FutureExt;
    use notify::event::{AccessKind, CreateKind, ModifyKind, RemoveKind, RenameMode};
    use notify::{Event, EventKind};
    use tokio::sync::Notify;

    use super::{Change, Watched, directories};

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    fn change(added: &[&str], left: &[&str], is_new: bool) -> Change {
        Change { added: paths(added), left: paths(left), is_new }
    }

    fn is_notified(subscriber: &Notify) -> bool {
        subscriber.notified().now_or_never().is_some()
    }

    #[test]
    fn a_directory_is_watched_while_it_has_a_subscriber() {
        let (mut watched, first, second) = (Watched::default(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (weak, other) = (Arc::downgrade(&first), Arc::downgrade(&second));
        assert_eq!(watched.set(&weak, paths(&["/a", "/a", "/b"])), change(&["/a", "/b"], &[], true));
        assert_eq!(watched.set(&weak, paths(&["/a", "/b"])), change(&[], &[], false));
        assert_eq!(watched.set(&other, paths(&["/a"])), change(&[], &[], true));
        assert_eq!(watched.set(&weak, paths(&["/b"])), change(&[], &[], false));
        assert_eq!(watched.set(&other, paths(&["/c"])), change(&["/c"], &["/a"], true));
        drop(first);
        assert_eq!(watched.set(&other, paths(&["/c"])), change(&[], &["/b"], false));
        drop(second);
        assert_eq!(watched.set(&weak, paths(&[])), change(&[], &["/c"], false));
    }

    #[test]
    fn an_event_is_reported_to_the_subscribers_of_its_directory() {
        let (mut watched, first, second) = (Watched::default(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        watched.set(&Arc::downgrade(&first), paths(&["/a"]));
        watched.set(&Arc::downgrade(&second), paths(&["/b"]));
        let event = |kind, path: &str| Event::new(kind).add_path(path.into());

        watched.report(Some(&event(EventKind::Create(CreateKind::File), "/a/token")));
        assert_eq!((is_notified(&first), is_notified(&second)), (true, false));
        watched.report(Some(&event(EventKind::Access(AccessKind::Read), "/a/token")));
        assert_eq!((is_notified(&first), is_notified(&second)), (false, false));
        watched.report(Some(&event(EventKind::Create(CreateKind::File), "/a/below/token")));
        assert_eq!((is_notified(&first), is_notified(&second)), (false, false));
        watched.report(None);
        assert_eq!((is_notified(&first), is_notified(&second)), (true, true));
    }

    #[test]
    fn a_directory_that_is_removed_or_renamed_is_watched_anew() {
        let gone = [EventKind::Remove(RemoveKind::Folder), EventKind::Modify(ModifyKind::Name(RenameMode::From))];
        for kind in gone {
            let (mut watched, subscriber) = (Watched::default(), Arc::new(Notify::new()));
            let weak = Arc::downgrade(&subscriber);
            watched.set(&weak, paths(&["/a"]));
            watched.report(Some(&Event::new(kind).add_path("/a/token".into())));
            assert_eq!(watched.set(&weak, paths(&["/a"])), change(&[], &[], false), "a file is gone");
            watched.report(Some(&Event::new(kind).add_path("/a".into())));
            assert!(is_notified(&subscriber));
            assert_eq!(watched.set(&weak, paths(&["/a"])), change(&["/a"], &[], true));
        }
    }

    #[test]
    fn the_nearest_directory_that_exists_is_watched() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        assert_eq!(directories(&root.join("a/b/c")), std::slice::from_ref(&root));
        fs::write(root.join("file"), "").unwrap();
        assert_eq!(directories(&root.join("file")), [root]);
    }
}
