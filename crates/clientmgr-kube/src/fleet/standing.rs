//! Where a cluster stands: written under a lock, read without one. What must not live here: I/O, decisions.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
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
pub(super) struct Facts {
    pub(super) state: Arc<ClusterState>,
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
        let Step { next, effect, retired } = State::clone(&self.state).step(event);
        self.state = Arc::new(next);
        (effect, retired)
    }
}

/// The facts of one cluster.
pub(super) struct Standing {
    /// The state in `facts`, put here before their lock is let go.
    published: ArcSwap<ClusterState>,
    facts: Mutex<Facts>,
}

impl Standing {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        let state = Arc::new(State::Idle);
        Self {
            published: ArcSwap::new(Arc::clone(&state)),
            facts: Mutex::new(Facts { state, endpoint, endpoints: 1, attempts: 0 }),
        }
    }

    /// The state that was published last. Never waits.
    pub(super) fn state(&self) -> Guard<Arc<ClusterState>> {
        self.published.load()
    }

    /// Looks at the facts, edits them, or both. What comes of it is published.
    pub(super) fn edit<T>(&self, edit: impl FnOnce(&mut Facts) -> T) -> T {
        // A panic under this lock can only come from a clone of a client; what is in it is whole even then.
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let edited = edit(&mut facts);
        let _replaced = self.published.swap(Arc::clone(&facts.state));
        // Before what was replaced, whose drop may be that of a client and take its time.
        drop(facts);
        edited
    }
}

#[cfg(test)]
mod tests {
    use kube::config::Kubeconfig;

    use super::{Effect, Event, Standing, State, Want};
    use crate::Endpoint;

    #[test]
    fn who_reads_waits_for_no_lock_and_sees_a_change_once_it_is_done() {
        let standing = Standing::new(Endpoint::from_kubeconfig(&Kubeconfig::default(), "east"));
        standing.edit(|facts| {
            let (effect, _) = facts.tell(Event::Wanted { want: Want::Any, attempt: 1, endpoint: 1 });
            assert_eq!(effect, Effect::Connect);
            assert!(matches!(**standing.state(), State::Idle));
        });
        assert!(matches!(**standing.state(), State::Connecting { attempt: 1 }));
    }
}
