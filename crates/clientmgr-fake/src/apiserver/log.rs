//! The request log: what was asked, by whom, how it was answered and how it ended; and waiting for it.
//!
//! It observes and never decides: nothing in the server depends on the log.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    api::route::RequestInfo,
    auth::{Fingerprint, Identity},
    requests::Requests,
};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The whole answer was given. A watch ends so when its `timeoutSeconds` have passed.
    Complete,
    /// A watch could not go on from its resource version: the client was told 410.
    Expired,
    /// The client went away.
    ClientGone,
    /// The server cut the connection: it was stopped, replaced or told to.
    ServerCut,
    /// The watch was ended on demand.
    EndedOnDemand,
    /// An injected fault ended it.
    Fault,
}

/// How and when a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// Wall-clock time.
    pub at: Timestamp,
    /// Time since the server was made, on tokio's clock (which tests can pause).
    pub after: Duration,
    /// Why.
    pub reason: EndReason,
}

/// One request the server has seen.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RequestRecord {
    /// Its place in the log: 0 is the server's first request.
    pub sequence: u64,
    /// When its head arrived, wall-clock time.
    pub time: Timestamp,
    /// When its head arrived, since the server was made, on tokio's clock (which tests can pause).
    pub after: Duration,
    /// The connection it came on. Each call of a socketless service is a connection of its own.
    pub connection: u64,
    /// The UID of the cluster that was behind the address.
    pub cluster_uid: Arc<str>,
    /// The user, `system:anonymous` without credentials, `None` if the credential was refused.
    pub user: Option<String>,
    /// Tells which credential was presented.
    pub fingerprint: Option<Fingerprint>,
    /// The HTTP method.
    pub method: http::Method,
    /// The query as sent, without the question mark.
    pub query: Option<String>,
    /// The status code, once answered.
    pub status: Option<u16>,
    /// How it ended, once it has. A watch is answered long before.
    pub ended: Option<Ended>,
    info: RequestInfo,
}

impl RequestRecord {
    /// The verb as RBAC spells it: `get`, `list`, `watch`, …
    pub fn verb(&self) -> &'static str {
        self.info.verb.as_str()
    }

    /// The decoded path, without the query.
    pub fn path(&self) -> &str {
        &self.info.path
    }

    /// Whether this is about a resource, as against `/version`, discovery or health.
    pub fn is_resource(&self) -> bool {
        self.info.is_resource
    }

    /// The API group; empty for the core group.
    pub fn group(&self) -> &str {
        &self.info.group
    }

    /// The API version.
    pub fn version(&self) -> &str {
        &self.info.version
    }

    /// The resource, `configmaps`; empty if it is not about one.
    pub fn resource(&self) -> &str {
        &self.info.resource
    }

    /// The subresource, `status`.
    pub fn subresource(&self) -> Option<&str> {
        self.info.subresource.as_deref()
    }

    /// The namespace.
    pub fn namespace(&self) -> Option<&str> {
        self.info.namespace.as_deref()
    }

    /// The object's name.
    pub fn name(&self) -> Option<&str> {
        self.info.name.as_deref()
    }
}

/// A place in the log. What is logged from here on comes after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Marker(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Arrived,
    Answered,
    Ended,
}

/// Which records of the log are meant: [`Requests`], and how far they have got.
///
/// ```
/// use clientmgr_fake::apiserver::{Logged, Requests};
///
/// let refused = Logged::from(Requests::to("configmaps")).status(401);
/// let watch_over = Logged::from(Requests::any().verb("watch")).ended();
/// # _ = (refused, watch_over);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a filter does nothing until it is given to the server"]
pub struct Logged {
    requests: Requests,
    since: Marker,
    fingerprint: Option<Fingerprint>,
    status: Option<u16>,
    stage: Stage,
}

impl Logged {
    /// Every record.
    pub fn any() -> Self {
        Self::default()
    }

    /// Only requests that arrived after the marker was taken.
    pub fn since(mut self, marker: Marker) -> Self {
        self.since = marker;
        self
    }

    /// Only requests that presented this credential.
    pub fn with(mut self, fingerprint: Fingerprint) -> Self {
        self.fingerprint = Some(fingerprint);
        self
    }

    /// Only requests answered with this status code.
    pub fn status(mut self, code: u16) -> Self {
        self.status = Some(code);
        self
    }

    /// Only requests that have been answered (a watch: opened).
    pub fn answered(mut self) -> Self {
        self.stage = Stage::Answered;
        self
    }

    /// Only requests that are over.
    pub fn ended(mut self) -> Self {
        self.stage = Stage::Ended;
        self
    }

    fn matches(&self, record: &RequestRecord) -> bool {
        record.sequence >= self.since.0
            && self.fingerprint.is_none_or(|wanted| record.fingerprint == Some(wanted))
            && self.status.is_none_or(|wanted| record.status == Some(wanted))
            && match self.stage {
                Stage::Arrived => true,
                Stage::Answered => record.status.is_some(),
                Stage::Ended => record.ended.is_some(),
            }
            && self.requests.matches(&record.info, record.user.as_deref())
    }
}

