//! Probes on fresh connections: what they say of the latency, and what is left of them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::ready;
use std::sync::Mutex;
use std::time::Duration;

use clientmgr_core::async_trait;
use clientmgr_fake::apiserver::{Fault, Requests, TestServer};
use http::{Request, Response};
use kube::Config;
use kube::client::Body;
use tokio::time::timeout;
use tower::service_fn;

use super::Fleet;
use super::connector::{Connector, Established, Opening};
use crate::ClusterConfig;
use crate::client::Transport;
use crate::config::{ClusterIdentity, Naming};
use crate::error::Failure;
use crate::probe::{Evidence, Extent, Verified};
use crate::work::Tasks;

const DEADLINE: Duration = Duration::from_secs(10);

/// How long each probe's answer takes, in order; none fails. Each proof takes 50 ms.
struct Script(Mutex<VecDeque<Option<u64>>>);

fn verified(address: &ClusterIdentity, millis: u64) -> Verified {
    let evidence = Evidence::new(ClusterIdentity::by_uid("east"), address.clone());
    Verified { evidence, details: None, latency: Duration::from_millis(millis) }
}

#[async_trait]
impl Connector for Script {
    async fn open(&self, _: Opening) -> Result<Established, Failure> {
        let address = ClusterIdentity::by_address(&"https://east".parse().unwrap(), None);
        let no_server = service_fn(|_: Request<Body>| ready(Ok::<_, Infallible>(Response::new(Body::empty()))));
        let transport = Transport::from_service(no_server)?;
        let verified = verified(&address, 50);
        Ok(Established { transport, verified, address, expiry: None, renewal_pause: None })
    }

    async fn probe(
        &self,
        _: &Transport,
        address: &ClusterIdentity,
        _: &Evidence,
        _: Extent,
    ) -> Result<Verified, Failure> {
        match self.0.lock().unwrap().pop_front().expect("a probe that is expected") {
            Some(millis) => Ok(verified(address, millis)),
            None => Err(Failure::DeadlinePassed { deadline: DEADLINE }),
        }
    }

    fn request_deadline(&self) -> Duration {
        DEADLINE
    }
}

#[tokio::test(start_paused = true)]
async fn the_latency_is_that_of_an_answer_on_an_open_connection() {
    // The second probe fails on the pool, and is repeated on a fresh connection.
    let script = Script(Mutex::new([Some(2), None, Some(90), Some(3)].into()));
    let fleet = Fleet::builder().build_on(|_, _| Box::new(script));
    fleet.upsert("east", Config::new("https://east".parse().unwrap()));
    fleet.wait_connected("east").await.unwrap();
    let latency = || fleet.snapshot("east").unwrap().latency.unwrap().as_millis();
    assert_eq!(latency(), 50, "there is no other one yet");
    for expected in [2, 2, 3] {
        fleet.probe("east").await.unwrap();
        assert_eq!(latency(), expected);
    }
    fleet.reconnect("east").await.unwrap();
    assert_eq!(latency(), 3, "a proof of other credentials is on a connection of its own");
    fleet.shutdown().await;
}

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn an_aborted_probe_leaves_no_connection() {
    let server = TestServer::builder().name("east").start().await.unwrap();
    let builder = Fleet::builder().request_deadline(Duration::from_secs(2)).probe_interval(PATIENCE * 100);
    let mut tasks = Tasks::default();
    let fleet = builder.build_on(|builder, settings| {
        tasks = settings.tasks.clone();
        Box::new(builder.connector(settings))
    });
    // Nothing is served, since the status names no incarnation.
    let config = ClusterConfig::from_kubeconfig(&server.kubeconfig(), "east").with_naming(Naming::AdoptOnly);
    fleet.upsert("east", config.clone());
    until(|| fleet.snapshot("east").unwrap().identity.is_some()).await;
    fleet.probe("east").await.unwrap_err();
    let before = tasks.count();

    // A probe fails on the pool, and hangs on a fresh connection.
    drop(server.inject(Fault::NeverAnswer.on(Requests::under("/readyz"))));
    let marker = server.marker();
    let probing = tokio::spawn({
        let fleet = fleet.clone();
        async move { fleet.probe("east").await }
    });
    until(|| server.requests_matching(Requests::under("/readyz").since(marker)).len() == 2).await;
    assert!(tasks.count() > before, "the fresh connection is open");
    // Another identity is demanded: the connection is dropped, and no probe follows, since no attempt succeeds.
    drop(server.inject(Fault::NeverAnswer));
    fleet.upsert("east", config.with_identity(ClusterIdentity::by_uid("another").unwrap()));
    probing.await.unwrap().unwrap_err();
    until(|| tasks.count() == before).await;
    fleet.shutdown().await;
}

async fn until(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("in time");
}
