//! The life of one cluster in a fleet, as a pure state machine. Events and the time go in; effects and "wake me at" come
//! out. No I/O, no clock, no lock.
//!
//! The state is link × health × pending attempt × pending probe × requests × backoff × expiry. Every answer names the
//! attempt or probe it belongs to, so that a late answer changes nothing.

mod attempts;
mod incarnations;
mod probes;

use std::time::Duration;

use clientmgr_core::ConnectedAt;

use super::backoff::Backoff;
use super::event::{Effect, Event, Expected, Fault, FenceReason, Known, Outcome, Request, SameCluster};
use super::requests::Requests;
use crate::config::Naming;
use crate::fleet::clock::Now;
use crate::fleet::history::Past;
use crate::fleet::timing::{Expiry, Pace, Timing};

/// Between two attempts, where a caller waits for a connection that fails.
const CALLER_PAUSE: Duration = Duration::from_secs(1);

/// A transport that was proven, and the incarnation it reaches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Link<I> {
    /// Counts the transports of this member.
    pub(crate) generation: u64,
    /// All that was proven of the cluster's identity.
    pub(crate) identity: I,
    /// What the last proof or probe showed of it, which may be less.
    pub(crate) shown: I,
    /// None where the incarnation is unknown and this process only adopts. Nothing is served then.
    pub(crate) revision: Option<ConnectedAt>,
    /// The revision, should this process name the incarnation.
    candidate: ConnectedAt,
}

/// What the probes say of the link.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Health<E> {
    /// Exits: `Failing` by a failed probe.
    Healthy,
    /// Some probes failed in a row, fewer than the threshold. Exits: `Healthy` by a success, `Down` at the threshold.
    Failing { failures: u32, error: E },
    /// The threshold is reached: readers get the error. Exits: `Healthy` by a success, or by another transport.
    Down { failures: u32, error: E },
}

/// What a server showed, compared with what is known of the cluster.
enum Comparison<E> {
    /// It is the same cluster, or nothing is known that it could differ from.
    Same,
    Other,
    /// It does not say, or is not the one that is demanded: a failure for now.
    Failed(E),
}

/// A server that hides which cluster it is, though that is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Hidden {
    /// Since when it has been ready and has not shown it.
    since: Duration,
    /// Whether it was asked over a new connection the last time, and not over one of the pool.
    on_new: bool,
}

/// The connection that a probe uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Via {
    /// One of the pool.
    Pool,
    /// A fresh one, because those of the pool failed. If it answers, requests leave those.
    Fresh,
    /// A fresh one after one of the pool, because requests opened others than that: where do new ones lead?
    Check,
}

/// Work under way whose answer is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
struct Pending {
    number: u64,
    /// Another one follows at once: what it reads may have changed since this one began.
    again: bool,
    /// What the pool reported meanwhile: what was asked before may be the answer of another server.
    broke: bool,
    emptied: bool,
    widened: bool,
}

impl Pending {
    fn new(number: u64) -> Self {
        Self { number, again: false, broke: false, emptied: false, widened: false }
    }
}

/// One cluster of a fleet. `I` is a cluster's identity, `E` a failure.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(crate) struct Machine<I, E> {
    timing: Timing,
    expected: Expected<I>,
    past: Past,
    /// The incarnation whose handle was fenced last because another cluster answered.
    left: Option<Known<I>>,
    /// A reset was asked for before there was a connection: the first one has a new revision.
    reset_due: bool,
    link: Option<Link<I>>,
    health: Health<E>,
    /// Why the last attempt failed; none since one succeeded.
    error: Option<E>,
    attempt: Option<Pending>,
    attempts: u64,
    attempt_ended: Option<Duration>,
    /// Whether there was a transport. From then on attempts prove on connections of their own.
    had_transport: bool,
    /// When the next attempt begins by itself.
    attempt_at: Option<Duration>,
    probe: Option<Pending>,
    probes: u64,
    probe_began: Option<Duration>,
    /// When the next probe begins by itself; none while one is under way, or where there is no link.
    probe_at: Option<Duration>,
    probe_via: Via,
    /// Whether the pool has had several connections since the last [check](Via::Check) was answered.
    check_due: bool,
    /// Whether the connection on which the cluster showed its identity in full may be gone: another cluster may answer now.
    doubted: bool,
    hidden: Option<Hidden>,
    /// How soon probes follow connections that break, and checks the pool that has several.
    breaks: Pace,
    checks: Pace,
    backoff: Backoff,
    expiry: Option<Expiry>,
    /// Whether loading credentials anew can bring others, and how long to leave between two loads.
    renewal_pause: Option<Duration>,
    /// How many renewals in a row that a 401 asked for brought nothing.
    fruitless: u32,
    /// Whether the link was made by an earlier configuration, because the one of now was not proven. It goes on renewing
    /// its credentials meanwhile.
    unproven: bool,
    /// When the earlier configuration is loaded again, because a server refused what it brought or its files changed.
    renewal_at: Option<Duration>,
    /// Whether the pending attempt is with the earlier configuration.
    attempt_renews: bool,
    requests: Requests,
    removed: bool,
}

