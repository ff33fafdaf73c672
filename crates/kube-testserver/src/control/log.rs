//! The request log: what was asked, by whom, how it was answered and how it ended; and waiting for it.
//!
//! It observes and never decides: nothing in the server depends on the log.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    access::authn::Identity,
    clock::Clock,
    control::{
        record::{EndReason, Ended, Marker, RequestRecord},
        requests::{LogFilter, Requests},
    },
    wire::route::RequestInfo,
};

/// What is known of a request when its head has been read.
pub(crate) struct Arrival<'a> {
    pub(crate) connection: u64,
    pub(crate) cluster_uid: Arc<str>,
    pub(crate) identity: &'a Identity,
    pub(crate) user: Option<&'a str>,
    pub(crate) http_version: http::Version,
    pub(crate) method: &'a http::Method,
    pub(crate) query: Option<&'a str>,
    pub(crate) info: &'a RequestInfo,
}

#[derive(Debug, Default)]
struct Records {
    kept: VecDeque<RequestRecord>,
    /// How many were dropped from the front, which is also the sequence of the first kept.
    lost: u64,
}

impl Records {
    fn next(&self) -> u64 {
        self.lost + self.kept.len() as u64
    }

    fn find(&mut self, sequence: u64) -> Option<&mut RequestRecord> {
        let index = usize::try_from(sequence.checked_sub(self.lost)?).ok()?;
        self.kept.get_mut(index)
    }
}

/// The log itself. It keeps the last `capacity` requests.
#[derive(Debug)]
pub(crate) struct Log {
    records: Mutex<Records>,
    changed: Notify,
    capacity: usize,
    made: Instant,
    clock: Clock,
}

impl Log {
    pub(crate) fn new(capacity: usize, clock: Clock) -> Self {
        Self {
            records: Mutex::default(),
            changed: Notify::new(),
            capacity: capacity.max(1),
            made: Instant::now(),
            clock,
        }
    }

    /// Writes a request down; the entry follows it to its end.
    pub(crate) fn begin(self: &Arc<Self>, arrival: &Arrival<'_>, cut: CancellationToken) -> Entry {
        let mut records = self.lock();
        let sequence = records.next();
        records.kept.push_back(RequestRecord {
            sequence,
            time: self.clock.now(),
            after: self.made.elapsed(),
            connection: arrival.connection,
            cluster_uid: Arc::clone(&arrival.cluster_uid),
            user: arrival.user.map(str::to_owned),
            fingerprint: arrival.identity.fingerprint(),
            http_version: arrival.http_version,
            method: arrival.method.clone(),
            query: arrival.query.map(str::to_owned),
            status: None,
            ended: None,
            info: arrival.info.clone(),
        });
        if records.kept.len() > self.capacity {
            records.kept.pop_front();
            records.lost += 1;
        }
        drop(records);
        self.changed.notify_waiters();
        Entry { log: Arc::clone(self), sequence, cut, over: false }
    }

    /// The place behind the last request.
    pub(crate) fn marker(&self) -> Marker {
        Marker(self.lock().next())
    }

    /// How many records were dropped to stay within the capacity.
    pub(crate) fn lost(&self) -> u64 {
        self.lock().lost
    }

    /// The records that match, oldest first.
    pub(crate) fn matching(&self, filter: &Requests<LogFilter>) -> Vec<RequestRecord> {
        self.lock().kept.iter().filter(|record| filter.matches_record(record)).cloned().collect()
    }

    /// The oldest record that matches, as soon as there is one.
    pub(crate) async fn wait_for(&self, filter: &Requests<LogFilter>) -> RequestRecord {
        loop {
            // Listening starts before looking: what happens in between wakes us again.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let found = self.lock().kept.iter().find(|record| filter.matches_record(record)).cloned();
            if let Some(record) = found {
                return record;
            }
            changed.await;
        }
    }

