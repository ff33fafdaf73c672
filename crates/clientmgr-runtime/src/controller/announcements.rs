//! [`Announcements`]: which Clusters changed in the controller's store. Coalesced: a slow reader keeps each name once.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use clientmgr_kube::NamespacedName;
use futures::Stream;

use crate::requeue::Changes;

/// So many names a reader keeps that does not read, until it looks at all Clusters.
const LIMIT: usize = 4_096;

/// Where the controller says what changed. The readers' streams end when it is dropped.
#[derive(Default)]
pub(super) struct Announcements {
    readers: Mutex<Vec<Weak<Mutex<Unread>>>>,
}

/// What a reader has not read.
#[derive(Default)]
struct Unread {
    /// Any Cluster may have changed.
    all: bool,
    clusters: BTreeSet<NamespacedName>,
    has_ended: bool,
    waker: Option<Waker>,
}

impl Unread {
    /// Any Cluster may have changed.
    fn fill(&mut self) {
        self.all = true;
        self.clusters.clear();
    }
}

/// A reader's stream.
pub(super) struct Announced(Arc<Mutex<Unread>>);

/// Each lock guards what is whole between two steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Announcements {
    pub(super) fn subscribe(&self) -> Announced {
        let unread = Arc::new(Mutex::new(Unread::default()));
        let mut readers = lock(&self.readers);
        readers.retain(|reader| reader.strong_count() > 0);
        readers.push(Arc::downgrade(&unread));
        Announced(unread)
    }

    /// A Cluster has changed in the store.
    pub(super) fn changed(&self, cluster: &NamespacedName) {
        self.each(|unread| {
            if !unread.all {
                unread.clusters.insert(cluster.clone());
                if unread.clusters.len() > LIMIT {
                    unread.fill();
                }
            }
        });
    }

    /// The store was filled anew.
    pub(super) fn all_changed(&self) {
        self.each(Unread::fill);
    }

    fn each(&self, mut note: impl FnMut(&mut Unread)) {
        let mut wakers = Vec::new();
        lock(&self.readers).retain(|reader| {
            let Some(reader) = reader.upgrade() else { return false };
            let mut unread = lock(&reader);
            note(&mut unread);
            wakers.extend(unread.waker.take());
            true
        });
        // Without the locks: a waker may run foreign code.
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Announcements {
    fn drop(&mut self) {
        self.each(|unread| unread.has_ended = true);
    }
}

impl Stream for Announced {
    type Item = Changes;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Changes>> {
        let mut unread = lock(&self.0);
        if std::mem::take(&mut unread.all) {
            return Poll::Ready(Some(Changes::All));
        }
        if !unread.clusters.is_empty() {
            let clusters = std::mem::take(&mut unread.clusters);
            return Poll::Ready(Some(Changes::Of(clusters.into_iter().collect())));
        }
        if unread.has_ended {
            return Poll::Ready(None);
        }
        unread.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _};

    use super::{Announced, Announcements, Changes, LIMIT, NamespacedName};

    #[test]
    fn each_change_is_read_once_by_every_reader_and_the_streams_end_with_the_controller() {
        let announcements = Announcements::default();
        let mut readers = [announcements.subscribe(), announcements.subscribe()];
        let (east, west): (NamespacedName, NamespacedName) = ("east".into(), "west".into());
        for cluster in [&west, &east, &west] {
            announcements.changed(cluster);
        }
        let next = |reader: &mut Announced| reader.next().now_or_never();
        for reader in &mut readers {
            assert_eq!(next(reader), Some(Some(Changes::Of(vec![east.clone(), west.clone()]))));
            assert_eq!(next(reader), None);
        }
        announcements.changed(&east);
        announcements.all_changed();
        announcements.changed(&east);
        assert_eq!(next(&mut readers[0]), Some(Some(Changes::All)));
        assert_eq!(next(&mut readers[0]), None, "all includes what changed before it was read");
        drop(announcements);
        assert_eq!((next(&mut readers[0]), next(&mut readers[1])), (Some(None), Some(Some(Changes::All))));
    }

    #[test]
    fn a_reader_that_reads_nothing_keeps_a_bounded_number_of_names() {
        let announcements = Announcements::default();
        let mut reader = announcements.subscribe();
        for number in 0..=LIMIT {
            announcements.changed(&format!("cluster-{number}").as_str().into());
        }
        assert_eq!(reader.next().now_or_never(), Some(Some(Changes::All)));
        announcements.changed(&"east".into());
        assert_eq!(reader.next().now_or_never(), Some(Some(Changes::Of(vec!["east".into()]))));
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken() {
        let announcements = Announcements::default();
        let mut reader = announcements.subscribe();
        let reading = tokio::spawn(async move { reader.next().await });
        tokio::task::yield_now().await;
        announcements.changed(&"east".into());
        assert_eq!(reading.await.unwrap(), Some(Changes::Of(vec!["east".into()])));
    }
}
