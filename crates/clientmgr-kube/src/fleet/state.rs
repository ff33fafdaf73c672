//! The life of one cluster in a fleet: a pure state machine. What happened goes in as an event, what is to be done
//! comes out as an effect. No I/O, no clock, no lock.
//!
//! Every event tells the attempt or the connection it belongs to, so a late answer of an old one changes nothing.

use clientmgr_core::ConnectedAt;

/// A connection that was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Served<C> {
    /// The client.
    pub(crate) client: C,
    /// The identity of the connection.
    pub(crate) revision: ConnectedAt,
    /// Which endpoint of the cluster it goes to; endpoints are counted.
    pub(crate) endpoint: u64,
}

/// Where a cluster stands. `C` is a client, `E` what is kept of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State<C, E> {
    /// No connection, and none was asked for.
    ///
    /// Left for `Connecting` when one is wanted.
    Idle,
    /// The first connection is being made.
    ///
    /// Left for `Connected` when it is made, for `Failing` when it fails, for `Idle` when the attempt is given up.
    Connecting {
        /// The attempt under way.
        attempt: u64,
    },
    /// There is a connection, and it is served.
    ///
    /// Left for `Replacing` when another one is wanted, for `Failing` when a check of it fails.
    Connected {
        /// What is served.
        current: Served<C>,
    },
    /// There is a connection, it is served, and another one is being made to replace it.
    ///
    /// Left for `Connected` when that is made (and then served), fails or is given up; for `Retrying` when a check of
    /// the standing one fails.
    Replacing {
        /// What is served.
        current: Served<C>,
        /// The attempt under way.
        attempt: u64,
    },
    /// Nothing is served: connecting failed, or a check did.
    ///
    /// Left for `Retrying` when a connection is wanted, for `Connected` when a check of the retained one passes.
    Failing {
        /// What went wrong last.
        error: E,
        /// The connection whose check failed; only ever one to the present endpoint.
        retained: Option<Served<C>>,
    },
    /// Nothing is served, and a connection is being made.
    ///
    /// Left for `Connected` when it is made, for `Failing` when it fails or is given up, for `Replacing` when a check
    /// of the retained connection passes.
    Retrying {
        /// What went wrong last.
        error: E,
        /// The connection whose check failed; only ever one to the present endpoint.
        retained: Option<Served<C>>,
        /// The attempt under way.
        attempt: u64,
    },
    /// The cluster is no longer in the fleet. Never left.
    Removed,
}

/// Whether a standing connection will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// A connection to the endpoint: the standing one, if it is served.
    Any,
    /// A new connection.
    New,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event<C, E> {
    /// A connection to `endpoint` is wanted; `attempt` is the number of the attempt if one is needed.
    Wanted { want: Want, attempt: u64, endpoint: u64 },
    /// The attempt made a connection and proved it.
    Made { attempt: u64, made: Served<C> },
    /// The attempt failed.
    Failed { attempt: u64, error: E },
    /// Whoever ran the attempt gave it up.
    GivenUp { attempt: u64 },
    /// Another endpoint took the place of the one that all this is about.
    Redirected,
    /// The connection of this revision answered a check.
    Passed { revision: ConnectedAt },
    /// The connection of this revision failed a check, while `endpoint` is the present one.
    Lapsed { revision: ConnectedAt, endpoint: u64, error: E },
    /// The connection of this revision was not let through to a check, which says nothing against it; `endpoint` is
    /// the present one.
    TurnedAway { revision: ConnectedAt, endpoint: u64, error: E },
    /// The cluster left the fleet.
    Removed,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// Make a connection, under the attempt that the event told.
    Connect,
    /// Nothing: the connection of this revision will do.
    Standing { revision: ConnectedAt },
    /// Wait for the attempt under way.
    Wait { attempt: u64 },
    /// Check the standing connection: the one that was to replace it failed, and perhaps it is dead as well.
    Check { revision: ConnectedAt },
    /// Nothing: the event is of an attempt or a connection of the past, and the state takes no notice. By now this is
    /// what is served.
    Late { served: Option<ConnectedAt> },
    /// Tell whoever asked that the cluster is gone.
    Gone,
}

/// What comes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step<C, E> {
    /// Where the cluster stands now.
    pub(crate) next: State<C, E>,
    /// What is to be done.
    pub(crate) effect: Effect,
    /// The connection that nobody needs any more. Dropping a client may take its time, so not under a lock.
    pub(crate) retired: Option<Served<C>>,
}

impl<C, E> From<(State<C, E>, Effect)> for Step<C, E> {
    fn from((next, effect): (State<C, E>, Effect)) -> Self {
        Self { next, effect, retired: None }
    }
}

impl<C, E> From<(State<C, E>, Option<Served<C>>)> for Step<C, E> {
    fn from((next, retired): (State<C, E>, Option<Served<C>>)) -> Self {
        Self { next, effect: Effect::None, retired }
    }
}

impl<C, E> State<C, E> {
    /// What is served to readers.
    pub(crate) fn served(&self) -> Option<&Served<C>> {
        match self {
            Self::Connected { current } | Self::Replacing { current, .. } => Some(current),
            Self::Idle | Self::Connecting { .. } | Self::Failing { .. } | Self::Retrying { .. } | Self::Removed => None,
        }
    }

    /// The revision of what is served to readers.
    pub(crate) fn revision(&self) -> Option<ConnectedAt> {
        self.served().map(|served| served.revision)
    }

    /// The connection that a check is about: the one served, or the one whose last check failed.
    pub(crate) fn checkable(&self) -> Option<&Served<C>> {
        match self {
            Self::Failing { retained, .. } | Self::Retrying { retained, .. } => retained.as_ref(),
            Self::Idle | Self::Connecting { .. } | Self::Connected { .. } | Self::Replacing { .. } | Self::Removed => {
                self.served()
            }
        }
    }

