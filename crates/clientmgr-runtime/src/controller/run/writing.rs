//! The statuses that the loop writes: when they are due, and what follows from the answers.

use std::sync::Arc;
use std::time::Duration;

use clientmgr_kube::NamespacedName;
use tokio::time::{Instant, timeout};

use super::{LAST_WRITES, Loop, WRITES};
use crate::controller::backoff::backoff;
use crate::controller::entry::Entry;
use crate::controller::writes::{Outcome, Written};
use crate::watching::{Failure, jittered};

impl Loop {
    /// Writes the statuses whose time has come, as they are now.
    pub(super) fn write_due(&mut self) {
        let now = Instant::now();
        while self.writes.under_way() < WRITES
            && self.due.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, key)) = self.due.pop_first()
        {
            let Some(entry) = self.entries.get(&key) else { continue };
            let status = self.decide(&key, entry).status;
            let may_write = self.role.may_write();
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            entry.write_at = None;
            if let Some(status) = status.filter(|_| may_write) {
                entry.is_writing = true;
                self.writes.apply(&entry.cluster, &status);
            }
        }
    }

    /// Decides again after a pause what to write, if it is still to be written then.
    fn write_later(&mut self, key: &NamespacedName) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.failures += 1;
        let at = Instant::now() + jittered(backoff(entry.failures));
        entry.write_at = Some(at);
        self.due.insert((at, key.clone()));
    }

    pub(super) fn written(&mut self, written: Written) {
        let (key, now) = (written.cluster, (self.clock)());
        // It may have been deleted and made again meanwhile.
        let of_this = |entry: &&mut Entry| entry.cluster.metadata.uid == written.before.metadata.uid;
        let Some(entry) = self.entries.get_mut(&key).filter(of_this) else { return };
        entry.is_writing = false;
        match written.outcome {
            Outcome::Stored(stored) => {
                entry.failures = 0;
                self.write_reports.clear();
                let before = &written.before;
                let is_unchanged = stored.metadata.resource_version == before.metadata.resource_version;
                if written.status.error.is_some()
                    && before.status.as_ref().is_none_or(|it| it.error != written.status.error)
                {
                    entry.outage_written = Some(Instant::now());
                }
                self.writes.publish(before.status.as_ref(), &stored);
                if !entry.is_newer_than(&stored) {
                    entry.take(Arc::new(*stored), now);
                }
                // Where another one owns a part of the status, the same write would follow without end.
                entry.without_effect = is_unchanged.then_some(written.status);
            }
            // The watch brings what changed, if it has not yet. If nothing has, a replica of the API server that just starts
            // does not know the resource yet.
            Outcome::Outdated
                if entry.cluster.metadata.resource_version == written.before.metadata.resource_version =>
            {
                self.write_later(&key);
            }
            // It has changed meanwhile.
            Outcome::Outdated => {}
            Outcome::Failed(error) => {
                let failure = Failure::of(&error);
                let what = format_args!("writing the status of {key}");
                self.write_reports.log(&failure, what, explained(&failure));
                self.write_later(&key);
            }
        }
        self.reconcile(&key);
    }

    /// Writes what is known and not written, once, and waits for what is under way: for [`LAST_WRITES`] at most.
    pub(in crate::controller) async fn finish(&mut self) {
        self.delay = Duration::ZERO;
        // The last events may not have been read.
        self.reconcile_all();
        let now = Instant::now();
        for (_, key) in std::mem::take(&mut self.due) {
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.write_at = Some(now);
                self.due.insert((now, key));
            }
        }
        let writing = async {
            loop {
                self.write_due();
                if self.writes.under_way() == 0 {
                    break;
                }
                let written = self.writes.written().await;
                self.written(written);
            }
            self.writes.published().await;
        };
        if timeout(LAST_WRITES, writing).await.is_err() {
            tracing::warn!(
                "the hub did not take the last statuses within {LAST_WRITES:?}: the next process writes them"
            );
        }
    }
}

/// Returns why a status cannot be written, and what helps.
fn explained(failure: &Failure) -> String {
    match failure {
        Failure::Forbidden(_) => format!("{failure}: allow this process to patch clusters/status, as deploy/rbac does"),
        Failure::Unauthorized(_) => format!("{failure}: renew the credentials of this process"),
        _ => failure.to_string(),
    }
}
