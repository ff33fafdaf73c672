//! Where a cluster stands: its state, and what changes with it. What must not live here: I/O, decisions.

use clientmgr_core::Cause;
use kube::Client;

use super::state::{Effect, Event, Served, State, Step, Want};
use crate::connect::Proof;
use crate::{ConnectError, Endpoint};

pub(crate) type ClusterState = State<Line, Kept>;

/// A client and what it proved.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) client: Client,
    pub(crate) proof: Proof,
}

/// A failure as it is kept: once for those who asked, once as the source that readers are given.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) error: ConnectError,
    pub(crate) cause: Cause,
}

impl Kept {
    pub(super) fn new(error: ConnectError) -> Self {
        Self { cause: Cause::new(error.clone()), error }
    }
}

/// What changes together: an attempt in `state` always goes to `endpoint`.
pub(super) struct Standing {
    pub(super) state: ClusterState,
    pub(super) endpoint: Endpoint,
    /// Counts the endpoints.
    pub(super) endpoints: u64,
    /// Counts the attempts.
    pub(super) attempts: u64,
}

impl Standing {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self { state: State::Idle, endpoint, endpoints: 1, attempts: 0 }
    }

    /// The first attempt whose outcome is shared by whoever asks now.
    pub(super) fn shared_from(&self, want: Want) -> u64 {
        let next = self.attempts + 1;
        match want {
            // An attempt under way is as good as one that begins now.
            Want::Any => self.state.attempt().unwrap_or(next),
            // It may have read its credentials before they changed, and that they did is why one asks.
            Want::New => next,
        }
    }

    /// What is retired is to be dropped after the lock.
    #[must_use = "drop what is retired after the lock"]
    pub(super) fn tell(&mut self, event: Event<Line, Kept>) -> (Effect, Option<Served<Line>>) {
        let Step { next, effect, retired } = std::mem::replace(&mut self.state, State::Removed).step(event);
        self.state = next;
        (effect, retired)
    }
}
