//! [`Progress`]: how far a watch is, and which objects an event wakes. Pure.

use std::sync::Arc;
use std::time::Instant;

use clientmgr_kube::Revoked;
use kube::runtime::watcher::{Error, Event};

use crate::watching::is_refusal;

/// How far a watch is.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// The store has the objects of a complete list. It stays so through outages and relists.
    pub(super) is_ready: bool,
    /// Why the last attempt at the first list failed.
    pub(super) failure: Option<Arc<Error>>,
    /// The last error since the store was ready, and when it was.
    pub(super) interruption: Option<(Instant, Arc<Error>)>,
    /// The watch is over.
    pub(super) end: Option<End>,
}

/// Why a watch is over.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// Its client is another incarnation's.
    Revoked(Revoked),
    /// No object uses it, or its task ended in a panic.
    Stopped,
}

/// Which of the objects that use a watch are to be reconciled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// No object.
    Nothing,
    /// The objects that the mapper names.
    Mapped,
    /// All objects that use the watch.
    All,
}

impl Progress {
    /// Follows an event.
    pub(super) fn event<K>(&mut self, event: &Event<K>) -> Wake {
        match event {
            // The store changes when the list is complete.
            Event::Init | Event::InitApply(_) => Wake::Nothing,
            Event::Apply(_) | Event::Delete(_) => {
                self.interruption = None;
                Wake::Mapped
            }
            // After a relist no event says which objects were deleted meanwhile.
            Event::InitDone => {
                (self.is_ready, self.failure, self.interruption) = (true, None, None);
                Wake::All
            }
        }
    }

    /// Follows an error. The watch goes on unless its client was revoked.
    pub(super) fn fail(&mut self, error: Error, now: Instant) -> Wake {
        if let Some(revoked) = Revoked::find(&error) {
            self.end = Some(End::Revoked(revoked.clone()));
            return Wake::All;
        }
        if self.is_ready {
            // The store is current as of the outage, and the watch resumes: unless the server refuses it.
            let was_refused = self.interruption.as_ref().is_some_and(|(_, error)| is_refusal(error));
            let wake = if is_refusal(&error) && !was_refused { Wake::All } else { Wake::Nothing };
            self.interruption = Some((now, Arc::new(error)));
            return wake;
        }
        let is_first = self.failure.replace(Arc::new(error)).is_none();
        if is_first { Wake::All } else { Wake::Nothing }
    }

    /// Ends a watch that has not ended by itself.
    pub(super) fn stop(&mut self) -> Wake {
        if self.end.is_some() {
            return Wake::Nothing;
        }
        self.end = Some(End::Stopped);
        Wake::All
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use kube::core::Status;
    use kube::runtime::watcher::Error;
    use kube::runtime::watcher::Event::{Apply, Delete, Init, InitApply, InitDone};

    use super::{Progress, Wake};

    /// Where a watch can be: before its first list, after a failed attempt, and ready.
    fn places() -> [Progress; 3] {
        let failed = Progress { failure: Some(Error::NoResourceVersion.into()), ..Progress::default() };
        let ready = Progress { is_ready: true, ..Progress::default() };
        [Progress::default(), failed, ready]
    }

    #[test]
    fn every_event_in_every_place_wakes_whom_it_concerns() {
        let table = [
            (Init, Wake::Nothing),
            (InitApply(()), Wake::Nothing),
            (Apply(()), Wake::Mapped),
            (Delete(()), Wake::Mapped),
            (InitDone, Wake::All),
        ];
        for (event, wake) in table {
            for mut progress in places() {
                let was_ready = progress.is_ready;
                assert_eq!(progress.event(&event), wake, "{event:?}");
                assert_eq!(progress.is_ready, was_ready || matches!(event, InitDone), "{event:?}");
                assert!(progress.end.is_none());
            }
        }
    }

    #[test]
    fn only_the_first_failure_before_the_store_is_ready_wakes() {
        let expected = [(Wake::All, true), (Wake::Nothing, true), (Wake::Nothing, false)];
        for (mut progress, (wake, is_failed)) in places().into_iter().zip(expected) {
            assert_eq!(progress.fail(Error::NoResourceVersion, Instant::now()), wake, "{progress:?}");
            assert_eq!(progress.failure.is_some(), is_failed);
            progress.event(&InitDone::<()>);
            assert!(progress.is_ready && progress.failure.is_none());
        }
    }

    #[test]
    fn a_refusal_after_the_store_is_ready_wakes_once_and_any_error_shows_until_the_next_event() {
        let refused = || {
            let status = Status::failure("forbidden", "Forbidden").with_code(403).boxed();
            Error::WatchStartFailed(kube::Error::Api(status))
        };
        let [_, _, mut ready] = places();
        let now = Instant::now();
        assert_eq!(ready.fail(Error::NoResourceVersion, now), Wake::Nothing, "an outage");
        assert!(ready.interruption.is_some());
        assert_eq!((ready.fail(refused(), now), ready.fail(refused(), now)), (Wake::All, Wake::Nothing));
        ready.event(&Apply(()));
        assert!(ready.interruption.is_none() && ready.is_ready);
        assert_eq!(ready.fail(refused(), now), Wake::All);
    }

    #[test]
    fn a_watch_ends_once() {
        for mut progress in places() {
            assert_eq!((progress.stop(), progress.stop()), (Wake::All, Wake::Nothing));
            assert!(progress.end.is_some());
        }
    }
}
