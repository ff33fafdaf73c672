//! An outage of a minute, by the usual settings: time is paused, and a service replaces the network.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clientmgr_core::{ClientError, ClientManager, ClientProvider as _, NamespacedName, async_trait};
use clientmgr_fake::apiserver::{NoSocket, TestServer};
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Config};
use tokio::time::Instant;

use super::connector::{Connector, Established, Opening};
use super::{ClusterSnapshot, ConnectionState, Fleet};
use crate::client::Transport;
use crate::config::{ClusterIdentity, load};
use crate::error::Failure;
use crate::probe::{self, Evidence, Extent, Verified};
use crate::{ConnectErrorKind, Transition};

const DEADLINE: Duration = Duration::from_secs(10);
const OUTAGE: Duration = Duration::from_secs(60);

/// Servers by the host of their clusters, and how much was asked of them.
#[derive(Clone, Default)]
struct World {
    servers: Arc<HashMap<String, TestServer<NoSocket>>>,
    attempts: Arc<AtomicUsize>,
    probes: Arc<AtomicUsize>,
}

#[async_trait]
impl Connector for World {
    async fn open(&self, opening: Opening) -> Result<Established, Failure> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        let url = load(&opening.config)?.config.cluster_url;
        let server = &self.servers[url.host().unwrap()];
        let transport = Transport::from_service(server.service(server.admin()))?;
        let address = ClusterIdentity::by_address(&url, None);
        let verified = probe::prove(&transport, &address, Extent::Proof, DEADLINE).await?;
        Ok(Established { transport, verified, address, expiry: None, renewal_pause: None })
    }

    async fn probe(
        &self,
        transport: &Transport,
        address: &ClusterIdentity,
        expected: &Evidence,
        extent: Extent,
    ) -> Result<Verified, Failure> {
        self.probes.fetch_add(1, Ordering::SeqCst);
        probe::probe(transport, address, expected, extent, DEADLINE).await
    }

    fn request_deadline(&self) -> Duration {
        DEADLINE
    }
}

impl World {
    fn of(names: &[&str]) -> Self {
        let server = |name: &str| TestServer::builder().name(name).start_without_socket().unwrap();
        let servers = names.iter().map(|name| ((*name).to_owned(), server(name))).collect();
        Self { servers: Arc::new(servers), ..Self::default() }
    }

    fn fleet(&self) -> Fleet {
        let (began, wall) = (Instant::now(), Timestamp::now());
        let wall = move || wall + began.elapsed();
        Fleet::builder().wall_clock(wall).build_on(|_, _| Box::new(self.clone()))
    }

    /// What was asked since the last time: attempts and probes.
    fn asked(&self) -> (usize, usize) {
        (self.attempts.swap(0, Ordering::SeqCst), self.probes.swap(0, Ordering::SeqCst))
    }
}

fn config(host: &str) -> Config {
    Config::new(format!("https://{host}").parse().unwrap())
}

/// Waits until a cluster is as `expected`, and returns how long that took.
async fn until(fleet: &Fleet, name: &str, expected: impl Fn(&ClusterSnapshot) -> bool) -> Duration {
    let (began, mut events) = (Instant::now(), fleet.events());
    while !expected(&fleet.snapshot(name).unwrap()) {
        events.next().await.unwrap();
    }
    began.elapsed()
}

fn map(name: &str) -> ConfigMap {
    ConfigMap { metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() }, ..ConfigMap::default() }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_minute_resets_nothing_and_all_resumes_by_itself() {
    let world = World::of(&["east", "west"]);
    let (east, west) = (&world.servers["east"], &world.servers["west"]);
    let (fleet, key) = (world.fleet(), NamespacedName::from("east"));
    fleet.upsert("east", config("east"));
    let revision = fleet.wait_connected("east").await.unwrap();
    let held = fleet.client("east").await.unwrap();
    let manager = ClientManager::<_, u8>::new(fleet.clone());
    manager.client(&0, &fleet.snapshot("east").unwrap()).await.unwrap();
    let maps = Api::<ConfigMap>::default_namespaced(held.clone());
    let mut watched = watcher(maps.clone(), watcher::Config::default()).default_backoff().applied_objects().boxed();
    let admin = Api::<ConfigMap>::default_namespaced(east.client());
    admin.create(&PostParams::default(), &map("before")).await.unwrap();
    assert_eq!(watched.try_next().await.unwrap().unwrap().metadata.name.as_deref(), Some("before"));

    east.stop();
    west.stop();
    let stopped = Instant::now();
    world.asked();
    let noticed = until(&fleet, "east", |now| !now.is_connected()).await;
    assert!(noticed <= Duration::from_secs(17), "{noticed:?}");
    // A cluster that is added meanwhile, with an object that never had a client.
    fleet.upsert("west", config("west"));
    until(&fleet, "west", |now| now.state == ConnectionState::Unavailable).await;
    let error = manager.client(&1, &fleet.snapshot("west").unwrap()).await.map(drop).unwrap_err();
    assert!(matches!(error, ClientError::Unavailable { .. }), "{error:?}");
    while stopped.elapsed() < OUTAGE {
        // Readers and requests fail at once, however often they ask.
        let before = Instant::now();
        assert!(fleet.connection(&key).await.is_err());
        maps.list(&kube::api::ListParams::default()).await.unwrap_err();
        assert_eq!(before.elapsed(), Duration::ZERO);
        assert!(!manager.refresh(&0, &fleet.snapshot("east").unwrap()).is_reset());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let down = fleet.snapshot("east").unwrap();
    assert_eq!((down.connected_at, down.error.unwrap().kind()), (Some(revision), ConnectErrorKind::Unreachable));
    let (attempts, probes) = world.asked();
    assert!((3..=20).contains(&attempts), "{attempts} attempts for the new cluster");
    assert!((6..=16).contains(&probes), "{probes} probes of the old one");

    east.start();
    west.start();
    let recovered = until(&fleet, "east", ClusterSnapshot::is_connected).await;
    assert!(recovered <= Duration::from_secs(15), "{recovered:?}");
    let up = fleet.snapshot("east").unwrap();
    assert_eq!(up.connected_at, Some(revision));
    assert!(!manager.refresh(&0, &up).is_reset());
    maps.list(&kube::api::ListParams::default()).await.unwrap();
    admin.create(&PostParams::default(), &map("after")).await.unwrap();
    // The watch on the client of before goes on: what failed meanwhile are errors in its stream.
    let resumed = async {
        while !matches!(watched.next().await.unwrap(), Ok(map) if map.metadata.name.as_deref() == Some("after")) {}
    };
    tokio::time::timeout(OUTAGE * 2, resumed).await.expect("the watch resumes");

    // The recovery is announced to the object that never had a client.
    until(&fleet, "west", ClusterSnapshot::is_connected).await;
    let west = fleet.snapshot("west").unwrap();
    assert!(manager.refresh(&1, &west).is_reset());
    manager.client(&1, &west).await.unwrap();
    assert!(!manager.refresh(&1, &west).is_reset());
    let explanation = fleet.explain("east").unwrap();
    let story: Vec<_> = explanation.transitions().map(|timed| &timed.transition).collect();
    assert!(
        matches!(story[..], [Transition::Connected { .. }, Transition::Unavailable { .. }, Transition::Recovered]),
        "{story:?}"
    );
    fleet.shutdown().await;
}
