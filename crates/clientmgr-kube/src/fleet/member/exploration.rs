//! A member's machine and the world around it, for every order of events: what may happen next, what must hold in each
//! state, and that a member without further faults ends connected with every request answered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clientmgr_core::ConnectedAt;

use super::event::{Class, Effect, Event, Expected, FenceReason, Known, Opened, Request, SameCluster};
use super::machine::{Link, Machine};
use super::model_identity::{HIDDEN, Id, UNREADY, id, named};
use crate::client::Report;
use crate::config::Naming;
use crate::fleet::clock::Now;
use crate::fleet::history::Past;
use crate::fleet::timing::{Expiry, Timing};

/// How much the cluster that answers says of its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shown {
    Uid,
    Hidden,
    Unready,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    machine: Machine<Id, Class>,
    mono: Duration,
    /// Attempts and probes that began and have not answered; the aborted ones may still answer, late.
    attempts: BTreeSet<u64>,
    probes: BTreeSet<u64>,
    live_attempt: Option<u64>,
    live_probe: Option<u64>,
    /// The attempt whose transport is the current one.
    current: Option<u64>,
    /// The handles by revision, and whether each is fenced.
    handles: BTreeMap<i64, bool>,
    /// The identities of those that were fenced because another cluster answered.
    left: BTreeMap<i64, Id>,
    open_requests: BTreeSet<u64>,
    /// The UID of the cluster that answers.
    answering: u8,
    shown: Shown,
    /// Whether another cluster has answered or was named: only then, or after the grace, may a handle be fenced for it.
    has_other: bool,
    expected: Expected<Id>,
    /// The revisions that the status named.
    named: BTreeSet<i64>,
    budget: Budget,
    pub(super) luck: Luck,
}

/// What an answer brings besides the identity, and how the next delay is spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Luck {
    pub(super) jitter: u32,
    /// How long the credentials live that an attempt brings.
    pub(super) life: Option<Duration>,
    /// Whether they are the same again.
    pub(super) is_same: bool,
}

impl Default for Luck {
    fn default() -> Self {
        Self { jitter: 500, life: None, is_same: false }
    }
}

/// How much of everything may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    pub(super) faults: u8,
    pub(super) requests: u8,
    pub(super) changes: u8,
    pub(super) removals: u8,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    Open(u64, Result<(), Class>),
    Probe(u64, Result<(), Class>),
    Ask(Request),
    Configure,
    Replace,
    /// The cluster says more or less of its identity from now on.
    Show(Shown),
    Report(Report),
    Files,
    Jump,
    Wake,
    Remove,
    /// The status names the cluster that answers, or another one.
    Name(Id),
    /// The status is read as it was before anything was named.
    Lag,
    Switch,
    /// The configuration demands the cluster that answers, which may not be that of the link.
    Pin(Id),
    GiveUp(u64),
}

impl Action {
    pub(super) fn is_removal(self) -> bool {
        matches!(self, Self::Remove)
    }
}

/// The time at which a world begins.
const BEGIN: Duration = Duration::from_secs(1);

impl World {
    pub(super) fn new(naming: Naming) -> Self {
        Self::with(naming, Budget { faults: 2, requests: 2, changes: 2, removals: 1 })
    }

    pub(super) fn with(naming: Naming, budget: Budget) -> Self {
        let mut world = Self {
            machine: Machine::new(Timing { failure_threshold: 2, ..Timing::default() }, Past::default()),
            mono: BEGIN,
            attempts: BTreeSet::new(),
            probes: BTreeSet::new(),
            live_attempt: None,
            live_probe: None,
            current: None,
            handles: BTreeMap::new(),
            left: BTreeMap::new(),
            open_requests: BTreeSet::new(),
            answering: 0,
            shown: Shown::Uid,
            has_other: false,
            expected: Expected { naming, ..Expected::default() },
            named: BTreeSet::new(),
            budget,
            luck: Luck::default(),
        };
        world.tell(Event::Configured(world.expected.clone()));
        world
    }

    fn now(&self) -> Now {
        Now { mono: self.mono, wall: self.mono, jitter: self.luck.jitter }
    }