    /// The connection that will do for who wants one to this endpoint, if there is one.
    pub(crate) fn suiting(&self, want: Want, endpoint: u64) -> Option<ConnectedAt> {
        let served = self.served().filter(|served| want == Want::Any && served.endpoint == endpoint);
        served.map(|served| served.revision)
    }

    /// The attempt under way.
    pub(crate) fn attempt(&self) -> Option<u64> {
        match self {
            Self::Connecting { attempt } | Self::Replacing { attempt, .. } | Self::Retrying { attempt, .. } => {
                Some(*attempt)
            }
            Self::Idle | Self::Connected { .. } | Self::Failing { .. } | Self::Removed => None,
        }
    }

    /// What comes of `event`.
    pub(crate) fn step(self, event: Event<C, E>) -> Step<C, E> {
        match event {
            Event::Wanted { want, attempt, endpoint } => self.wanted(want, attempt, endpoint).into(),
            Event::Made { attempt, made } if self.attempt() == Some(attempt) => {
                (Self::Connected { current: made }, self.into_connection()).into()
            }
            Event::Failed { attempt, error } if self.attempt() == Some(attempt) => self.failed(error).into(),
            Event::GivenUp { attempt } if self.attempt() == Some(attempt) => (self.given_up(), Effect::None).into(),
            Event::Passed { revision } if self.checks(revision) => (self.passed(), Effect::None).into(),
            Event::Lapsed { revision, endpoint, error } if self.checks(revision) => self.lapsed(endpoint, error).into(),
            // What is served is served on; what failed before has a later failure to tell.
            Event::TurnedAway { revision, .. } if self.revision() == Some(revision) => (self, Effect::None).into(),
            Event::TurnedAway { revision, endpoint, error } if self.checks(revision) => {
                self.lapsed(endpoint, error).into()
            }
            Event::Redirected => self.redirected().into(),
            Event::Removed => (Self::Removed, self.into_connection()).into(),
            // The late answer of an old attempt, or the late check of an old connection.
            Event::Made { made, .. } => Step { retired: Some(made), ..self.late() },
            Event::Failed { .. }
            | Event::GivenUp { .. }
            | Event::Passed { .. }
            | Event::Lapsed { .. }
            | Event::TurnedAway { .. } => self.late(),
        }
    }

    fn late(self) -> Step<C, E> {
        let served = self.revision();
        (self, Effect::Late { served }).into()
    }

    /// The connection there is, served or retained.
    fn into_connection(self) -> Option<Served<C>> {
        match self {
            Self::Connected { current } | Self::Replacing { current, .. } => Some(current),
            Self::Failing { retained, .. } | Self::Retrying { retained, .. } => retained,
            Self::Idle | Self::Connecting { .. } | Self::Removed => None,
        }
    }

    fn checks(&self, revision: ConnectedAt) -> bool {
        self.checkable().is_some_and(|served| served.revision == revision)
    }

    fn wanted(self, want: Want, attempt: u64, endpoint: u64) -> (Self, Effect) {
        if let Some(revision) = self.suiting(want, endpoint) {
            return (self, Effect::Standing { revision });
        }
        match self {
            Self::Idle => (Self::Connecting { attempt }, Effect::Connect),
            Self::Connected { current } => (Self::Replacing { current, attempt }, Effect::Connect),
            Self::Failing { error, retained } => (Self::Retrying { error, retained, attempt }, Effect::Connect),
            Self::Connecting { attempt } | Self::Replacing { attempt, .. } | Self::Retrying { attempt, .. } => {
                (self, Effect::Wait { attempt })
            }
            Self::Removed => (self, Effect::Gone),
        }
    }

    fn failed(self, error: E) -> (Self, Effect) {
        match self {
            Self::Connecting { .. } => (Self::Failing { error, retained: None }, Effect::None),
            Self::Retrying { retained, .. } => (Self::Failing { error, retained }, Effect::None),
            Self::Replacing { current, .. } => {
                let revision = current.revision;
                (Self::Connected { current }, Effect::Check { revision })
            }
            Self::Idle | Self::Connected { .. } | Self::Failing { .. } | Self::Removed => (self, Effect::None),
        }
    }

    fn given_up(self) -> Self {
        match self {
            Self::Connecting { .. } => Self::Idle,
            Self::Replacing { current, .. } => Self::Connected { current },
            Self::Retrying { error, retained, .. } => Self::Failing { error, retained },
            Self::Idle | Self::Connected { .. } | Self::Failing { .. } | Self::Removed => self,
        }
    }

    fn passed(self) -> Self {
        match self {
            Self::Failing { retained: Some(current), .. } => Self::Connected { current },
            Self::Retrying { retained: Some(current), attempt, .. } => Self::Replacing { current, attempt },
            _ => self,
        }
    }

    /// What goes to the old endpoint is served while it is good, but never put back into service.
    fn redirected(self) -> (Self, Option<Served<C>>) {
        match self.given_up() {
            Self::Failing { error, retained } => (Self::Failing { error, retained: None }, retained),
            other => (other, None),
        }
    }

    fn lapsed(self, endpoint: u64, error: E) -> (Self, Option<Served<C>>) {
        let attempt = self.attempt();
        let (retained, retired) = match self.into_connection() {
            Some(connection) if connection.endpoint == endpoint => (Some(connection), None),
            other => (None, other),
        };
        let next = match attempt {
            Some(attempt) => Self::Retrying { error, retained, attempt },
            None => Self::Failing { error, retained },
        };
        (next, retired)
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