impl From<Requests> for Logged {
    fn from(requests: Requests) -> Self {
        Self { requests, ..Self::default() }
    }
}

/// What is known of a request when its head has been read.
pub(crate) struct Arrival<'a> {
    pub(crate) connection: u64,
    pub(crate) cluster_uid: Arc<str>,
    pub(crate) identity: &'a Identity,
    pub(crate) user: Option<&'a str>,
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
    epoch: Instant,
}

impl Log {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { records: Mutex::default(), changed: Notify::new(), capacity: capacity.max(1), epoch: Instant::now() }
    }

    /// Writes a request down; the entry follows it to its end.
    pub(crate) fn begin(self: &Arc<Self>, arrival: &Arrival<'_>, cut: CancellationToken) -> Entry {
        let mut records = self.lock();
        let sequence = records.next();
        records.kept.push_back(RequestRecord {
            sequence,
            time: Timestamp::now(),
            after: self.epoch.elapsed(),
            connection: arrival.connection,
            cluster_uid: Arc::clone(&arrival.cluster_uid),
            user: arrival.user.map(str::to_owned),
            fingerprint: arrival.identity.fingerprint(),
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
    pub(crate) fn matching(&self, filter: &Logged) -> Vec<RequestRecord> {
        self.lock().kept.iter().filter(|record| filter.matches(record)).cloned().collect()
    }

    /// The oldest record that matches, as soon as there is one.
    pub(crate) async fn wait_for(&self, filter: &Logged) -> RequestRecord {
        loop {
            // Listening starts before looking: what happens in between wakes us again.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let found = self.lock().kept.iter().find(|record| filter.matches(record)).cloned();
            if let Some(record) = found {
                return record;
            }
            changed.await;
        }
    }

    fn update(&self, sequence: u64, change: impl FnOnce(&mut RequestRecord, Duration)) {
        let after = self.epoch.elapsed();
        if let Some(record) = self.lock().find(sequence) {
            change(record, after);
        }
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request on its way. Dropped before it is over, it says who left: the server, if it cut the connection,
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
            let ended = |record: &mut RequestRecord, after| {
                record.ended = Some(Ended { at: Timestamp::now(), after, reason });
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

    fn arrive(log: &Arc<Log>, path: &str, cut: &CancellationToken) -> Entry {
        let info = RequestInfo::parse(&http::Method::GET, path, None);
        let arrival = Arrival {
            connection: 1,
            cluster_uid: "uid".into(),
            identity: &Identity::Anonymous,
            user: Some("system:anonymous"),
            method: &http::Method::GET,
            query: None,
            info: &info,
        };
        log.begin(&arrival, cut.clone())
    }

    fn reason(log: &Log, sequence: u64) -> Option<EndReason> {
        log.matching(&Logged::any()).iter().find(|record| record.sequence == sequence)?.ended.map(|e| e.reason)
    }

    #[test]
    fn the_first_reason_to_end_counts_and_a_drop_tells_who_left() {
        let (log, cut) = (Arc::new(Log::new(10)), CancellationToken::new());
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
        let (log, cut) = (Arc::new(Log::new(2)), CancellationToken::new());
        let first = arrive(&log, "/0", &cut);
        for path in ["/1", "/2"] {
            arrive(&log, path, &cut).ended(EndReason::Complete);
        }
        first.answered(200); // no longer kept: nothing to update, nothing else touched
        let kept: Vec<_> = log.matching(&Logged::any()).iter().map(|r| (r.sequence, r.status)).collect();
        assert_eq!((kept, log.lost()), (vec![(1, None), (2, None)], 1));
    }

    #[test]
    fn filters_compare_place_credential_status_and_stage() {
        let (log, cut) = (Arc::new(Log::new(10)), CancellationToken::new());
        let answered = arrive(&log, "/a", &cut);
        answered.answered(200);
        let marker = log.marker();
        let arrived = arrive(&log, "/b", &cut);
        let count = |filter: Logged| log.matching(&filter).len();
        assert_eq!(count(Logged::any()), 2);
        assert_eq!(count(Logged::any().since(marker)), 1);
        assert_eq!(count(Logged::any().answered()), 1);
        assert_eq!(count(Logged::any().status(200)), 1);
        assert_eq!(count(Logged::any().status(404)), 0);
        assert_eq!(count(Logged::any().ended()), 0);
        assert_eq!(count(Logged::any().with(Fingerprint::of_token("t"))), 0);
        drop((answered, arrived));
        assert_eq!(count(Logged::any().ended()), 2);
    }

    #[tokio::test]
    async fn waiting_sees_the_past_and_the_future() {
        let (log, cut) = (Arc::new(Log::new(10)), CancellationToken::new());
        drop(arrive(&log, "/past", &cut));
        assert_eq!(log.wait_for(&Requests::under("/past").into()).await.sequence, 0);
        let future = Logged::from(Requests::under("/future")).answered();
        let (found, ()) = tokio::join!(log.wait_for(&future), async {
            let entry = arrive(&log, "/future", &cut);
            tokio::task::yield_now().await;
            entry.answered(200);
        });
        assert_eq!(found.status, Some(200));
    }
}