    fn tell(&mut self, event: Event<Id, Class>) {
        let before = self.machine.link().map(|link| link.identity);
        for effect in self.machine.step(self.now(), event) {
            self.carry_out(&effect, before);
        }
        self.check();
    }

    fn carry_out(&mut self, effect: &Effect<Class>, linked: Option<Id>) {
        match *effect {
            Effect::Open { attempt } | Effect::Renew { attempt } => {
                assert_eq!(self.live_attempt.replace(attempt), None, "two attempts at once");
                assert!(self.attempts.insert(attempt), "attempt {attempt} began twice");
            }
            Effect::Abort { attempt } => assert_eq!(self.live_attempt.take(), Some(attempt)),
            Effect::Discard { .. } | Effect::Confirm { .. } | Effect::InstallFresh => {}
            Effect::Install { attempt } => self.current = Some(attempt),
            Effect::Serve { revision, generation } => {
                assert_eq!(self.current, Some(generation), "served over a transport that is not the current one");
                let micros = revision.as_unix_micros();
                let before = self.handles.insert(micros, false);
                if before == Some(true) {
                    let now = self.machine.link().map(|link| link.identity);
                    let is_back = self.left.get(&micros).zip(now).is_some_and(|(left, now)| left.same(&now));
                    assert!(is_back && self.expected.naming == Naming::AdoptOnly, "a fence is lifted");
                }
                let may_serve =
                    self.expected.naming == Naming::Mint || before.is_some() || self.named.contains(&micros);
                assert!(may_serve, "a process that only adopts named revision {micros}");
            }
            Effect::Fence { revision, reason } => {
                let grace = Timing::default().hidden_grace();
                let may_be_other = self.has_other || self.mono >= BEGIN + grace;
                assert!(reason != FenceReason::Replaced || may_be_other, "fenced for a cluster that is the same");
                if let (FenceReason::Replaced, Some(linked)) = (reason, linked) {
                    self.left.insert(revision.as_unix_micros(), linked);
                }
                assert_eq!(self.handles.insert(revision.as_unix_micros(), true), Some(false), "fenced, not served");
            }
            Effect::Probe { probe, .. } => {
                assert_eq!(self.live_probe.replace(probe), None, "two probes at once");
                self.probes.insert(probe);
            }
            Effect::AbortProbe { probe } => assert_eq!(self.live_probe.take(), Some(probe)),
            Effect::Answer { request, .. } => {
                assert!(self.open_requests.remove(&request), "request {request} was answered twice");
            }
        }
    }

    fn check(&self) {
        let open: Vec<_> = self.handles.iter().filter(|(_, fenced)| !**fenced).map(|(revision, _)| *revision).collect();
        assert!(open.len() <= 1, "two handles are open: {open:?}");
        let linked = self.machine.link().and_then(|link| link.revision).map(ConnectedAt::as_unix_micros);
        assert_eq!(open.first().copied(), linked, "the open handle is the one of the link");
        if let Some(served) = self.machine.served() {
            let revision = served.revision.expect("what is served has a revision");
            assert!(!self.handles[&revision.as_unix_micros()], "a fenced handle is served");
            assert_eq!(self.current, Some(served.generation));
        }
    }

