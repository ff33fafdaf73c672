//! [`LeaderElection`]: the shell around the machine. Sends its requests, and publishes whether it leads.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::PostParams;
use tokio::sync::watch;

use super::leadership::{Leadership, Term};
use super::machine::{Machine, Step};
use super::record::{Record, Versioned};
use super::timings::LeaseTimings;

/// A candidate for a `Lease`: of several replicas, at most one is the leader at a time.
///
/// [`run`](Self::run) takes part in the election until it is stopped, and then releases the lease. Give a [`Leadership`] to
/// the code that must know whether this replica is the leader.
///
/// The Lease is created where it is missing; its namespace must exist. The candidate needs the rights `get`, `create` and
/// `update` on it.
///
/// # The bound
///
/// At no time do two candidates believe to be the leader, as long as the rates of their clocks differ by less than
/// [`LeaseTimings`] says. Times are measured by monotonic clocks, from the last change that was *seen*: clocks that are
/// set differently do no harm. A process that was stopped is no longer the leader when it goes on. A request that it sent
/// before may still arrive: send it with the resource version that was read, so that the server refuses it. Deleting the
/// Lease by hand breaks the promise for as long as the renew deadline.
///
/// # Examples
///
/// ```no_run
/// use clientmgr_runtime::kube::{Api, Client};
/// use clientmgr_runtime::lease::LeaderElection;
///
/// # async fn run(client: Client) {
/// let leases = Api::namespaced(client, "fleet-system");
/// let election = LeaderElection::new(leases, "fleet-controller").identity("pod-7d9f");
/// let leadership = election.leadership();
/// tokio::spawn(election.run(std::future::pending()));
/// println!("leader: {}", leadership.is_leader());
/// # }
/// ```
#[derive(Debug)]
#[must_use = "call `run`"]
pub struct LeaderElection {
    leases: Api<Lease>,
    name: String,
    identity: String,
    timings: LeaseTimings,
    term: watch::Sender<Option<Term>>,
}

/// A candidate that takes part.
struct Candidate {
    transport: Transport,
    machine: Machine,
    timings: LeaseTimings,
    start: Instant,
    term: watch::Sender<Option<Term>>,
    /// Whether a write was sent: then the lease may be this candidate's.
    has_written: bool,
}

/// Why a request for the lease failed. The election goes on, and the log has the reason.
#[derive(Debug, thiserror::Error)]
enum ElectionError {
    /// The API server did not answer, or refused the request.
    #[error(
        "the lease cannot be read or written: check the API server, the lease's namespace, and the rights to get, create and \
         update it"
    )]
    Request(#[source] kube::Error),
    /// The API server took too long.
    #[error("the API server did not answer within {deadline:?}")]
    TimedOut {
        /// How long was waited.
        deadline: Duration,
    },
}

#[derive(Debug)]
struct Transport {
    leases: Api<Lease>,
    name: String,
    deadline: Duration,
    /// The lease as it was read last: a write keeps the fields that are not of concern here.
    last: Option<Lease>,
}

/// How a write ended.
enum Written {
    Stored(Versioned),
    Conflict,
}

impl LeaderElection {
    /// Returns a candidate for the Lease `name` of `leases`, which is an `Api` of one namespace.
    pub fn new(leases: Api<Lease>, name: impl Into<String>) -> Self {
        Self {
            leases,
            name: name.into(),
            identity: "candidate".to_owned(),
            timings: LeaseTimings::default(),
            term: watch::Sender::new(None),
        }
    }

    /// Sets what names this replica in the Lease: its Pod's name, say. It need not be unique: a random suffix is added, so
    /// that a replica also differs from a predecessor of the same name.
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        self.identity = identity.into();
        self
    }

    /// Sets how long the lease lasts. All candidates should have the same timings.
    pub fn timings(mut self, timings: LeaseTimings) -> Self {
        self.timings = timings;
        self
    }

    /// Returns a handle that says whether this replica is the leader.
    pub fn leadership(&self) -> Leadership {
        Leadership::new(self.term.subscribe())
    }

    /// Takes part in the election until `shutdown` completes, and then releases the lease, also where a renewal is under
    /// way. A candidate that never wrote the lease sends nothing then. A Lease whose creation is under way may be stored
    /// after the end; it expires.
    ///
    /// An API server that does not answer delays the end by up to twice the renew deadline.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends leadership at once. The lease is not released: the others take it when it has expired.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        Candidate::new(self).run(shutdown).await;
    }
}

