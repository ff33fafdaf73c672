//! One cluster of a fleet: the shell around its state machine. Runs the I/O that the machine asks for and tells it
//! what came of it.
//!
//! Readers take the lock of its standing for the time of a clone. Writers queue for the turn, which is held while a connection is made;
//! whoever waited for it shares what was made meanwhile. What must not live here: decisions.

use std::panic::catch_unwind;
use std::pin::pin;
use std::time::Duration;

use clientmgr_core::{ConnectedAt, Connection, NamespacedName, ProviderError};
use futures::future::{Either, select};
use kube::Client;
use tokio::sync::{Mutex as Turn, watch};

use super::shared::Shared;
use super::standing::{ClusterState, Kept, Line, Standing};
use super::state::{Effect, Event, Served, State, Want};
use crate::connect::Connector;
use crate::{ConnectError, ConnectFailure, Endpoint};

pub(crate) struct Member {
    key: NamespacedName,
    standing: Shared<Standing>,
    /// The first endpoint that is still good, or [`NO_ENDPOINT`]. Ends attempts and checks that began under one before.
    /// Told after the state, so it may come when work under the new endpoint has begun: that goes on.
    good_from: watch::Sender<u64>,
    /// Who may make a connection. Holds the last outcome, for those who waited meanwhile.
    turn: Turn<Option<Outcome>>,
}

/// Past the number of every endpoint: the cluster was removed.
const NO_ENDPOINT: u64 = u64::MAX;

/// What a writer does once it has the turn.
enum Task {
    Make { attempt: u64, endpoint: Endpoint, number: u64 },
    Nothing(Result<ConnectedAt, ConnectError>),
}

/// What came of an attempt.
struct Outcome {
    attempt: u64,
    result: Result<ConnectedAt, ConnectError>,
}

/// How the shell connects: the connector and its limits.
pub(crate) struct Means<'a> {
    pub(crate) connector: &'a dyn Connector,
    pub(crate) permits: &'a tokio::sync::Semaphore,
    pub(crate) deadline: Duration,
    pub(crate) request_deadline: Duration,
}

impl Member {
    pub(crate) fn new(key: NamespacedName, endpoint: Endpoint) -> Self {
        Self {
            key,
            standing: Shared::new(Standing::new(endpoint)),
            good_from: watch::Sender::new(1),
            turn: Turn::new(None),
        }
    }

    pub(crate) fn key(&self) -> &NamespacedName {
        &self.key
    }

