//! What goes into a member's [machine](super::machine) and what comes out of it.

use std::collections::HashSet;
use std::time::Duration;

use clientmgr_core::ConnectedAt;

use crate::client::Report;
use crate::config::Naming;
use crate::fleet::timing::Expiry;

/// An identity that can be compared.
pub(crate) trait SameCluster: Clone {
    /// Whether both are known to be of one cluster.
    fn same(&self, other: &Self) -> bool;

    /// All that is known of one cluster: what `newer` does not say stays known.
    fn merged(self, newer: Self) -> Self;

    /// Whether this shows less than `known`: the server no longer says which cluster it is.
    fn shows_less_than(&self, known: &Self) -> bool;

    /// Whether the server that showed this is known to be ready.
    fn is_ready(&self) -> bool;
}

/// What the machine needs to know of a failure; `I` is a cluster's identity.
pub(crate) trait Fault<I>: Clone {
    fn class(&self) -> Class;

    /// Whether the server answered a request with it.
    fn is_answer(&self) -> bool;

    /// The failure of a configuration that demands `expected`, where `found` answers.
    fn other_cluster(expected: &I, found: &I) -> Self;

    /// The failure of a configuration that only adopts, where the unknown incarnation `found` answers.
    fn unknown_incarnation(found: &I) -> Self;

    /// The failure where a server no longer says that it is the cluster of `known`.
    fn identity_hidden(known: &I) -> Self;

    /// The failure of a reset where the configuration only adopts.
    fn may_not_reset() -> Self;

    /// The failure where no revision is later than the one that is known.
    fn no_later_revision() -> Self;
}

/// Failures by what to do about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// Only another configuration helps.
    Config,
    /// The server refused the credentials, or there are none.
    Unauthorized,
    /// The server is busy.
    Throttled {
        retry_after: Option<Duration>,
    },
    /// The connection failed.
    Transport,
    Other,
}

/// An incarnation of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Known<I> {
    pub(crate) identity: I,
    pub(crate) revision: ConnectedAt,
}

/// What a configuration says of the cluster's identity and revisions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Expected<I> {
    /// The identity that it demands.
    pub(crate) pin: Option<I>,
    /// The incarnation that it names.
    pub(crate) known: Option<Known<I>>,
    pub(crate) naming: Naming,
}

impl<I> Default for Expected<I> {
    fn default() -> Self {
        Self { pin: None, known: None, naming: Naming::Mint }
    }
}

/// A transport that was built and proven.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Opened<I> {
    pub(crate) identity: I,
    /// The revision, should this be a new incarnation and no later one be known.
    pub(crate) candidate: ConnectedAt,
    pub(crate) expiry: Option<Expiry>,
    /// How long to leave between two loads of credentials; none where loading brings no others.
    pub(crate) renewal_pause: Option<Duration>,
    /// Whether it connects to the same server with the same credentials as the transport in use.
    pub(crate) is_same: bool,
}

/// What a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Request {
    /// Answered when a connection is served, or when the next attempt or probe fails.
    Connected,
    /// An attempt that begins after this.
    Reconnect,
    /// A probe that begins after this; an attempt where there is no connection.
    Probe,
    /// Another revision for the same connection.
    Reset { candidate: ConnectedAt },
    /// Credentials newer than those of this generation, which the server refused.
    NewerThan { generation: u64 },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event<I, E> {
    /// There is another configuration.
    Configured(Expected<I>),
    /// The same configuration names another incarnation, or changes which process names incarnations.
    Adopted(Expected<I>),
    Asked {
        request: u64,
        what: Request,
    },
    /// The callers of these wait no longer.
    GaveUp {
        requests: HashSet<u64>,
    },
    Opened {
        attempt: u64,
        opened: Opened<I>,
    },
    OpenFailed {
        attempt: u64,
        error: E,
    },
    /// The server answered a probe.
    Probed {
        probe: u64,
        identity: I,
    },
    ProbeFailed {
        probe: u64,
        error: E,
    },
    /// A file that the configuration names may have changed.
    FilesChanged,
    /// What happened to the connections of the pool in use.
    Reported(Report),
    /// The wall clock jumped: the machine slept, say.
    ClockJumped,
    /// The time of [`wake_at`](super::machine::Machine::wake_at) has come.
    Woke,
    Removed,
}

/// Why a handle is fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FenceReason {
    Replaced,
    Reset,
    Removed,
}

/// What a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome<E> {
    Served(ConnectedAt),
    /// There are no newer credentials.
    Unchanged,
    Failed(E),
    Removed,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect<E> {
    /// Load the configuration, build a transport and prove it. Answered by `Opened` or `OpenFailed`.
    Open {
        attempt: u64,
    },
    /// Opens a connection with the configuration of the link: its credentials are renewed while the current one fails.
    Renew {
        attempt: u64,
    },
    /// Stop the attempt; its answer no longer matters.
    Abort {
        attempt: u64,
    },
    /// Drop the transport that the attempt built.
    Discard {
        attempt: u64,
    },
    /// Drop it as well: it is the same as the one in use. What its proof found is news all the same.
    Confirm {
        attempt: u64,
    },
    /// The transport that the attempt built is the current one.
    Install {
        attempt: u64,
    },
    /// The transport with which the last probe succeeded, on a fresh connection, is the current one: requests leave the pooled
    /// connections.
    InstallFresh,
    /// The handle of `revision` is the one that is served. Turn it to the current transport, which is that of
    /// `generation`; make the handle where there is none, lift its fence where it has one.
    Serve {
        revision: ConnectedAt,
        generation: u64,
    },
    /// Fence the handle of `revision`.
    Fence {
        revision: ConnectedAt,
        reason: FenceReason,
    },
    /// Probe the current transport, over a fresh connection or a pooled one. Answered by `Probed` or `ProbeFailed`.
    Probe {
        probe: u64,
        fresh: bool,
    },
    AbortProbe {
        probe: u64,
    },
    Answer {
        request: u64,
        outcome: Outcome<E>,
    },
}