impl Candidate {
    fn new(election: LeaderElection) -> Self {
        let LeaderElection { leases, name, identity, timings, term } = election;
        let suffix = RandomState::new().hash_one((&identity, std::process::id()));
        Self {
            transport: Transport { leases, name, deadline: timings.renew_deadline / 2, last: None },
            machine: Machine::new(format!("{identity}_{suffix:016x}"), timings),
            timings,
            start: Instant::now(),
            term,
            has_written: false,
        }
    }

    async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let step = self.machine.next(self.now());
            tokio::select! {
                () = &mut shutdown => break,
                // Before anything else is awaited: a request that hangs must not prolong the term.
                () = self.take(step) => {}
            }
        }
        self.release().await;
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Does what the machine asked for. Ends early where the term ends, so that this is published in time.
    async fn take(&mut self, step: Step) {
        let held_until = self.machine.held_until(self.now());
        if held_until.is_none() {
            // It may have ended between two steps.
            publish(&self.term, None);
        }
        let term_ends = held_until.map(|until| tokio::time::Instant::from_std(self.start + until));
        let (start, sent, sent_wall) = (self.start, self.now(), SystemTime::now());
        let (transport, machine, term) = (&mut self.transport, &mut self.machine, &self.term);
        let lasts = self.timings.renew_deadline;
        self.has_written |= matches!(step, Step::Write { .. });
        let work = async {
            match step {
                Step::Wait { until } => tokio::time::sleep_until((start + until).into()).await,
                Step::Read => match transport.read().await {
                    Ok(found) => {
                        machine.read(start.elapsed(), found);
                        if !machine.is_leader(start.elapsed()) {
                            publish(term, None);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "reading the lease failed");
                        machine.read_failed(start.elapsed());
                    }
                },
                Step::Write { record, version } => match transport.write(&record, version.as_deref()).await {
                    Ok(Written::Stored(written)) => {
                        machine.written(sent, start.elapsed(), written);
                        publish(term, Some(Term { sent: start + sent, sent_wall, lasts }));
                    }
                    Ok(Written::Conflict) => machine.conflicted(start.elapsed()),
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "writing the lease failed");
                        machine.write_failed(start.elapsed());
                    }
                },
            }
        };
        let ending = async {
            match term_ends {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
            publish(term, None);
        };
        // The term may end while the request is under way; the request goes on.
        let mut work = std::pin::pin!(work);
        tokio::select! {
            () = &mut work => return,
            () = ending => {}
        }
        work.await;
    }

    async fn release(&mut self) {
        self.machine.resign();
        publish(&self.term, None);
        if !self.has_written {
            return;
        }
        if let Err(error) = self.try_release().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "releasing the lease failed: it expires by itself"
            );
        }
    }

    /// Reads the lease and releases it. A renewal that was under way may be stored before or between: then once more.
    async fn try_release(&mut self) -> Result<(), ElectionError> {
        for _ in 0..2 {
            let release = self.transport.read().await?.and_then(|found| self.machine.release(&found));
            let Some((record, version)) = release else { return Ok(()) };
            if let Written::Stored(_) = self.transport.write(&record, Some(&version)).await? {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Drop for Candidate {
    /// Ends leadership at once: the others see a sender that is gone, and no term that goes on.
    fn drop(&mut self) {
        publish(&self.term, None);
    }
}

/// Publishes a term, and wakes its waiters only where leadership begins or ends. A term that had run out before it was
/// renewed began anew: readers may have seen it end.
fn publish(sender: &watch::Sender<Option<Term>>, term: Option<Term>) {
    sender.send_if_modified(|current| {
        let was_leader = current.is_some_and(|current| current.is_valid_now());
        let changed = was_leader != term.is_some() || current.is_some() != term.is_some();
        *current = term;
        changed
    });
}

impl Transport {
    async fn read(&mut self) -> Result<Option<Versioned>, ElectionError> {
        let found = within(self.deadline, self.leases.get_opt(&self.name)).await?;
        self.last = found;
        Ok(self.last.as_ref().map(Versioned::read))
    }

    async fn write(&mut self, record: &Record, version: Option<&str>) -> Result<Written, ElectionError> {
        let current = self.last.as_ref().filter(|_| version.is_some());
        let lease = record.to_lease(&self.name, version, current, Timestamp::now());
        let parameters = PostParams::default();
        let result = match version {
            None => within(self.deadline, self.leases.create(&parameters, &lease)).await,
            Some(_) => within(self.deadline, self.leases.replace(&self.name, &parameters, &lease)).await,
        };
        match result {
            Ok(stored) => {
                let written = Versioned::read(&stored);
                self.last = Some(stored);
                Ok(Written::Stored(written))
            }
            // Another one wrote it (409), or it was deleted (404). Where it cannot be created, its namespace is missing (404).
            Err(ElectionError::Request(kube::Error::Api(status)))
                if status.code == 409 || (status.code == 404 && version.is_some()) =>
            {
                Ok(Written::Conflict)
            }
            Err(error) => Err(error),
        }
    }
}

async fn within<T>(
    deadline: Duration,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ElectionError> {
    match tokio::time::timeout(deadline, request).await {
        Ok(answer) => answer.map_err(ElectionError::Request),
        Err(_elapsed) => Err(ElectionError::TimedOut { deadline }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use tokio::sync::watch;

    use super::{Api, Candidate, LeaderElection, Leadership, LeaseTimings, Record, Step, Term, Versioned, publish};

    #[tokio::test]
    async fn a_term_that_ends_between_two_steps_wakes() {
        let config = kube::Config::new(http::Uri::from_static("https://127.0.0.1:1"));
        let client = kube::Client::try_from(config).unwrap();
        let milliseconds = Duration::from_millis;
        let timings = LeaseTimings::new(milliseconds(40), milliseconds(20), milliseconds(10)).unwrap();
        let election = LeaderElection::new(Api::namespaced(client, "default"), "lease").timings(timings);
        let mut leadership = election.leadership();
        let mut election = Candidate::new(election);
        let record = Record { holder: "me".into(), duration: milliseconds(40), transitions: 0, acquired: true };
        let (sent, sent_wall) = (Instant::now(), SystemTime::now());
        let now = election.now();
        election.machine.written(now, now, Versioned { record, version: "1".into() });
        publish(&election.term, Some(Term { sent, sent_wall, lasts: timings.renew_deadline() }));
        assert!(leadership.changed().await);
        while election.machine.is_leader(election.now()) {
            tokio::task::yield_now().await;
        }
        let until = election.now();
        election.take(Step::Wait { until }).await;
        assert!(futures::FutureExt::now_or_never(leadership.changed()).unwrap() && !leadership.is_leader());
        drop(election);
        assert!(!leadership.changed().await, "the election has ended");
    }

    #[tokio::test]
    async fn only_the_begin_and_the_end_of_leadership_wake() {
        let sender = watch::Sender::new(None);
        let mut leadership = Leadership::new(sender.subscribe());
        let term = || Some(Term { sent: Instant::now(), sent_wall: SystemTime::now(), lasts: Duration::from_secs(60) });
        publish(&sender, term());
        assert!(leadership.is_leader());
        assert!(leadership.changed().await);
        {
            let mut changed = std::pin::pin!(leadership.changed());
            publish(&sender, term());
            assert!(futures::poll!(&mut changed).is_pending());
            publish(&sender, None);
            assert!(changed.await);
        }
        assert!(!leadership.is_leader());

        // It runs out, which is published late, after the renewal.
        publish(&sender, Some(Term { lasts: Duration::ZERO, ..term().unwrap() }));
        assert!(leadership.changed().await && !leadership.is_leader());
        publish(&sender, term());
        assert!(leadership.changed().await && leadership.is_leader());
        drop(sender);
        assert!(!leadership.changed().await);
    }
}
