//! Leader election on an API server.

use std::time::{Duration, Instant};

use clientmgr_fake::apiserver::{Fault, Requests, TestServer};
use clientmgr_kube::kube::api::{DeleteParams, ObjectMeta, PostParams};
use clientmgr_kube::kube::{Api, Client};
use clientmgr_runtime::lease::{LeaderElection, Leadership, LeaseTimings};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Namespace;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(30);

fn timings() -> LeaseTimings {
    let milliseconds = Duration::from_millis;
    LeaseTimings::new(milliseconds(2_000), milliseconds(1_500), milliseconds(50)).unwrap()
}

struct Candidate {
    leadership: Leadership,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Candidate {
    fn start(client: &Client, name: &str) -> Self {
        Self::start_with(client, name, timings())
    }

    fn start_with(client: &Client, name: &str, timings: LeaseTimings) -> Self {
        let leases = Api::namespaced(client.clone(), "default");
        let election = LeaderElection::new(leases, "writer").identity(name).timings(timings);
        let (stop, stopped) = oneshot::channel::<()>();
        let leadership = election.leadership();
        let task = tokio::spawn(election.run(async {
            // A sender that is gone stops it as well.
            let _ = stopped.await;
        }));
        Self { leadership, stop, task }
    }

    async fn until(&mut self, leads: bool) {
        let waiting = async {
            while self.leadership.is_leader() != leads {
                assert!(self.leadership.changed().await, "the election goes on");
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("in time");
    }
}

async fn holder(client: &Client) -> String {
    let lease = Api::<Lease>::namespaced(client.clone(), "default").get("writer").await.unwrap();
    lease.spec.unwrap().holder_identity.unwrap_or_default()
}

#[tokio::test]
async fn one_of_two_leads_and_a_release_hands_over_before_the_lease_expires() {
    let server = TestServer::from_env().await.unwrap();
    let client = server.client().await.unwrap();
    let mut first = Candidate::start(&client, "first");
    first.until(true).await;
    let mut second = Candidate::start(&client, "second");
    assert!(holder(&client).await.starts_with("first_"));
    assert!(!second.leadership.is_leader());

    first.stop.send(()).unwrap();
    first.task.await.unwrap();
    assert!(!first.leadership.is_leader());
    second.until(true).await;
    assert!(holder(&client).await.starts_with("second_"));
    second.stop.send(()).unwrap();
    second.task.await.unwrap();
    assert_eq!(holder(&client).await, "");
    server.shutdown().await;
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_released_too() {
    let server = TestServer::start_default().await.unwrap();
    let client = server.client().await.unwrap();
    server.inject(Fault::CutBody.on(Requests::create("leases")).times(1));
    // It would look again after a minute.
    let seconds = Duration::from_secs;
    let timings = LeaseTimings::new(seconds(180), seconds(120), seconds(60)).unwrap();
    let only = Candidate::start_with(&client, "only", timings);
    tokio::time::timeout(PATIENCE, server.wait_for(Requests::create("leases").ended())).await.unwrap();
    assert!(holder(&client).await.starts_with("only_") && !only.leadership.is_leader());
    only.stop.send(()).unwrap();
    only.task.await.unwrap();
    assert_eq!(holder(&client).await, "");
}

#[tokio::test]
async fn a_candidate_that_never_wrote_the_lease_sends_nothing_at_its_end() {
    let server = TestServer::start_default().await.unwrap();
    let client = server.client().await.unwrap();
    let seconds = Duration::from_secs;
    // Each looks again after a minute.
    let timings = LeaseTimings::new(seconds(180), seconds(120), seconds(60)).unwrap();
    let mut leader = Candidate::start_with(&client, "leader", timings);
    leader.until(true).await;
    let marker = server.marker();
    let other = Candidate::start_with(&client, "other", timings);
    let gets = || Requests::get("leases").since(marker);
    tokio::time::timeout(PATIENCE, server.wait_for(gets().ended())).await.unwrap();
    other.stop.send(()).unwrap();
    other.task.await.unwrap();
    assert_eq!(server.requests_matching(gets()).len(), 1);
    assert!(leader.leadership.is_leader());
}

#[tokio::test]
async fn a_lease_that_was_deleted_by_hand_has_one_leader_again() {
    let server = TestServer::from_env().await.unwrap();
    let client = server.client().await.unwrap();
    let mut first = Candidate::start(&client, "first");
    first.until(true).await;
    let second = Candidate::start(&client, "second");
    let leases = Api::<Lease>::namespaced(client.clone(), "default");
    let deleted = leases.get("writer").await.unwrap();
    leases.delete("writer", &DeleteParams::default()).await.unwrap();
    let leads = async {
        loop {
            let lease =
                leases.get_opt("writer").await.unwrap().filter(|lease| lease.metadata.uid != deleted.metadata.uid);
            let holder = lease.and_then(|lease| lease.spec.unwrap().holder_identity);
            let leaders = (first.leadership.is_leader(), second.leadership.is_leader());
            match holder {
                Some(holder) if holder.starts_with("first_") && leaders == (true, false) => break,
                Some(holder) if holder.starts_with("second_") && leaders == (false, true) => break,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, leads).await.expect("one leads, whom the lease names");
    server.shutdown().await;
}

#[tokio::test]
async fn a_leader_whose_requests_are_refused_stops_by_itself_and_no_replica_leads_until_they_are_answered() {
    let server = TestServer::start_default().await.unwrap();
    let client = server.client().await.unwrap();
    let mut first = Candidate::start(&client, "first");
    first.until(true).await;
    let mut second = Candidate::start(&client, "second");
    let refused = server.inject(Fault::InternalError.on(Requests::to("leases")));
    first.until(false).await;
    assert!(!second.leadership.is_leader());
    refused.lift();
    let leads = async {
        while first.leadership.is_leader() == second.leadership.is_leader() {
            tokio::select! {
                goes_on = first.leadership.changed() => assert!(goes_on),
                goes_on = second.leadership.changed() => assert!(goes_on),
            }
        }
    };
    tokio::time::timeout(PATIENCE, leads).await.expect("one leads again");
}

#[tokio::test]
async fn a_killed_leader_is_followed_when_its_lease_has_expired() {
    let server = TestServer::from_env().await.unwrap();
    let client = server.client().await.unwrap();
    let mut first = Candidate::start(&client, "first");
    first.until(true).await;
    let mut second = Candidate::start(&client, "second");
    first.task.abort();
    second.until(true).await;
    assert!(!first.leadership.is_leader());
    let lease = Api::<Lease>::namespaced(client, "default").get("writer").await.unwrap();
    assert_eq!(lease.spec.unwrap().lease_transitions, Some(1));
    server.shutdown().await;
}

#[tokio::test]
async fn a_leader_without_a_server_stops_to_lead_by_itself() {
    let server = TestServer::start_default().await.unwrap();
    let client = server.client().await.unwrap();
    let mut only = Candidate::start(&client, "only");
    only.until(true).await;
    server.stop().await;
    only.until(false).await;
    server.start().await.unwrap();
    only.until(true).await;
}

#[tokio::test]
async fn a_lease_whose_namespace_is_missing_is_tried_again_after_a_pause() {
    let server = TestServer::start_default().await.unwrap();
    let client = server.client().await.unwrap();
    let (began, retry) = (Instant::now(), Duration::from_millis(50));
    let timings = LeaseTimings::new(20 * retry, 15 * retry, retry).unwrap();
    let leases = Api::<Lease>::namespaced(client.clone(), "later");
    let election = LeaderElection::new(leases, "writer").timings(timings);
    let mut leadership = election.leadership();
    let task = tokio::spawn(election.run(std::future::pending()));
    let tries = || server.requests_matching(Requests::create("leases").status(404)).len();
    let five = async {
        while tries() < 5 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, five).await.expect("it goes on");
    assert!(began.elapsed() >= 4 * retry, "a pause after each: {:?}", began.elapsed());
    let later = Namespace {
        metadata: ObjectMeta { name: Some("later".into()), ..ObjectMeta::default() },
        ..Namespace::default()
    };
    Api::all(client).create(&PostParams::default(), &later).await.unwrap();
    assert!(tokio::time::timeout(PATIENCE, leadership.changed()).await.expect("in time") && leadership.is_leader());
    task.abort();
}