impl<I: SameCluster, E: Fault<I>> Machine<I, E> {
    /// A member whose first attempt begins with the first event.
    pub(crate) fn new(timing: Timing, past: Past) -> Self {
        Self {
            timing,
            expected: Expected::default(),
            past,
            left: None,
            reset_due: false,
            link: None,
            health: Health::Healthy,
            error: None,
            attempt: None,
            attempts: 0,
            attempt_ended: None,
            had_transport: false,
            attempt_at: None,
            probe: None,
            probes: 0,
            probe_began: None,
            probe_at: None,
            probe_via: Via::Pool,
            check_due: false,
            doubted: false,
            hidden: None,
            breaks: Pace::default(),
            checks: Pace::default(),
            backoff: Backoff::default(),
            expiry: None,
            renewal_pause: None,
            fruitless: 0,
            unproven: false,
            renewal_at: None,
            attempt_renews: false,
            requests: Requests::default(),
            removed: false,
        }
    }

    /// What a later member of the same cluster begins with.
    pub(crate) fn past(&self) -> Past {
        self.past
    }

    /// The link that readers are served.
    pub(crate) fn served(&self) -> Option<&Link<I>> {
        self.link.as_ref().filter(|link| link.revision.is_some() && !matches!(self.health, Health::Down { .. }))
    }

    pub(crate) fn link(&self) -> Option<&Link<I>> {
        self.link.as_ref()
    }

    #[cfg(test)]
    pub(crate) fn health(&self) -> &Health<E> {
        &self.health
    }

    /// Why nothing is served; none while the first attempt runs.
    pub(crate) fn unavailable(&self) -> Option<E> {
        match (&self.link, &self.health) {
            (Some(_), Health::Down { error, .. }) => Some(error.clone()),
            (Some(link), _) if link.revision.is_none() => Some(self.why_unnamed(link)),
            _ => self.error.clone(),
        }
    }

    /// Why the last attempt failed, which a served link may outlive.
    pub(crate) fn attempt_error(&self) -> Option<&E> {
        self.error.as_ref()
    }

    /// When to call [`step`](Self::step) with [`Event::Woke`].
    pub(crate) fn wake_at(&self, now: Now) -> Option<Duration> {
        if self.removed {
            return None;
        }
        let attempt = self.attempt_at.filter(|_| self.attempt.is_none());
        let may_renew = self.attempt.is_none() && (self.unproven || self.attempt_at.is_none());
        let renewal = self.expiry.filter(|_| may_renew).and_then(|expiry| expiry.wake_at(now));
        let asked = self.renewal_at.filter(|_| self.attempt.is_none());
        [attempt, self.probe_at, renewal, asked].into_iter().flatten().min()
    }

    /// What follows from `event`.
    #[must_use = "carry the effects out, in their order"]
    pub(crate) fn step(&mut self, now: Now, event: Event<I, E>) -> Vec<Effect<E>> {
        let mut effects = Vec::new();
        if self.removed {
            if let Event::Asked { request, .. } = event {
                effects.push(Effect::Answer { request, outcome: Outcome::Removed });
            }
            if let Event::Opened { attempt, .. } = event {
                effects.push(Effect::Discard { attempt });
            }
            return effects;
        }
        match event {
            Event::Configured(expected) => self.configured(now, expected, &mut effects),
            Event::Adopted(expected) => self.adopted(now, expected, &mut effects),
            Event::GaveUp { requests } => self.requests.forget(&requests),
            Event::Asked { request, what } => self.asked(now, request, what, &mut effects),
            Event::Opened { attempt, opened } => self.opened(now, attempt, opened, &mut effects),
            Event::OpenFailed { attempt, error } => self.open_failed(now, attempt, error, &mut effects),
            Event::Probed { probe, identity } => self.probed(now, probe, identity, &mut effects),
            Event::ProbeFailed { probe, error } => self.probe_failed(now, probe, error, &mut effects),
            Event::FilesChanged => {
                // They may be those of the earlier configuration.
                self.renewal_at = self.unproven.then_some(now.mono);
                self.open_now(&mut effects);
            }
            Event::Reported(report) => self.reported(now, report, &mut effects),
            Event::ClockJumped => self.clock_jumped(now),
            Event::Woke => {}
            Event::Removed => self.remove(&mut effects),
        }
        self.due(now, &mut effects);
        effects
    }

