//! Where a cluster stands: its state, and what changes with it, behind a lock that readers take for the time of a clone.
//! What must not live here: I/O, decisions.

use std::sync::PoisonError;

use clientmgr_core::Cause;
use crossbeam_utils::sync::ShardedLock;
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
pub(super) struct Facts {
    pub(super) state: ClusterState,
    pub(super) endpoint: Endpoint,
    /// Counts the endpoints.
    pub(super) endpoints: u64,
    /// Counts the attempts.
    pub(super) attempts: u64,
}

impl Facts {
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

/// The facts of one cluster. Readers on different threads have a lock each, so that none waits for another's cache line;
/// who writes takes them all.
pub(super) struct Standing {
    facts: ShardedLock<Facts>,
}

impl Standing {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self { facts: ShardedLock::new(Facts { state: State::Idle, endpoint, endpoints: 1, attempts: 0 }) }
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&Facts) -> T) -> T {
        // A panic under this lock can only come from a clone of a client; what is in it is whole even then.
        look(&self.facts.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn edit<T>(&self, edit: impl FnOnce(&mut Facts) -> T) -> T {
        edit(&mut self.facts.write().unwrap_or_else(PoisonError::into_inner))
    }
}
