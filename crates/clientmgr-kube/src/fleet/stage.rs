//! A stage for calls that overtake each other: a fleet with one cluster, whose connector asks the test for the outcome of
//! each of its calls. So every interleaving is written down and none is left to chance.

use std::pin::{Pin, pin};
use std::time::Duration;

use clientmgr_core::{ClientProvider, ConnectedAt, NamespacedName, async_trait};
use futures::FutureExt;
use kube::Client;
use kube::client::Body;
use kube::config::Kubeconfig;
use tokio::sync::{mpsc, oneshot};

use super::{Fleet, Line};
use crate::connect::{Connector, Proof};
use crate::{ConnectError, ConnectFailure, Endpoint};

/// A call that waits for its outcome.
#[derive(Debug)]
enum Call {
    Open(Pending),
    Prove(Pending),
}

#[derive(Debug)]
pub(super) struct Pending(oneshot::Sender<Result<(), ConnectFailure>>);

impl Pending {
    pub(super) fn succeed(self) {
        self.answer(true);
    }

    pub(super) fn fail(self) {
        self.answer(false);
    }

    pub(super) fn answer(self, well: bool) {
        let outcome = if well { Ok(()) } else { Err(ConnectFailure::Unauthorized) };
        self.0.send(outcome).expect("whoever asked still waits");
    }
}

/// Asks the test.
struct Scripted(mpsc::UnboundedSender<Call>);

impl Scripted {
    async fn ask(&self, key: &NamespacedName, call: fn(Pending) -> Call) -> Result<Line, ConnectError> {
        let (answer, answered) = oneshot::channel();
        self.0.send(call(Pending(answer))).expect("the test lasts");
        answered.await.expect("the test answers").map_err(|failure| ConnectError::new(key.clone(), failure))?;
        let service = tower::service_fn(|_: http::Request<Body>| std::future::pending::<Answer>());
        Ok(Line { client: Client::new(service, "default"), proof: Proof::Api })
    }
}

type Answer = Result<http::Response<Body>, std::io::Error>;

#[async_trait]
impl Connector for Scripted {
    async fn open(&self, key: &NamespacedName, _: &Endpoint, _: Duration) -> Result<Line, ConnectError> {
        self.ask(key, Call::Open).await
    }

    async fn prove(&self, key: &NamespacedName, _: &Line, _: Duration) -> Result<Proof, ConnectError> {
        self.ask(key, Call::Prove).await.map(|line| line.proof)
    }
}

/// A fleet with one cluster, and the calls that its connector got.
pub(super) struct Stage {
    pub(super) fleet: Fleet,
    east: NamespacedName,
    calls: mpsc::UnboundedReceiver<Call>,
}

pub(super) type Outcome = Result<ConnectedAt, ConnectError>;

impl Stage {
    pub(super) fn new() -> Self {
        let (sender, calls) = mpsc::unbounded_channel();
        let fleet = Fleet::builder().build_with(Box::new(Scripted(sender)));
        let stage = Self { fleet, east: NamespacedName::cluster_scoped("east"), calls };
        stage.upsert();
        stage
    }

    /// A stage whose cluster is connected, and its revision.
    pub(super) fn connected() -> (Self, ConnectedAt) {
        let mut stage = Self::new();
        let (fleet, east) = stage.parts();
        let mut connecting = pin!(fleet.connect(&east));
        begin(connecting.as_mut());
        stage.open().succeed();
        let revision = end(connecting).unwrap();
        (stage, revision)
    }

    /// A stage whose cluster was connected and then failed its check, and the revision of what is retained.
    pub(super) fn failing() -> (Self, ConnectedAt) {
        let (mut stage, revision) = Self::connected();
        let (fleet, east) = stage.parts();
        let mut checking = pin!(fleet.check(&east));
        begin(checking.as_mut());
        stage.prove().fail();
        end(checking).unwrap_err();
        (stage, revision)
    }

    /// The fleet and the key on their own, so that futures borrow them and not the stage.
    pub(super) fn parts(&self) -> (Fleet, NamespacedName) {
        (self.fleet.clone(), self.east.clone())
    }

    /// Adds the cluster, or gives it another endpoint.
    pub(super) fn upsert(&self) {
        self.fleet.upsert(self.east.clone(), Endpoint::from_kubeconfig(&Kubeconfig::default(), "east"));
    }

    pub(super) fn open(&mut self) -> Pending {
        match self.calls.try_recv() {
            Ok(Call::Open(pending)) => pending,
            other => panic!("no connection is being made: {other:?}"),
        }
    }

    pub(super) fn prove(&mut self) -> Pending {
        match self.calls.try_recv() {
            Ok(Call::Prove(pending)) => pending,
            other => panic!("no connection is being checked: {other:?}"),
        }
    }

    pub(super) fn is_asked_nothing(&self) -> bool {
        self.calls.is_empty()
    }

    /// The revision that readers are served.
    pub(super) fn served(&self) -> Option<ConnectedAt> {
        let connection = self.fleet.connection(&self.east).now_or_never().expect("readers never wait");
        connection.ok().map(|connection| connection.revision)
    }
}

/// Runs a call as far as it goes, which is not to its end.
pub(super) fn begin(call: Pin<&mut impl Future<Output = Outcome>>) {
    if let Some(outcome) = call.now_or_never() {
        panic!("ended at once: {outcome:?}");
    }
}

/// The outcome of a call that waits for nothing any more.
pub(super) fn end(call: Pin<&mut impl Future<Output = Outcome>>) -> Outcome {
    call.now_or_never().expect("the call ends")
}