    /// Reads the state. `read` runs under its lock.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&ClusterState) -> T) -> T {
        self.standing.read(|standing| read(&standing.state))
    }

    fn tell(&self, event: Event<Line, Kept>) -> Effect {
        let (effect, _retired) = self.standing.write(|standing| standing.tell(event));
        effect
    }

    fn failure(&self, failure: impl Into<ConnectFailure>) -> ConnectError {
        ConnectError::new(self.key.clone(), failure)
    }

    /// What readers are told.
    pub(crate) fn connection(&self, retry: Duration) -> Result<Connection<Client, ConnectedAt>, ProviderError> {
        self.read(|state| match state {
            State::Connected { current } | State::Replacing { current, .. } => {
                Ok(Connection { client: current.client.client.clone(), revision: current.revision })
            }
            State::Failing { error, .. } | State::Retrying { error, .. } => Err(ProviderError::Unavailable {
                source: error.cause.clone(),
                retry_after: Some(error.error.retry_hint(retry)),
            }),
            State::Idle => Err(self.waiting(ConnectFailure::NotConnected, retry)),
            State::Connecting { .. } => Err(self.waiting(ConnectFailure::Connecting, retry)),
            State::Removed => Err(ProviderError::NotFound),
        })
    }

    fn waiting(&self, failure: ConnectFailure, retry: Duration) -> ProviderError {
        ProviderError::unavailable(self.failure(failure)).with_retry_after(retry)
    }

    /// Puts another endpoint in place. What is being connected to the old one is given up; what is connected to it is
    /// served until there is something better. A cluster that was removed stays as it is: nobody connects it any more.
    pub(crate) fn replace_endpoint(&self, endpoint: Endpoint) {
        let (_old, number) = self.standing.write(|standing| {
            standing.endpoints += 1;
            let old = (std::mem::replace(&mut standing.endpoint, endpoint), standing.tell(Event::Redirected));
            (old, standing.endpoints)
        });
        self.interrupt_before(number);
    }

    /// Ends attempts and checks that began under an endpoint before this one. Not to be called under the lock: what is
    /// woken may be dropped at once, and gives its attempt up.
    pub(super) fn interrupt_before(&self, endpoint: u64) {
        // Of two that replace an endpoint at once, the first may come here last.
        self.good_from.send_if_modified(|good_from| std::mem::replace(good_from, endpoint.max(*good_from)) < endpoint);
    }

    pub(crate) fn remove(&self) {
        self.tell(Event::Removed);
        self.interrupt_before(NO_ENDPOINT);
    }

    /// The connection that will do without anything being made.
    fn suiting(&self, want: Want) -> Option<ConnectedAt> {
        self.standing.read(|standing| standing.state.suiting(want, standing.endpoints))
    }

    /// Makes a connection if one is wanted, or shares the one that was made while this call waited for its turn.
    pub(crate) async fn connect(&self, want: Want, means: &Means<'_>) -> Result<ConnectedAt, ConnectError> {
        // What is served will do even while somebody else has it replaced.
        if let Some(revision) = self.suiting(want) {
            return Ok(revision);
        }
        let shared_from = self.standing.read(|standing| standing.shared_from(want));
        let mut turn = self.turn.lock().await;
        if let Some(outcome) = turn.as_ref().filter(|outcome| outcome.attempt >= shared_from) {
            // The attempt may have failed and what it was to replace be in order.
            return outcome.result.clone().or_else(|error| self.suiting(want).ok_or(error));
        }
        let (attempt, endpoint, number) = match self.standing.write(|standing| self.begin(standing, want)) {
            Task::Make { attempt, endpoint, number } => (attempt, endpoint, number),
            Task::Nothing(result) => return result,
        };
        // From here on the attempt is under way, and dropping this future gives it up.
        let under_way = UnderWay { member: self, attempt };
        let result = match self.unless_replaced(number, self.make(&endpoint, number, means)).await {
            Ok(made) => self.conclude(attempt, number, made, means).await,
            // Given up below: that it was interrupted is no failure of the cluster.
            Err(interruption) => Err(interruption),
        };
        drop(under_way);
        // An interrupted attempt says nothing to those who asked after the interruption.
        let interrupted = result.as_ref().is_err_and(ConnectError::is_interruption);
        *turn = (!interrupted).then(|| Outcome { attempt, result: result.clone() });
        result
    }

    fn begin(&self, standing: &mut Standing, want: Want) -> Task {
        standing.attempts += 1;
        let (attempt, number) = (standing.attempts, standing.endpoints);
        let (effect, _nothing) = standing.tell(Event::Wanted { want, attempt, endpoint: number });
        match effect {
            Effect::Connect => Task::Make { attempt, endpoint: standing.endpoint.clone(), number },
            Effect::Standing { revision } => Task::Nothing(Ok(revision)),
            Effect::Gone => Task::Nothing(Err(self.failure(ConnectFailure::Removed))),
            // Whoever has the turn is alone, so nothing is under way; the rest answers other events.
            Effect::Wait { .. } | Effect::None | Effect::Check { .. } | Effect::Late { .. } => {
                Task::Nothing(Err(self.failure(ConnectFailure::Superseded)))
            }
        }
    }

    async fn make(&self, endpoint: &Endpoint, number: u64, means: &Means<'_>) -> Result<Served<Line>, ConnectError> {
        self.require_runtime()?;
        // The semaphore is never closed.
        let _permit = means.permits.acquire().await;
        let opening = means.connector.open(&self.key, endpoint, means.deadline);
        let deadline = ConnectFailure::DeadlinePassed { deadline: means.deadline };
        let line = match tokio::time::timeout(means.deadline, opening).await {
            Ok(opened) => opened?,
            Err(_) => return Err(self.failure(deadline)),
        };
        Ok(Served { client: line, revision: ConnectedAt::now(), endpoint: number })
    }

    /// Tells the machine what came of the attempt.
    async fn conclude(
        &self,
        attempt: u64,
        number: u64,
        made: Result<Served<Line>, ConnectError>,
        means: &Means<'_>,
    ) -> Result<ConnectedAt, ConnectError> {
        match made {
            Ok(made) => {
                let revision = made.revision;
                match self.tell(Event::Made { attempt, made }) {
                    Effect::Late { .. } => Err(self.interrupted()),
                    _ => Ok(revision),
                }
            }
            Err(error) => match self.tell(Event::Failed { attempt, error: Kept::new(error.clone()) }) {
                // How it failed says nothing of the endpoint that took its place.
                Effect::Late { .. } => Err(self.interrupted()),
                Effect::Check { revision } => {
                    // What this finds is told to the machine; the answer to the caller stays the first failure.
                    match self.check_connection(revision, number, means).await {
                        Err(interruption) if interruption.is_interruption() => Err(interruption),
                        _ => Err(error),
                    }
                }
                _ => Err(error),
            },
        }
    }

    /// Does `work`, which began under the endpoint of this number, unless that is replaced or the cluster removed
    /// before it is done.
    async fn unless_replaced<T>(&self, number: u64, work: impl Future<Output = T>) -> Result<T, ConnectError> {
        let mut good_from = self.good_from.subscribe();
        let replaced = async { drop(good_from.wait_for(|good_from| *good_from > number).await) };
        match select(pin!(work), pin!(replaced)).await {
            Either::Left((done, _)) => Ok(done),
            Either::Right(_) => Err(self.interrupted()),
        }
    }

    /// What became of an attempt or a check that something else overtook.
    fn interrupted(&self) -> ConnectError {
        let removed = self.read(|state| matches!(state, State::Removed));
        self.failure(if removed { ConnectFailure::Removed } else { ConnectFailure::Superseded })
    }

    /// Timers panic outside of a runtime, and within one that was built without time.
    fn require_runtime(&self) -> Result<(), ConnectError> {
        let timer = || drop(tokio::time::sleep(Duration::ZERO));
        let ready = tokio::runtime::Handle::try_current().is_ok() && catch_unwind(timer).is_ok();
        if ready { Ok(()) } else { Err(self.failure(ConnectFailure::NoRuntime)) }
    }

    /// Checks the standing connection, or connects where there is none.
    pub(crate) async fn check(&self, means: &Means<'_>) -> Result<ConnectedAt, ConnectError> {
        // The endpoint may be a later one than that of the connection, which is served until there is another.
        let checkable = self.standing.read(|standing| Some((standing.state.checkable()?.revision, standing.endpoints)));
        match checkable {
            Some((revision, number)) => self.check_connection(revision, number, means).await,
            None => self.connect(Want::Any, means).await,
        }
    }

    async fn check_connection(
        &self,
        revision: ConnectedAt,
        number: u64,
        means: &Means<'_>,
    ) -> Result<ConnectedAt, ConnectError> {
        let line = self.read(|state| {
            state.checkable().filter(|served| served.revision == revision).map(|served| served.client.clone())
        });
        self.require_runtime()?;
        // Between this and the decision to check it another one took its place.
        let Some(line) = line else { return self.overtaken(self.read(State::revision)) };
        let proven =
            self.unless_replaced(number, means.connector.prove(&self.key, &line, means.request_deadline)).await?;
        let (effect, _retired) = self.standing.write(|standing| {
            let endpoint = standing.endpoints;
            standing.tell(match &proven {
                Ok(_) => Event::Passed { revision },
                Err(error) if is_turned_away(error) => {
                    Event::TurnedAway { revision, endpoint, error: Kept::new(error.clone()) }
                }
                Err(error) => Event::Lapsed { revision, endpoint, error: Kept::new(error.clone()) },
            })
        });
        match effect {
            Effect::Late { served } => self.overtaken(served),
            _ => proven.map(|_| revision),
        }
    }

    /// The answer to a check whose connection is one of the past: what is served in its place was proven meanwhile.
    fn overtaken(&self, served: Option<ConnectedAt>) -> Result<ConnectedAt, ConnectError> {
        served.ok_or_else(|| self.interrupted())
    }
}

/// Whether a server that is there, and busy, let nobody through. Any other status is held against the connection, 503
/// too, whoever sent it: a server that is not ready or has lost its store, or a proxy with nothing behind it.
fn is_turned_away(error: &ConnectError) -> bool {
    matches!(error.failure(), ConnectFailure::Status { status: 429, .. })
}

/// An attempt under way. Dropped with the future that runs it, whatever became of it: where it was concluded the
/// machine takes no notice.
struct UnderWay<'a> {
    member: &'a Member,
    attempt: u64,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.member.tell(Event::GivenUp { attempt: self.attempt });
    }
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("key", &self.key).finish_non_exhaustive()
    }
}