    /// Begins what is due by the time.
    fn due(&mut self, now: Now, effects: &mut Vec<Effect<E>>) {
        if self.removed {
            return;
        }
        if self.attempt.is_none() {
            let is_due = |at: Option<Duration>| at.is_some_and(|at| at <= now.mono);
            let ends = self.expiry.is_some_and(|expiry| expiry.is_due(now));
            if self.unproven && (ends || is_due(self.renewal_at)) {
                self.renew(effects);
            } else if is_due(self.attempt_at) || (ends && self.attempt_at.is_none()) {
                self.open(effects);
            }
        }
        if self.probe_at.is_some_and(|at| at <= now.mono) {
            self.begin_probe(now, effects);
        }
    }

    fn configured(&mut self, now: Now, expected: Expected<I>, effects: &mut Vec<Effect<E>>) {
        // What an attempt under way reads is no longer the configuration.
        if let Some(pending) = self.attempt.take() {
            effects.push(Effect::Abort { attempt: pending.number });
        }
        self.backoff.reset();
        self.adopted(now, expected, effects);
        self.unproven = self.link.is_some();
        self.open_unless_pending(effects);
    }

    /// The machine slept, or its clock was set. Within a second all clusters look at their servers, but not at once.
    fn clock_jumped(&mut self, now: Now) {
        let soon = now.mono + Duration::from_millis(now.jitter.into());
        match (&self.link, &mut self.probe, self.attempt) {
            (Some(_), Some(pending), _) => pending.again = true,
            (Some(_), None, _) => self.probe_at = Some(self.probe_at.map_or(soon, |at| at.min(soon))),
            // A backoff counts time that passed while the machine slept as none.
            (None, _, None) => self.attempt_at = Some(self.attempt_at.map_or(soon, |at| at.min(soon))),
            (None, _, Some(_)) => {}
        }
    }

    fn asked(&mut self, now: Now, request: u64, what: Request, effects: &mut Vec<Effect<E>>) {
        match what {
            Request::Connected => match (&self.link, &self.health) {
                (Some(link), Health::Down { .. }) if link.revision.is_some() => {
                    self.requests.for_probe(request, self.probes + 1);
                    self.probe_now(now, effects);
                }
                (Some(link), _) => effects.push(Effect::Answer { request, outcome: self.outcome(link) }),
                (None, _) => {
                    self.requests.for_attempt(request, self.attempts);
                    // A caller that waits does not wait for the backoff.
                    let soon = self.attempt_ended.map_or(now.mono, |ended| ended + CALLER_PAUSE);
                    self.attempt_at = self.attempt_at.map(|at| at.min(soon));
                }
            },
            Request::Reconnect => {
                self.requests.for_attempt(request, self.attempts + 1);
                self.open_now(effects);
            }
            Request::Probe if self.link.is_some() => {
                self.requests.for_probe(request, self.probes + 1);
                self.probe_now(now, effects);
            }
            Request::Reset { .. } if self.expected.naming == Naming::AdoptOnly => {
                effects.push(Effect::Answer { request, outcome: Outcome::Failed(E::may_not_reset()) });
            }
            Request::Reset { candidate } if self.link.is_some() => {
                let Some(revision) = self.mint(candidate) else {
                    effects.push(Effect::Answer { request, outcome: Outcome::Failed(E::no_later_revision()) });
                    return;
                };
                // A reset forgets what was known of the cluster.
                self.doubted = false;
                self.hidden = None;
                self.rename(revision, effects);
                effects.push(Effect::Answer { request, outcome: Outcome::Served(revision) });
                // The connections went with the handle of before, and a cluster that was down may be served now.
                self.probe_now(now, effects);
            }
            Request::Probe | Request::Reset { .. } => {
                self.reset_due |= matches!(what, Request::Reset { .. });
                self.requests.for_attempt(request, self.attempts);
                self.open_unless_pending(effects);
            }
            Request::NewerThan { generation } => self.credentials_refused(now, request, generation, effects),
        }
    }

    fn remove(&mut self, effects: &mut Vec<Effect<E>>) {
        if let Some(pending) = self.attempt.take() {
            effects.push(Effect::Abort { attempt: pending.number });
        }
        self.drop_link(FenceReason::Removed, effects);
        self.requests.answer_all(&Outcome::Removed, effects);
        self.removed = true;
    }

    /// The link reaches another cluster, or none any more. Its handle is fenced.
    fn drop_link(&mut self, reason: FenceReason, effects: &mut Vec<Effect<E>>) {
        self.end_probe(effects);
        if let Some(link) = self.link.take() {
            self.fence_link(link, reason, effects);
        }
        self.expiry = None;
        self.probe_at = None;
        self.check_due = false;
        self.doubted = false;
        self.unproven = false;
        self.renewal_at = None;
        self.health = Health::Healthy;
        // Requests for a probe wait for the connection that follows.
        self.requests.probes_wait_for_attempt(self.attempts + 1);
    }
}
