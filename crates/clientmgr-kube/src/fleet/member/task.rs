//! The task of one cluster: does what its [machine](super::machine) says, and reports the results to it. What must not
//! live here: decisions.

use std::collections::{HashMap, HashSet};
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task;
use std::time::Duration;

use clientmgr_core::{ConnectedAt, NamespacedName};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::active::{Active, Target};
use super::event::{Effect, Event, Expected, Known, Opened, Outcome};
use super::gate::Gate;
use super::machine::Machine;
use super::mailbox::{Answer, BackLink, Message};
use super::observe;
use super::published::Published;
use super::watched_files::WatchedFiles;
use crate::client::{Report, RevokedReason};
use crate::config::{ClusterConfig, Incarnation};
use crate::error::{ConnectError, Failure};
use crate::fleet::connector::{Established, Opening, ReadFiles};
use crate::fleet::context::Context;
use crate::fleet::history::Past;
use crate::probe::{Evidence, Verified};
use crate::work::{BlockingWorker, Record};

/// Work under way, with the number by which its answer is known.
type Running<T> = Option<(u64, BoxFuture<'static, T>)>;

/// See the [module](self).
pub(crate) struct Task {
    key: NamespacedName,
    context: Arc<Context>,
    published: Arc<Published>,
    gate: Arc<Gate>,
    back_link: BackLink,
    machine: Machine<Evidence, ConnectError>,
    config: ClusterConfig,
    /// The number of the configuration, and of the last one whose attempt has ended.
    config_number: u64,
    config_tried: u64,
    /// That of the attempt under way or done last.
    attempted: Option<ClusterConfig>,
    /// The one that the transport in use was made by.
    proven: Option<ClusterConfig>,
    worker: BlockingWorker,
    record: Arc<Record>,
    opening: Running<Result<Established, Failure>>,
    /// The files that the last attempt read.
    read_files: Arc<OnceLock<ReadFiles>>,
    probing: Running<Result<Verified, Failure>>,
    /// What an attempt established, until the machine says what becomes of it.
    established: Option<Established>,
    active: Active,
    watched: WatchedFiles,
    requests: HashMap<u64, oneshot::Sender<Answer>>,
    next_request: u64,
    /// At so many requests it looks which callers still wait.
    look_at: usize,
    /// Whether it ended in order.
    is_finished: bool,
    /// Whether it runs at this moment.
    is_polled: Arc<AtomicBool>,
}

/// Whether a task that was held back begins.
#[derive(PartialEq, Eq)]
enum Held {
    Back,
    Over,
}

/// What woke the task.
enum Wake {
    Message(Option<Message>),
    Opened(u64, Result<Established, Failure>),
    Probed(u64, Result<Verified, Failure>),
    Timer,
}

impl Task {
    pub(crate) fn new(
        key: NamespacedName,
        config: ClusterConfig,
        (context, published, gate): (Arc<Context>, Arc<Published>, Arc<Gate>),
        mailbox: mpsc::WeakUnboundedSender<Message>,
    ) -> Self {
        let back_link = BackLink::new(mailbox);
        let active = Active::new(key.clone(), Arc::clone(&context), Arc::clone(&gate), back_link.clone());
        Self {
            key,
            machine: Machine::new(context.timing, Past::default()),
            context,
            published,
            gate,
            back_link,
            config,
            config_number: 0,
            config_tried: 0,
            attempted: None,
            proven: None,
            worker: BlockingWorker::new(),
            record: Arc::default(),
            opening: None,
            read_files: Arc::default(),
            probing: None,
            established: None,
            active,
            watched: WatchedFiles::default(),
            requests: HashMap::new(),
            next_request: 0,
            look_at: 1,
            is_finished: false,
            is_polled: Arc::default(),
        }
    }

    /// Runs until the cluster is removed, the fleet is dropped, or it shuts down. Begins after `delay`.
    pub(crate) async fn run(self: Box<Self>, messages: mpsc::UnboundedReceiver<Message>, delay: Duration) {
        let is_polled = Arc::clone(&self.is_polled);
        let mut running = pin!(self.run_polled(messages, delay));
        let poll = |context: &mut task::Context<'_>| {
            is_polled.store(true, Ordering::Relaxed);
            let polled = running.as_mut().poll(context);
            is_polled.store(false, Ordering::Relaxed);
            polled
        };
        poll_fn(poll).await;
    }

    async fn run_polled(mut self: Box<Self>, mut messages: mpsc::UnboundedReceiver<Message>, delay: Duration) {
        if !delay.is_zero() && self.hold_back(&mut messages, delay).await == Held::Over {
            return;
        }
        // The member before has ended: its past is known now.
        self.machine = Machine::new(self.context.timing, self.context.history.of(&self.key));
        let expected = expected(&self.config);
        self.step(Event::Configured(expected));
        loop {
            let wake = self.wait(&mut messages).await;
            match wake {
                Wake::Message(None) => return,
                Wake::Message(Some(Message::Removed)) => {
                    self.step(Event::Removed);
                    self.finish(Failure::Removed);
                    return;
                }
                Wake::Message(Some(Message::ShutDown)) => {
                    self.finish(Failure::ShutDown);
                    return;
                }
                Wake::Message(Some(message)) => self.receive(message),
                Wake::Opened(attempt, result) => self.opened(attempt, result),
                Wake::Probed(probe, result) => self.probed(probe, result),
                Wake::Timer => {
                    self.forget_given_up();
                    self.step(Event::Woke);
                }
            }
        }
    }

    /// Waits for `delay`, because the task before panicked, or for another configuration.
    async fn hold_back(&mut self, messages: &mut mpsc::UnboundedReceiver<Message>, delay: Duration) -> Held {
        let held = async {
            loop {
                match messages.recv().await {
                    None => return Held::Over,
                    Some(Message::Removed) => self.finish(Failure::Removed),
                    Some(Message::ShutDown) => self.finish(Failure::ShutDown),
                    Some(Message::Config(config, number)) => {
                        (self.config, self.config_number) = (*config, number);
                        return Held::Back;
                    }
                    Some(Message::Ask(_, reply)) => {
                        // Fails if the caller dropped its future.
                        let _ = reply.send(Err(ConnectError::new(self.key.clone(), Failure::Panicked)));
                        continue;
                    }
                    Some(Message::FilesChanged | Message::Reported(..) | Message::ClockJumped) => continue,
                }
                return Held::Over;
            }
        };
        tokio::time::timeout(delay, held).await.unwrap_or(Held::Back)
    }

    async fn wait(&mut self, messages: &mut mpsc::UnboundedReceiver<Message>) -> Wake {
        let wake_at = self.machine.wake_at(self.context.clock.now());
        let wake_at = wake_at.and_then(|mono| self.context.clock.instant(mono));
        let timer = async {
            match wake_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => pending().await,
            }
        };
        tokio::select! {
            // Whatever was announced is known before an answer is used: a removal, above all.
            biased;
            message = messages.recv() => Wake::Message(message),
            (attempt, result) = running(&mut self.opening) => Wake::Opened(attempt, result),
            (probe, result) = running(&mut self.probing) => Wake::Probed(probe, result),
            () = timer => Wake::Timer,
        }
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Config(config, number) => {
                self.config_number = number;
                let expected = expected(&config);
                let is_same = config.fingerprint() == self.config.fingerprint();
                self.config = *config;
                self.step(if is_same { Event::Adopted(expected) } else { Event::Configured(expected) });
            }
            Message::Ask(what, reply) => {
                let request = self.next_request;
                self.next_request += 1;
                self.requests.insert(request, reply);
                self.step(Event::Asked { request, what });
            }
            Message::FilesChanged => self.step(Event::FilesChanged),
            Message::Reported(connections, report) => {
                if self.active.uses(&connections) {
                    if report == Report::Broken {
                        // A server that comes back may have another version.
                        self.active.doubt_details();
                    }
                    self.step(Event::Reported(report));
                }
            }
            Message::ClockJumped => self.step(Event::ClockJumped),
            Message::Removed | Message::ShutDown => {}
        }
        // Not after each message: a storm of requests would look at all of them each time.
        if self.requests.len() >= self.look_at {
            self.forget_given_up();
            self.look_at = 2 * self.requests.len() + 1;
        }
    }

    /// Forgets the requests whose callers wait no longer.
    fn forget_given_up(&mut self) {
        let requests: HashSet<_> =
            self.requests.iter().filter(|(_, reply)| reply.is_closed()).map(|(request, _)| *request).collect();
        if !requests.is_empty() {
            self.requests.retain(|request, _| !requests.contains(request));
            self.step(Event::GaveUp { requests });
        }
    }

    fn opened(&mut self, attempt: u64, result: Result<Established, Failure>) {
        self.opening = None;
        // An attempt with an older configuration was cancelled when the newer one came.
        self.config_tried = self.config_number;
        observe::attempted(&self.key, attempt, &result);
        self.watch_files();
        match result {
            Ok(established) => {
                let opened = Opened {
                    identity: established.verified.evidence.clone(),
                    candidate: ConnectedAt::now(),
                    expiry: established.expiry,
                    renewal_pause: established.renewal_pause,
                    is_same: self.is_in_use(&established),
                };
                self.established = Some(established);
                self.step(Event::Opened { attempt, opened });
            }
            Err(failure) => {
                let error = ConnectError::new(self.key.clone(), failure);
                self.step(Event::OpenFailed { attempt, error });
            }
        }
    }

    fn probed(&mut self, probe: u64, result: Result<Verified, Failure>) {
        self.probing = None;
        observe::probed(&self.key, probe, &result);
        match result {
            Ok(verified) => {
                let identity = verified.evidence.clone();
                self.active.probed(verified);
                self.step(Event::Probed { probe, identity });
            }
            Err(failure) => {
                self.active.doubt_details();
                let error = ConnectError::new(self.key.clone(), failure);
                self.step(Event::ProbeFailed { probe, error });
            }
        }
        if self.probing.is_none() {
            self.active.drop_fresh();
        }
    }

    fn step(&mut self, event: Event<Evidence, ConnectError>) {
        let mut answers = Vec::new();
        let is_removal = matches!(event, Event::Removed);
        for effect in self.machine.step(self.context.clock.now(), event) {
            self.carry_out(effect, &mut answers);
        }
        self.established = None;
        // Before the answers: a caller that gets "connected" reads it so.
        if !is_removal {
            self.publish();
        }
        for (request, outcome) in answers {
            if let Some(reply) = self.requests.remove(&request) {
                // Fails if the caller dropped its future.
                let _ = reply.send(self.answer(outcome));
            }
        }
    }

    fn carry_out(&mut self, effect: Effect<ConnectError>, answers: &mut Vec<(u64, Outcome<ConnectError>)>) {
        match effect {
            Effect::Open { attempt } => self.open(attempt, self.config.clone()),
            Effect::Renew { attempt } => {
                let config = self.proven.clone().unwrap_or_else(|| self.config.clone());
                self.open(attempt, config);
            }
            Effect::Abort { .. } => self.opening = None,
            // Not closed: it may share its connections with the transport of now.
            Effect::Discard { .. } => self.established = None,
            Effect::Confirm { .. } => {
                if let Some(established) = self.established.take() {
                    self.active.confirm(established.verified);
                }
                self.keep_attempted();
            }
            Effect::Install { .. } => self.install(),
            Effect::InstallFresh => self.active.install_fresh(),
            Effect::Serve { revision, generation } => self.active.serve(revision, generation),
            Effect::Fence { revision, reason } => self.active.fence(revision, reason),
            Effect::Probe { probe, fresh } => self.probe(probe, fresh),
            Effect::AbortProbe { .. } => {
                self.probing = None;
                self.active.drop_fresh();
            }
            Effect::Answer { request, outcome } => answers.push((request, outcome)),
        }
    }

    fn open(&mut self, attempt: u64, config: ClusterConfig) {
        self.attempted = Some(config.clone());
        self.read_files = Arc::default();
        let opening = Opening {
            files: Arc::clone(&self.read_files),
            config,
            worker: self.worker.clone(),
            record: Arc::clone(&self.record),
            previous: self.active.transport(),
        };
        let context = Arc::clone(&self.context);
        let deadline = context.deadline;
        let opening = async move {
            match tokio::time::timeout(deadline, context.connector.open(opening)).await {
                Ok(result) => result,
                Err(_) => Err(Failure::DeadlinePassed { deadline }),
            }
        };
        self.opening = Some((attempt, observe::attempt(attempt, opening).boxed()));
    }

    fn probe(&mut self, probe: u64, fresh: bool) {
        let Some(Target { transport, address, extent }) = self.active.probe_target(fresh) else { return };
        let Some(expected) = self.machine.link().map(|link| link.identity.clone()) else { return };
        let context = Arc::clone(&self.context);
        let probing = async move { context.connector.probe(&transport, &address, &expected, extent).await };
        self.probing = Some((probe, observe::probe(probe, fresh, probing).boxed()));
    }

    fn install(&mut self) {
        if let Some(established) = self.established.take() {
            self.active.install(established);
            self.keep_attempted();
        }
    }

    /// The configuration of the last attempt is proven. If it is the one of now, the files of the one before are no longer
    /// watched.
    fn keep_attempted(&mut self) {
        let Some(attempted) = &self.attempted else { return };
        if attempted.fingerprint() == self.config.fingerprint() {
            self.watched.succeeded();
        }
        self.proven = Some(attempted.clone());
    }

    /// Whether `established` is what is in use already.
    fn is_in_use(&self, established: &Established) -> bool {
        let is_same_config = match (&self.attempted, &self.proven) {
            (Some(attempted), Some(proven)) => attempted.fingerprint() == proven.fingerprint(),
            _ => false,
        };
        is_same_config && self.active.transport().is_some_and(|current| current.is_same(&established.transport))
    }

    fn watch_files(&mut self) {
        let Some(ReadFiles { files, stamp }) = self.read_files.get().cloned() else { return };
        let back_link = self.back_link.clone();
        let changed = move || _ = back_link.send(Message::FilesChanged);
        let watch = |files| self.context.files.watch(files, stamp, self.worker.clone(), changed);
        self.watched.attempted(files, watch);
    }

    fn answer(&self, outcome: Outcome<ConnectError>) -> Answer {
        match outcome {
            Outcome::Served(revision) => Ok(Some(revision)),
            Outcome::Unchanged => Ok(None),
            Outcome::Failed(error) => Err(error.of_cluster(&self.key)),
            Outcome::Removed => Err(ConnectError::new(self.key.clone(), Failure::Removed)),
        }
    }

    fn publish(&self) {
        let (serving, snapshot) = self.active.view(&self.machine);
        self.published.publish(serving, snapshot, self.config_tried, &self.context);
    }

    /// Answers what is still asked, and closes what is open.
    fn finish(&mut self, failure: Failure) {
        self.is_finished = true;
        let error = ConnectError::new(self.key.clone(), failure.clone());
        for (_, reply) in self.requests.drain() {
            let _ = reply.send(Err(error.clone()));
        }
        self.opening = None;
        self.probing = None;
        self.active.close();
        self.published.end(failure, &self.context);
    }
}

impl Drop for Task {
    /// A task that panics or ends with its runtime serves nothing any more.
    fn drop(&mut self) {
        self.context.history.keep(&self.key, self.machine.past(), self.context.clock.mono());
        if self.is_finished {
            return;
        }
        // A thread that panics for another reason may drop the runtime, and this task with it.
        if std::thread::panicking() && self.is_polled.load(Ordering::Relaxed) {
            self.gate.close(RevokedReason::Panicked);
            self.published.end(Failure::Panicked, &self.context);
        } else {
            self.published.end(Failure::NoRuntime, &self.context);
        }
    }
}

/// What a configuration says of the cluster's identity and revisions.
fn expected(config: &ClusterConfig) -> Expected<Evidence> {
    let known = |incarnation: &Incarnation| Known {
        identity: Evidence::of(&incarnation.identity),
        revision: incarnation.revision,
    };
    Expected { pin: config.pin().map(Evidence::of), known: config.incarnation().map(known), naming: config.naming() }
}

/// Waits for work under way, if there is any.
async fn running<T>(running: &mut Running<T>) -> (u64, T) {
    match running {
        Some((number, work)) => (*number, work.await),
        None => pending().await,
    }
}