    pub(super) fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for attempt in &self.attempts {
            actions.push(Action::Open(*attempt, Ok(())));
            if self.budget.faults > 0 {
                let faults = [Class::Config, Class::Unauthorized, Class::Transport];
                actions.extend(faults.map(|fault| Action::Open(*attempt, Err(fault))));
            }
        }
        for probe in &self.probes {
            actions.push(Action::Probe(*probe, Ok(())));
            if self.budget.faults > 0 {
                let faults = [Class::Unauthorized, Class::Transport, Class::Throttled { retry_after: None }];
                actions.extend(faults.map(|fault| Action::Probe(*probe, Err(fault))));
            }
        }
        if self.budget.requests > 0 {
            let generation = self.current.unwrap_or_default();
            let candidate = Self::candidate();
            actions.extend(
                [
                    Request::Connected,
                    Request::Reconnect,
                    Request::Probe,
                    Request::Reset { candidate },
                    Request::NewerThan { generation },
                ]
                .map(Action::Ask),
            );
        }
        if self.budget.changes > 0 {
            actions.extend([Action::Configure, Action::Replace, Action::Files]);
            actions.extend([Report::Broken, Report::Widened].map(Action::Report));
            actions.push(Action::Show(Shown::Hidden));
            if self.budget.changes > 2 {
                // Only in long random orders, which keeps the exploration of all orders short: others do the same and more.
                actions.extend([Action::Jump, Action::Report(Report::Emptied)]);
                actions.extend([Shown::Unready, Shown::Uid].map(Action::Show));
            }
            let answering = named(self.answering);
            actions.extend([Action::Name(answering), Action::Name(named(99)), Action::Lag, Action::Switch]);
            actions.push(Action::Pin(answering));
        }
        actions.extend(self.open_requests.iter().map(|request| Action::GiveUp(*request)));
        if self.budget.removals > 0 {
            actions.push(Action::Remove);
        }
        if self.machine.wake_at(self.now()).is_some() {
            actions.push(Action::Wake);
        }
        actions
    }

    /// A clock that stands still: revisions must increase all the same.
    fn candidate() -> ConnectedAt {
        ConnectedAt::from_unix_micros(1_000).unwrap()
    }

    /// Lets time pass. The machine is woken once, which may be late.
    pub(super) fn sleep(&mut self, time: Duration) {
        self.mono += time;
        self.tell(Event::Woke);
    }

    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Open(attempt, result) => {
                self.attempts.remove(&attempt);
                let is_late = self.live_attempt.take_if(|live| *live == attempt).is_none();
                let before = is_late.then(|| self.machine.clone());
                let event = match result {
                    Ok(()) => Event::Opened {
                        attempt,
                        opened: Opened {
                            identity: self.shown(),
                            candidate: Self::candidate(),
                            expiry: self.luck.life.map(|life| Expiry::new(self.mono, self.mono + life)),
                            renewal_pause: Some(Duration::from_secs(5)),
                            is_same: self.luck.is_same,
                        },
                    },
                    Err(error) => {
                        self.budget.faults -= 1;
                        Event::OpenFailed { attempt, error }
                    }
                };
                self.tell(event);
                assert!(before.is_none_or(|before| before == self.machine), "a late answer changed the state");
            }
            Action::Probe(probe, result) => {
                self.probes.remove(&probe);
                let is_late = self.live_probe.take_if(|live| *live == probe).is_none();
                let before = is_late.then(|| self.machine.clone());
                let event = match result {
                    Ok(()) => Event::Probed { probe, identity: self.shown() },
                    Err(error) => {
                        self.budget.faults -= 1;
                        Event::ProbeFailed { probe, error }
                    }
                };
                self.tell(event);
                assert!(before.is_none_or(|before| before == self.machine), "a late answer changed the state");
            }
            Action::Ask(what) => {
                let request = u64::from(self.budget.requests);
                self.budget.requests -= 1;
                self.open_requests.insert(request);
                self.tell(Event::Asked { request, what });
            }
            Action::Configure => self.change(Event::Configured(self.expected.clone())),
            Action::Replace => {
                self.answering += 1;
                self.has_other = true;
                self.change(Event::ClockJumped);
            }
            Action::Show(shown) => {
                self.budget.changes -= 1;
                self.shown = shown;
            }
            Action::Report(report) => self.change(Event::Reported(report)),
            Action::Files => self.change(Event::FilesChanged),
            Action::Jump => self.change(Event::ClockJumped),
            Action::Wake => {
                let at = self.machine.wake_at(self.now()).expect("it wants to be woken");
                self.mono = self.mono.max(at);
                self.tell(Event::Woke);
            }
            Action::Remove => {
                self.budget.removals -= 1;
                self.tell(Event::Removed);
            }
            Action::Name(identity) => {
                self.budget.changes -= 1;
                self.name(identity);
            }
            Action::Lag => {
                self.expected.known = None;
                self.change(Event::Adopted(self.expected.clone()));
            }
            Action::Pin(pin) => self.pin(pin),
            Action::GiveUp(request) => {
                self.open_requests.remove(&request);
                self.tell(Event::GaveUp { requests: [request].into() });
            }
            Action::Switch => {
                let before = self.machine.link().cloned();
                self.expected.naming = match self.expected.naming {
                    Naming::Mint => Naming::AdoptOnly,
                    _ => Naming::Mint,
                };
                self.change(Event::Adopted(self.expected.clone()));
                let known = self.expected.known.as_ref();
                // Where the status names another cluster, a process that only adopts believes the status.
                let before = before.filter(|link| known.is_none_or(|known| known.identity.same(&link.identity)));
                if let Some(revision) = before.and_then(|link| link.revision) {
                    let after = self.machine.link().and_then(|link| link.revision);
                    assert_eq!(after, Some(revision), "the switch changed what is served");
                }
            }
        }
    }

    fn pin(&mut self, pin: Id) {
        let served = self.machine.served().cloned();
        self.expected.pin = Some(pin);
        self.change(Event::Configured(self.expected.clone()));
        if let Some(served) = served {
            let revision = self.under_pin(&served);
            let after = self.machine.served().map(|link| (link.generation, link.identity, link.revision));
            assert_eq!(after, revision.map(|it| (served.generation, served.identity, Some(it))), "{served:?}");
        }
    }

    /// What the cluster that answers says of its identity.
    fn shown(&self) -> Id {
        match self.shown {
            Shown::Uid => id(self.answering),
            Shown::Hidden => HIDDEN,
            Shown::Unready => UNREADY,
        }
    }

    /// The revision of a link that was served before the configuration demanded its pin: a pin that is not met changes
    /// nothing. With one that is met the last name of the status counts, which an earlier pin may have kept back.
    fn under_pin(&self, served: &Link<Id>) -> Option<ConnectedAt> {
        let later = self.expected.known.as_ref().filter(|known| Some(known.revision) > served.revision);
        match later {
            Some(known) if self.expected.pin.is_some_and(|pin| pin.same(&served.identity)) => {
                let is_same = known.identity.same(&served.identity);
                let counts = is_same || self.expected.naming == Naming::AdoptOnly;
                if counts { is_same.then_some(known.revision) } else { served.revision }
            }
            _ => served.revision,
        }
    }

    /// The writer of the status finds `identity`, and names it by a clock of its own.
    fn name(&mut self, identity: Id) {
        let micros = self.handles.keys().chain(&self.named).max().map_or(1_000, |latest| latest + 500);
        self.named.insert(micros);
        self.has_other |= self.machine.link().is_some_and(|link| !identity.same(&link.identity));
        let revision = ConnectedAt::from_unix_micros(micros).expect("a revision");
        self.expected.known = Some(Known { identity, revision });
        self.tell(Event::Adopted(self.expected.clone()));
    }

    fn change(&mut self, event: Event<Id, Class>) {
        self.budget.changes -= 1;
        self.tell(event);
    }

    /// Lets everything answer well, and checks that the member ends connected and every request is answered.
    pub(super) fn ends_well(mut self) {
        self.shown = Shown::Uid;
        if self.expected.pin.take_if(|pin| !pin.same(&id(self.answering))).is_some() && self.budget.removals > 0 {
            self.tell(Event::Configured(self.expected.clone()));
        }
        for _ in 0..40 {
            if self.budget.removals == 0 {
                break;
            }
            let is_pinned = |link: &&Link<Id>| self.expected.pin.is_none_or(|pin| pin.same(&link.identity));
            if let Some(unnamed) = self.machine.link().filter(is_pinned).filter(|link| link.revision.is_none()) {
                self.name(unnamed.identity.in_status());
                assert!(self.machine.link().is_some_and(|link| link.revision.is_some()), "named, and not served");
            } else if let Some(attempt) = self.live_attempt {
                self.act(Action::Open(attempt, Ok(())));
            } else if let Some(probe) = self.live_probe {
                self.act(Action::Probe(probe, Ok(())));
            } else if self.machine.served().is_some() && self.open_requests.is_empty() {
                break;
            } else {
                assert!(self.machine.wake_at(self.now()).is_some(), "asleep for ever: {self:?}");
                self.act(Action::Wake);
            }
        }
        assert!(self.open_requests.is_empty(), "not answered: {self:?}");
        assert_eq!(self.machine.served().is_some(), self.budget.removals > 0, "{self:?}");
    }
}
