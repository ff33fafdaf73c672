//! The decision of one candidate, as a pure state machine. The local monotonic time and the server's answers go in; the
//! next request, and whether the candidate is the leader, come out.
//!
//! Two rules make it safe. A candidate is the leader only until `renew_deadline` after it *sent* the last write that was
//! confirmed. It takes the lease of another one only when it saw no change for `duration`, and only with the resource
//! version that it saw. The server takes one of two such writes.

use std::time::Duration;

use super::record::{Record, Versioned};
use super::timings::LeaseTimings;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Read the lease.
    Read,
    /// Write the lease: create it without a version, else replace that version.
    Write { record: Record, version: Option<String> },
    /// Do nothing until then.
    Wait { until: Duration },
}

/// What is known of the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    /// It was not read yet, or what was read is out of date.
    Unread,
    /// There is none.
    Absent,
    /// It was read or written, and may be replaced.
    Current,
}

/// One candidate.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    identity: String,
    timings: LeaseTimings,
    known: Known,
    /// The last version that was seen, and when it was first seen. Stays while a newer one is being read.
    seen: Option<(Versioned, Duration)>,
    /// Until when this candidate is the leader.
    held_until: Option<Duration>,
    /// Not before then.
    next_at: Duration,
}

impl Machine {
    pub(super) fn new(identity: String, timings: LeaseTimings) -> Self {
        Self { identity, timings, known: Known::Unread, seen: None, held_until: None, next_at: Duration::ZERO }
    }

    /// Returns whether this candidate is the leader. Ask each time; the answer is not valid later.
    pub(super) fn is_leader(&self, now: Duration) -> bool {
        self.held_until.is_some_and(|until| now < until)
    }

    /// Returns until when this candidate is the leader, if it is.
    pub(super) fn held_until(&self, now: Duration) -> Option<Duration> {
        self.held_until.filter(|until| now < *until)
    }

    pub(super) fn next(&self, now: Duration) -> Step {
        if now < self.next_at {
            return Step::Wait { until: self.next_at };
        }
        match (&self.known, &self.seen) {
            (Known::Absent, _) => Step::Write { record: self.record(None), version: None },
            (Known::Current, Some((seen, at))) if self.may_write(seen, *at, now) => {
                Step::Write { record: self.record(Some(&seen.record)), version: Some(seen.version.clone()) }
            }
            _ => Step::Read,
        }
    }

    fn may_write(&self, seen: &Versioned, at: Duration, now: Duration) -> bool {
        let holder = &seen.record.holder;
        let lasts = seen.record.duration.max(self.timings.duration);
        *holder == self.identity || holder.is_empty() || now.saturating_sub(at) >= lasts
    }

    fn record(&self, current: Option<&Record>) -> Record {
        let acquired = current.is_none_or(|current| current.holder != self.identity);
        let transitions = current.map_or(0, |current| current.transitions.saturating_add(i32::from(acquired)));
        Record { holder: self.identity.clone(), duration: self.timings.duration, transitions, acquired }
    }

    /// The lease was read; `None` where there is none.
    pub(super) fn read(&mut self, now: Duration, found: Option<Versioned>) {
        let Some(found) = found else {
            self.known = Known::Absent;
            self.seen = None;
            self.held_until = None;
            return;
        };
        self.known = Known::Current;
        let is_mine = found.record.holder == self.identity;
        if !is_mine {
            self.held_until = None;
        }
        let since = match &self.seen {
            Some((seen, at)) if seen.version == found.version => *at,
            _ => now,
        };
        let may_write = self.may_write(&found, since, now);
        self.seen = Some((found, since));
        // Look again in a while; take it at once where it is free.
        self.next_at = if may_write { now } else { now + self.timings.retry };
    }

    /// The lease could not be read.
    pub(super) fn read_failed(&mut self, now: Duration) {
        self.next_at = now + self.timings.retry;
    }

    /// The write that was sent at `sent` was confirmed.
    pub(super) fn written(&mut self, sent: Duration, now: Duration, written: Versioned) {
        self.held_until = Some(sent + self.timings.renew_deadline);
        self.seen = Some((written, now));
        self.known = Known::Current;
        self.next_at = now + self.timings.retry;
    }

    /// The write was refused: the lease has changed, or it exists, or it is gone.
    pub(super) fn conflicted(&mut self, now: Duration) {
        self.known = Known::Unread;
        self.next_at = now;
    }

    /// The write was not answered, or with an error. The server may have stored it.
    pub(super) fn write_failed(&mut self, now: Duration) {
        self.known = Known::Unread;
        self.next_at = now + self.timings.retry;
    }

    /// Gives up the lease: this candidate is no longer the leader. Read the lease then: a write may have been under way.
    pub(super) fn resign(&mut self) {
        self.held_until = None;
    }

    /// Returns what to write in place of `found`, which was read after [`resign`](Self::resign), so that another one need not
    /// wait; nothing where this candidate does not hold it.
    pub(super) fn release(&self, found: &Versioned) -> Option<(Record, String)> {
        let is_mine = found.record.holder == self.identity;
        let released = Record {
            holder: String::new(),
            duration: Duration::from_secs(1),
            transitions: found.record.transitions,
            acquired: false,
        };
        is_mine.then(|| (released, found.version.clone()))
    }
}
