//! Calls that overtake each other, step by step: a stand-in connector asks the test for the outcome of each of its
//! calls, so that every interleaving is written down and none is left to chance.

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
struct Pending(oneshot::Sender<Result<(), ConnectFailure>>);

impl Pending {
    fn succeed(self) {
        self.answer(true);
    }

    fn fail(self) {
        self.answer(false);
    }

    fn answer(self, well: bool) {
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
struct Stage {
    fleet: Fleet,
    east: NamespacedName,
    calls: mpsc::UnboundedReceiver<Call>,
}

type Outcome = Result<ConnectedAt, ConnectError>;

impl Stage {
    fn new() -> Self {
        let (sender, calls) = mpsc::unbounded_channel();
        let fleet = Fleet::builder().build_with(Box::new(Scripted(sender)));
        let stage = Self { fleet, east: NamespacedName::cluster_scoped("east"), calls };
        stage.upsert();
        stage
    }

    /// A stage whose cluster is connected, and its revision.
    fn connected() -> (Self, ConnectedAt) {
        let mut stage = Self::new();
        let (fleet, east) = stage.parts();
        let mut connecting = pin!(fleet.connect(&east));
        begin(connecting.as_mut());
        stage.open().succeed();
        let revision = end(connecting).unwrap();
        (stage, revision)
    }

    /// A stage whose cluster was connected and then failed its check, and the revision of what is retained.
    fn failing() -> (Self, ConnectedAt) {
        let (mut stage, revision) = Self::connected();
        let (fleet, east) = stage.parts();
        let mut checking = pin!(fleet.check(&east));
        begin(checking.as_mut());
        stage.prove().fail();
        end(checking).unwrap_err();
        (stage, revision)
    }

    /// The fleet and the key on their own, so that futures borrow them and not the stage.
    fn parts(&self) -> (Fleet, NamespacedName) {
        (self.fleet.clone(), self.east.clone())
    }

    /// Adds the cluster, or gives it another endpoint.
    fn upsert(&self) {
        self.fleet.upsert(self.east.clone(), Endpoint::from_kubeconfig(&Kubeconfig::default(), "east"));
    }

    fn open(&mut self) -> Pending {
        match self.calls.try_recv() {
            Ok(Call::Open(pending)) => pending,
            other => panic!("no connection is being made: {other:?}"),
        }
    }

    fn prove(&mut self) -> Pending {
        match self.calls.try_recv() {
            Ok(Call::Prove(pending)) => pending,
            other => panic!("no connection is being checked: {other:?}"),
        }
    }

    /// The revision that readers are served.
    fn served(&self) -> Option<ConnectedAt> {
        let connection = self.fleet.connection(&self.east).now_or_never().expect("readers never wait");
        connection.ok().map(|connection| connection.revision)
    }
}

/// Runs a call as far as it goes, which is not to its end.
fn begin(call: Pin<&mut impl Future<Output = Outcome>>) {
    if let Some(outcome) = call.now_or_never() {
        panic!("ended at once: {outcome:?}");
    }
}

/// The outcome of a call that waits for nothing any more.
fn end(call: Pin<&mut impl Future<Output = Outcome>>) -> Outcome {
    call.now_or_never().expect("the call ends")
}

#[tokio::test]
async fn a_connect_of_a_connected_cluster_does_not_wait_for_a_reconnect() {
    let (mut stage, first) = Stage::connected();
    let (fleet, east) = stage.parts();
    let mut reconnecting = pin!(fleet.reconnect(&east));
    begin(reconnecting.as_mut());
    let opening = stage.open();

    assert_eq!(end(pin!(fleet.connect(&east))).unwrap(), first);
    opening.succeed();
    assert!(end(reconnecting).unwrap() > first);
}

#[tokio::test]
async fn a_connect_that_waited_for_an_attempt_that_failed_takes_what_is_served_by_then() {
    let (mut stage, first) = Stage::failing();
    let (fleet, east) = stage.parts();
    let mut reconnecting = pin!(fleet.reconnect(&east));
    begin(reconnecting.as_mut());
    let opening = stage.open();
    let mut connecting = pin!(fleet.connect(&east));
    begin(connecting.as_mut());
    // The retained connection recovers while both wait.
    let mut checking = pin!(fleet.check(&east));
    begin(checking.as_mut());
    stage.prove().succeed();
    assert_eq!(end(checking).unwrap(), first);

    opening.fail();
    begin(reconnecting.as_mut());
    stage.prove().succeed();
    assert!(end(reconnecting).unwrap_err().is_unauthorized());
    assert_eq!(end(connecting).unwrap(), first);
    assert_eq!(stage.served(), Some(first));
}

#[tokio::test]
async fn a_reconnect_does_not_share_an_attempt_that_began_before_it() {
    let mut stage = Stage::new();
    let (fleet, east) = stage.parts();
    let mut connecting = pin!(fleet.connect(&east));
    begin(connecting.as_mut());
    let opening = stage.open();
    let (mut one, mut other) = (pin!(fleet.reconnect(&east)), pin!(fleet.reconnect(&east)));
    begin(one.as_mut());
    begin(other.as_mut());

    opening.fail();
    end(connecting).unwrap_err();
    begin(one.as_mut());
    begin(other.as_mut());
    stage.open().succeed();
    let revision = end(one).unwrap();
    assert_eq!(end(other).unwrap(), revision, "what waited together shares one attempt");
    assert!(stage.calls.is_empty());
}

#[tokio::test]
async fn a_check_that_a_reconnect_overtook_tells_what_is_served_by_then() {
    for passes in [true, false] {
        let (mut stage, first) = Stage::connected();
        let (fleet, east) = stage.parts();
        let mut checking = pin!(fleet.check(&east));
        begin(checking.as_mut());
        let proving = stage.prove();
        let mut reconnecting = pin!(fleet.reconnect(&east));
        begin(reconnecting.as_mut());
        stage.open().succeed();
        let second = end(reconnecting).unwrap();
        assert!(second > first);

        proving.answer(passes);
        assert_eq!(end(checking).unwrap(), second);
        assert_eq!(stage.served(), Some(second));
    }
}

#[tokio::test]
async fn a_check_of_a_cluster_that_was_removed_meanwhile_says_so() {
    for passes in [true, false] {
        let (mut stage, _) = Stage::connected();
        let (fleet, east) = stage.parts();
        let mut checking = pin!(fleet.check(&east));
        begin(checking.as_mut());
        let proving = stage.prove();
        fleet.remove(&east);
        proving.answer(passes);
        assert!(matches!(end(checking).unwrap_err().failure(), ConnectFailure::Removed));
    }
}

#[tokio::test]
async fn an_attempt_that_fails_as_it_is_interrupted_tells_of_the_interruption() {
    let mut stage = Stage::new();
    let (fleet, east) = stage.parts();
    let mut connecting = pin!(fleet.connect(&east));
    begin(connecting.as_mut());
    stage.open().fail();
    stage.upsert();
    assert!(matches!(end(connecting).unwrap_err().failure(), ConnectFailure::Superseded));

    let mut connecting = pin!(fleet.connect(&east));
    begin(connecting.as_mut());
    stage.open().fail();
    fleet.remove(&east);
    assert!(matches!(end(connecting).unwrap_err().failure(), ConnectFailure::Removed));
}

#[tokio::test]
async fn an_interruption_that_comes_late_does_not_concern_an_attempt_to_the_new_endpoint() {
    let mut stage = Stage::new();
    let (fleet, east) = stage.parts();
    let member = fleet.inner.roster.find(&east).unwrap();
    stage.upsert();
    let mut connecting = pin!(fleet.connect(&east));
    begin(connecting.as_mut());
    let opening = stage.open();

    // As from whoever replaced the first endpoint by the second and got no further until now.
    member.interrupt_before(2);
    begin(connecting.as_mut());
    opening.succeed();
    let revision = end(connecting).unwrap();
    assert_eq!(stage.served(), Some(revision));

    let mut reconnecting = pin!(fleet.reconnect(&east));
    begin(reconnecting.as_mut());
    let _unanswered = stage.open();
    member.interrupt_before(3);
    member.interrupt_before(2);
    end(reconnecting).unwrap_err();
}

#[tokio::test]
async fn an_attempt_that_is_interrupted_leaves_no_failure_behind() {
    let mut stage = Stage::new();
    let (fleet, east) = stage.parts();
    let mut connecting = pin!(fleet.connect(&east));
    begin(connecting.as_mut());
    let _unanswered = stage.open();
    // Even where the state has not been told.
    fleet.inner.roster.find(&east).unwrap().interrupt_before(2);
    assert!(matches!(end(connecting).unwrap_err().failure(), ConnectFailure::Superseded));
    assert!(matches!(fleet.status(&east), Some(super::ClusterStatus::Idle)));
}

#[tokio::test]
async fn a_cluster_that_is_removed_and_added_again_has_nothing_to_do_with_the_attempt_under_way() {
    let mut stage = Stage::new();
    let (fleet, east) = stage.parts();
    let mut outdated = pin!(fleet.connect(&east));
    begin(outdated.as_mut());
    let old = stage.open();
    fleet.remove(&east);
    stage.upsert();

    // The old attempt ends while the new one is under way, and does not concern it.
    let mut connecting = pin!(fleet.connect(&east));
    begin(connecting.as_mut());
    let opening = stage.open();
    old.succeed();
    assert!(matches!(end(outdated).unwrap_err().failure(), ConnectFailure::Removed));
    assert_eq!(stage.served(), None);
    opening.succeed();
    let revision = end(connecting).unwrap();
    assert_eq!(stage.served(), Some(revision));
}

#[tokio::test]
async fn a_check_does_not_bring_back_a_connection_whose_endpoint_was_replaced() {
    // Replaced before or after the check of the old connection failed.
    for late in [false, true] {
        let (mut stage, first) = if late { Stage::failing() } else { Stage::connected() };
        let (fleet, east) = stage.parts();
        stage.upsert();
        if !late {
            let mut checking = pin!(fleet.check(&east));
            begin(checking.as_mut());
            stage.prove().fail();
            end(checking).unwrap_err();
        }
        let mut checking = pin!(fleet.check(&east));
        begin(checking.as_mut());
        stage.open().succeed();
        assert!(end(checking).unwrap() > first);
    }
}

#[tokio::test]
async fn a_check_under_way_does_not_bring_back_a_connection_whose_endpoint_is_replaced() {
    for passes in [true, false] {
        let (mut stage, _) = Stage::failing();
        let (fleet, east) = stage.parts();
        let mut checking = pin!(fleet.check(&east));
        begin(checking.as_mut());
        let proving = stage.prove();
        stage.upsert();
        proving.answer(passes);
        assert!(matches!(end(checking).unwrap_err().failure(), ConnectFailure::Superseded));
        assert_eq!(stage.served(), None);
    }
}

#[tokio::test]
async fn a_connection_to_an_endpoint_that_was_replaced_is_served_while_it_passes_its_checks() {
    let (mut stage, first) = Stage::connected();
    let (fleet, east) = stage.parts();
    stage.upsert();
    let mut checking = pin!(fleet.check(&east));
    begin(checking.as_mut());
    stage.prove().succeed();
    assert_eq!(end(checking).unwrap(), first);
    assert_eq!(stage.served(), Some(first));
}

#[tokio::test]
async fn a_replaced_endpoint_ends_the_check_that_follows_a_failed_reconnect_and_frees_the_turn() {
    let (mut stage, first) = Stage::connected();
    let (fleet, east) = stage.parts();
    let mut reconnecting = pin!(fleet.reconnect(&east));
    begin(reconnecting.as_mut());
    stage.open().fail();
    begin(reconnecting.as_mut());
    let _unanswered = stage.prove();

    stage.upsert();
    let mut connecting = pin!(fleet.connect(&east));
    begin(connecting.as_mut());
    assert!(matches!(end(reconnecting).unwrap_err().failure(), ConnectFailure::Superseded));
    assert_eq!(stage.served(), Some(first), "nothing is known against it");
    begin(connecting.as_mut());
    stage.open().succeed();
    assert!(end(connecting).unwrap() > first);
}

#[tokio::test]
async fn a_removal_ends_the_check_that_follows_a_failed_reconnect() {
    let (mut stage, _) = Stage::connected();
    let (fleet, east) = stage.parts();
    let mut reconnecting = pin!(fleet.reconnect(&east));
    begin(reconnecting.as_mut());
    stage.open().fail();
    begin(reconnecting.as_mut());
    let _unanswered = stage.prove();
    fleet.remove(&east);
    assert!(matches!(end(reconnecting).unwrap_err().failure(), ConnectFailure::Removed));
}

#[tokio::test]
async fn a_check_ends_when_its_cluster_is_removed_or_gets_another_endpoint() {
    for removed in [true, false] {
        let (mut stage, first) = Stage::connected();
        let (fleet, east) = stage.parts();
        let mut checking = pin!(fleet.check(&east));
        begin(checking.as_mut());
        let _unanswered = stage.prove();
        let expected = if removed {
            fleet.remove(&east);
            None
        } else {
            stage.upsert();
            Some(first)
        };
        let error = end(checking).unwrap_err();
        assert_eq!(matches!(error.failure(), ConnectFailure::Removed), removed, "{error:?}");
        assert_eq!(matches!(error.failure(), ConnectFailure::Superseded), !removed, "{error:?}");
        assert_eq!(stage.served(), expected);
    }
}
