//! Leader election on an API server.

use std::time::Duration;

use clientmgr_fake::apiserver::TestServer;
use clientmgr_kube::kube::{Api, Client};
use clientmgr_runtime::lease::{LeaderElection, Leadership, LeaseTimings};
use k8s_openapi::api::coordination::v1::Lease;
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
        let election = LeaderElection::new(client.clone(), "default", "writer", name, timings());
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
