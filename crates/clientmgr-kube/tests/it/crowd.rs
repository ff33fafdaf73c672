//! Many clusters together, of which some hang and some flap: the healthy ones notice nothing. What hangs would do so for
//! an hour, so a healthy cluster that waited for any of them would not connect within a test.

use std::time::Duration;

use clientmgr_fake::apiserver::{ConnectionFault, Fault, TestServer};
use clientmgr_kube::{ClusterConfig, ClusterSnapshot, ConnectionState, Fleet, NamespacedName};
use futures::future::{join, join_all, try_join_all};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::support::{builder, config, holds, key, kubeconfig, losses, proofs, server, unavailable, until, within};

const HOUR: Duration = Duration::from_secs(3600);

/// A fleet that waits for hours, and probes by itself hardly ever. One failed probe makes a cluster unavailable.
fn patient() -> Fleet {
    builder().request_deadline(HOUR).connect_deadline(HOUR).probe_interval(HOUR).failure_threshold(1).build()
}

/// A server that is nowhere but for its door: it takes connections, does `then` on each and holds it open. Says when it
/// has taken one.
async fn door(then: &'static [u8]) -> (ClusterConfig, mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (taken, takes) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut inside = Vec::new();
        while let Ok((mut visitor, _)) = listener.accept().await {
            visitor.read_u8().await.unwrap();
            visitor.write_all(then).await.unwrap();
            inside.push(visitor);
            if taken.send(()).is_err() {
                return;
            }
        }
    });
    let kubeconfig = kubeconfig(|cluster, _| cluster.server = Some(url));
    (ClusterConfig::from_kubeconfig(&kubeconfig, "east"), takes)
}

/// A server for each way in which one can hang, with what keeps it so.
async fn hanging_servers() -> Vec<TestServer> {
    let servers = join_all((0..4).map(async |way| server(&format!("hanging-{way}")).await)).await;
    drop(servers[0].inject_on_connect(ConnectionFault::Silent).unwrap());
    drop(servers[1].inject(Fault::NeverAnswer));
    drop(servers[2].inject(Fault::NeverAnswer.on(proofs())));
    drop(servers[3].inject(Fault::Delay(HOUR)));
    servers
}

/// Adds as many clusters, each with the same configuration.
fn add(fleet: &Fleet, name: &str, count: usize, config: &ClusterConfig) -> Vec<NamespacedName> {
    let keys: Vec<_> = (0..count).map(|number| key(&format!("{name}-{number}"))).collect();
    for key in &keys {
        fleet.upsert(key.clone(), config.clone());
    }
    keys
}

async fn all_connect(fleet: &Fleet, keys: &[NamespacedName]) {
    within(try_join_all(keys.iter().map(|key| fleet.wait_connected(key)))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_clusters_the_healthy_ones_notice_neither_those_that_hang_nor_those_that_flap() {
    let fleet = patient();
    let servers = hanging_servers().await;
    let mut hanging = Vec::new();
    for server in &servers {
        hanging.extend(add(&fleet, server.name(), 8, &config(server, &server.admin())));
    }
    // The sixth and fifth way: nothing at all, and half an answer.
    let half = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"kind\":";
    let (silent, mut taken_by_silent) = door(b"").await;
    let (half, mut taken_by_half) = door(half).await;
    hanging.extend(add(&fleet, "hanging-silent", 4, &silent));
    hanging.extend(add(&fleet, "hanging-half", 4, &half));
    for _ in 0..4 {
        within(join(taken_by_silent.recv(), taken_by_half.recv())).await;
    }
    let flaps = server("flapping").await;
    let flapping = add(&fleet, "flapping", 20, &config(&flaps, &flaps.admin()));
    all_connect(&fleet, &flapping).await;

    let (stop, lost) = losses(&fleet, "healthy");
    let healthy_server = server("healthy").await;
    let healthy_config = config(&healthy_server, &healthy_server.admin());
    let connecting = async {
        let healthy = add(&fleet, "healthy", 140, &healthy_config);
        all_connect(&fleet, &healthy).await;
        healthy
    };
    let flap = async {
        for _ in 0..3 {
            flaps.set_ready(false);
            join_all(flapping.iter().map(|key| fleet.probe(key))).await;
            unavailable(&fleet, &flapping[0]).await;
            flaps.set_ready(true);
            within(try_join_all(flapping.iter().map(|key| fleet.probe(key)))).await.unwrap();
        }
    };
    let (healthy, ()) = join(connecting, flap).await;

    assert_eq!((hanging.len(), flapping.len(), healthy.len()), (40, 20, 140));
    within(try_join_all(healthy.iter().map(|key| fleet.probe(key)))).await.unwrap();
    let states = fleet.snapshots();
    let connecting = states.iter().filter(|now| now.state == ConnectionState::Connecting).count();
    assert_eq!((connecting, states.iter().filter(|now| now.is_connected()).count()), (40, 160));
    drop(stop);
    assert!(within(lost).await.unwrap().is_empty(), "a healthy cluster was lost");
    within(fleet.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_cluster_connects_beside_64_200_and_1000_that_hang() {
    let healthy = server("healthy").await;
    for count in [64, 200, 1_000] {
        let fleet = patient();
        let (config_of_hanging, mut taken) = door(b"").await;
        add(&fleet, "hanging", count, &config_of_hanging);
        // Each holds its request by now, and is to hold up nobody else.
        for _ in 0..count {
            within(taken.recv()).await.unwrap();
        }
        let east = add(&fleet, "healthy", 1, &config(&healthy, &healthy.admin())).remove(0);
        let marker = healthy.marker();
        all_connect(&fleet, std::slice::from_ref(&east)).await;
        assert_eq!(healthy.requests_matching(proofs().since(marker)).len(), 1, "at the first attempt");
        assert_eq!(fleet.snapshots().iter().filter(|now| now.is_connected()).count(), 1);
        within(fleet.shutdown()).await;
    }
}

#[tokio::test]
async fn a_cluster_that_hung_connects_once_its_server_answers() {
    let server = server("east").await;
    let fault = server.inject(Fault::NeverAnswer);
    let fleet = patient();
    let east = add(&fleet, "east", 1, &config(&server, &server.admin())).remove(0);
    crate::support::logged(&server, proofs()).await;
    fault.lift();
    // What hangs does so until its connection goes.
    server.cut_connections();
    until(&fleet, &east, ClusterSnapshot::is_connected).await;
    holds("it is served", || fleet.snapshot(&east).is_some_and(|now| now.is_connected())).await;
}