    fn update(&self, sequence: u64, change: impl FnOnce(&mut RequestRecord, Duration)) {
        let after = self.made.elapsed();
        if let Some(record) = self.lock().find(sequence) {
            change(record, after);
        }
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request on its way. Dropped before it is over, it records the side that ended it: the server, if it cut the connection,
/// else the client.
#[derive(Debug)]
pub(crate) struct Entry {
    log: Arc<Log>,
    sequence: u64,
    cut: CancellationToken,
    over: bool,
}

impl Entry {
    /// The head of the answer is given.
    pub(crate) fn answered(&self, status: u16) {
        self.log.update(self.sequence, |record, _| record.status = Some(status));
    }

    /// The request is over. Only the first reason counts.
    pub(crate) fn ended(&mut self, reason: EndReason) {
        if !std::mem::replace(&mut self.over, true) {
            let at = self.log.clock.now();
            let ended = |record: &mut RequestRecord, after| {
                record.ended = Some(Ended { at, after, reason });
            };
            self.log.update(self.sequence, ended);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.ended(if self.cut.is_cancelled() { EndReason::ServerCut } else { EndReason::ClientGone });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{access::credential::Fingerprint, control::requests::Requests};
    use jiff::Timestamp;

    fn arrive(log: &Arc<Log>, path: &str, cut: &CancellationToken) -> Entry {
        let info = RequestInfo::parse(&http::Method::GET, path, None);
        let arrival = Arrival {
            connection: 1,
            cluster_uid: "uid".into(),
            identity: &Identity::Anonymous,
            user: Some("system:anonymous"),
            http_version: http::Version::HTTP_11,
            method: &http::Method::GET,
            query: None,
            info: &info,
        };
        log.begin(&arrival, cut.clone())
    }

    fn reason(log: &Log, sequence: u64) -> Option<EndReason> {
        log.matching(&Requests::any().into()).iter().find(|record| record.sequence == sequence)?.ended.map(|e| e.reason)
    }

    #[test]
    fn the_first_reason_to_end_counts_and_a_drop_records_the_side_that_left() {
        let (log, cut) = (Arc::new(Log::new(10, Clock::starting_at(Timestamp::UNIX_EPOCH))), CancellationToken::new());
        let mut entry = arrive(&log, "/a", &cut);
        entry.ended(EndReason::Complete);
        drop(entry);
        drop(arrive(&log, "/b", &cut));
        let open = arrive(&log, "/c", &cut);
        cut.cancel();
        drop(open);
        let reasons = [0, 1, 2].map(|sequence| reason(&log, sequence));
        assert_eq!(reasons, [EndReason::Complete, EndReason::ClientGone, EndReason::ServerCut].map(Some),);
    }

    #[test]
    fn the_log_keeps_the_newest_and_counts_what_it_lost() {
        let (log, cut) = (Arc::new(Log::new(2, Clock::starting_at(Timestamp::UNIX_EPOCH))), CancellationToken::new());
        let first = arrive(&log, "/0", &cut);
        for path in ["/1", "/2"] {
            arrive(&log, path, &cut).ended(EndReason::Complete);
        }
        first.answered(200); // no longer kept: nothing to update, nothing else touched
        let kept: Vec<_> = log.matching(&Requests::any().into()).iter().map(|r| (r.sequence, r.status)).collect();
        assert_eq!((kept, log.lost()), (vec![(1, None), (2, None)], 1));
    }

    #[test]
    fn filters_compare_place_credential_status_and_stage() {
        let (log, cut) = (Arc::new(Log::new(10, Clock::starting_at(Timestamp::UNIX_EPOCH))), CancellationToken::new());
        let answered = arrive(&log, "/a", &cut);
        answered.answered(200);
        let marker = log.marker();
        let arrived = arrive(&log, "/b", &cut);
        let count = |filter: Requests<LogFilter>| log.matching(&filter).len();
        assert_eq!(count(Requests::any().into()), 2);
        assert_eq!(count(Requests::any().since(marker)), 1);
        assert_eq!(count(Requests::any().answered()), 1);
        assert_eq!(count(Requests::any().status(200)), 1);
        assert_eq!(count(Requests::any().status(404)), 0);
        assert_eq!(count(Requests::any().ended()), 0);
        assert_eq!(count(Requests::any().with(Fingerprint::of_token("t"))), 0);
        drop((answered, arrived));
        assert_eq!(count(Requests::any().ended()), 2);
    }

    #[tokio::test]
    async fn waiting_sees_the_past_and_the_future() {
        let (log, cut) = (Arc::new(Log::new(10, Clock::starting_at(Timestamp::UNIX_EPOCH))), CancellationToken::new());
        drop(arrive(&log, "/past", &cut));
        assert_eq!(log.wait_for(&Requests::under("/past").into()).await.sequence, 0);
        let future = Requests::under("/future").answered();
        let (found, ()) = tokio::join!(log.wait_for(&future), async {
            let entry = arrive(&log, "/future", &cut);
            tokio::task::yield_now().await;
            entry.answered(200);
        });
        assert_eq!(found.status, Some(200));
    }
}
