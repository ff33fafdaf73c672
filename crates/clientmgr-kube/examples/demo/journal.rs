//! The journal: what happens, as a timeline for the reader and as events that the scenario waits for.

use std::fmt;
use std::time::{Duration, Instant};

use clientmgr_kube::ConnectedAt;
use tokio::sync::watch;

use crate::say;

/// How long the scenario waits for what must happen. It usually takes milliseconds.
const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// The status of a cluster object was written.
    Published { cluster: String, connected_at: Option<ConnectedAt>, error: Option<String> },
    /// The status of a cluster object could not be written.
    Unpublished { cluster: String, error: String },
    /// A beacon's state was built on a client.
    Built { beacon: String, cluster: String, connected_at: Option<ConnectedAt> },
    /// A beacon's state was torn down.
    TornDown { beacon: String, cluster: String, connected_at: Option<ConnectedAt> },
    /// A beacon's message was written to its cluster.
    Wrote { beacon: String, cluster: String, message: String },
    /// A beacon's watch saw a message on its cluster.
    Saw { beacon: String, cluster: String, message: String },
    /// A beacon's watch ended because its client was revoked.
    Revoked { beacon: String, cluster: String, error: String },
    /// A beacon got no client.
    Refused { beacon: String, cluster: String, why: Refusal, error: String },
    /// A beacon was deleted, and nothing of it is left.
    Forgotten { beacon: String },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// The cluster object trails its connection.
    Stale,
    /// There is no client for now.
    Unavailable,
    /// The client is there and the write failed.
    WriteFailed,
}

#[derive(Debug, thiserror::Error)]
#[error("after {} s still waiting for: {awaited}", DEADLINE.as_secs())]
pub(crate) struct Missing {
    awaited: String,
}

/// Cheap to clone; all clones are one journal.
#[derive(Clone)]
pub(crate) struct Journal {
    begun: Instant,
    events: watch::Sender<Vec<Event>>,
    quiet: bool,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), events: watch::Sender::default(), quiet: cfg!(test) }
    }

    pub(crate) fn tell(&self, event: Event) {
        self.note(&event);
        self.events.send_modify(|events| events.push(event));
    }

    /// A line that is no event.
    pub(crate) fn note(&self, text: impl fmt::Display) {
        if !self.quiet {
            say(format_args!("{:8.3} s  {text}", self.begun.elapsed().as_secs_f64()));
        }
    }

    /// A heading: what is done next.
    pub(crate) fn title(&self, text: &str) {
        if !self.quiet {
            say(format_args!("\n── {text}"));
        }
    }

    /// Waits until `happened` is true of all that happened so far.
    pub(crate) async fn until(&self, awaited: &str, happened: impl Fn(&[Event]) -> bool) -> Result<(), Missing> {
        let mut events = self.events.subscribe();
        // The journal holds the sender: waiting ends with what happened.
        let happened = async { drop(events.wait_for(|events| happened(events)).await) };
        self.within_deadline(awaited, happened).await
    }

    pub(crate) async fn within_deadline(&self, awaited: &str, what: impl Future<Output = ()>) -> Result<(), Missing> {
        let missing = |_| Missing { awaited: awaited.to_owned() };
        tokio::time::timeout(DEADLINE, what).await.map_err(missing)
    }

    /// How many events there are so far. What comes later is [`since`](Self::since) it.
    pub(crate) fn mark(&self) -> usize {
        self.events.borrow().len()
    }

    /// Waits for an event after `mark` that `matches`.
    pub(crate) async fn since(
        &self,
        mark: usize,
        awaited: &str,
        matches: impl Fn(&Event) -> bool,
    ) -> Result<(), Missing> {
        self.until(awaited, |events| events[mark..].iter().any(&matches)).await
    }

    pub(crate) fn count_since(&self, mark: usize, matches: impl Fn(&Event) -> bool) -> usize {
        self.events.borrow()[mark..].iter().filter(|event| matches(event)).count()
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |connected_at: &Option<ConnectedAt>| {
            connected_at.map_or_else(|| "none".to_owned(), |revision| revision.to_string()[11..].to_owned())
        };
        match self {
            Self::Published { cluster, connected_at, error: None } => {
                write!(f, "{cluster:7} connected, revision {}", of(connected_at))
            }
            Self::Published { cluster, connected_at, error: Some(error) } => {
                write!(f, "{cluster:7} unavailable, revision {}: {error}", of(connected_at))
            }
            Self::Unpublished { cluster, error } => write!(f, "{cluster:7} its status could not be written: {error}"),
            Self::Built { beacon, cluster, connected_at } => {
                write!(f, "{cluster:7} {beacon}: watch built on {}", of(connected_at))
            }
            Self::TornDown { beacon, cluster, connected_at } => {
                write!(f, "{cluster:7} {beacon}: watch on {} torn down", of(connected_at))
            }
            Self::Wrote { beacon, cluster, message } => write!(f, "{cluster:7} {beacon}: wrote {message:?}"),
            Self::Saw { beacon, cluster, message } => write!(f, "{cluster:7} {beacon}: its watch saw {message:?}"),
            Self::Revoked { beacon, cluster, error } => write!(f, "{cluster:7} {beacon}: its watch ended: {error}"),
            Self::Refused { beacon, cluster, error, .. } => write!(f, "{cluster:7} {beacon}: refused: {error}"),
            Self::Forgotten { beacon } => write!(f, "hub     {beacon}: deleted and forgotten"),
        }
    }
}
