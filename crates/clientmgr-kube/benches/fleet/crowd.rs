//! Two hundred clusters of one fleet: a fifth hangs in every way in which a server can, a tenth flaps. How long the healthy
//! ones take to connect and to answer, against a fleet of their own.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use clientmgr_kube::{Fleet, FleetBuilder, NamespacedName};
use futures::future::{join_all, try_join_all};
use kube::Client;
use tokio_util::task::AbortOnDropHandle;

use crate::quantile::quantile;
use crate::server::{Server, config};
use crate::table::Row;
use crate::{all_hang, hanging_config, key, milliseconds};

const HANGING: usize = 40;
const FLAPPING: usize = 20;
const HEALTHY: usize = 140;

/// How often both fleets connect the healthy clusters. The median counts.
const COMPARISONS: usize = 9;

/// How often each flapping cluster is probed. Its server changes as often.
const FLAP: Duration = Duration::from_millis(100);

/// One failed probe makes a cluster unavailable.
fn builder() -> FleetBuilder {
    Fleet::builder().failure_threshold(1)
}

/// What hangs and flaps in a fleet of its own for as long as this lives.
struct Crowd {
    _never_accepts: TcpListener,
    _flapping: AbortOnDropHandle<()>,
}

impl Crowd {
    async fn join(fleet: &Fleet, server: &Server) -> Self {
        let never_accepts = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let mut ways: Vec<_> = server.hanging().iter().map(config).collect();
        ways.push(hanging_config(server, &never_accepts));
        for number in 0..HANGING {
            fleet.upsert(key("hanging", number), ways[number % ways.len()].clone());
        }
        all_hang().await;
        let flapping: Vec<_> = (0..FLAPPING).map(|number| key("flapping", number)).collect();
        for cluster in &flapping {
            fleet.upsert(cluster.clone(), config(server.flapping()));
        }
        let fleet = fleet.clone();
        let flap = async move {
            loop {
                join_all(flapping.iter().map(|cluster| fleet.probe(cluster))).await;
                tokio::time::sleep(FLAP).await;
            }
        };
        Self { _never_accepts: never_accepts, _flapping: AbortOnDropHandle::new(tokio::spawn(flap)) }
    }
}

/// Connects the healthy clusters, asks each for its version, and removes them. Returns how long the two took.
async fn healthy(fleet: &Fleet, server: &Server) -> [f64; 2] {
    let keys: Vec<NamespacedName> = (0..HEALTHY).map(|number| key("healthy", number)).collect();
    let begun = Instant::now();
    for cluster in &keys {
        fleet.upsert(cluster.clone(), server.config(0));
    }
    let clients = try_join_all(keys.iter().map(|cluster| fleet.client(cluster))).await.expect("the server answers");
    let connected = milliseconds(begun.elapsed());
    let begun = Instant::now();
    try_join_all(clients.iter().map(Client::apiserver_version)).await.expect("the server answers");
    let answered = milliseconds(begun.elapsed());
    for cluster in &keys {
        fleet.remove(cluster.clone());
    }
    [connected, answered]
}

pub(crate) async fn measure(server: &Server) -> [Row; 2] {
    let (beside, alone) = (builder().build(), builder().build());
    let crowd = Crowd::join(&beside, server).await;
    let (mut times_beside, mut times_alone) = (Vec::new(), Vec::new());
    for _ in 0..COMPARISONS {
        times_alone.push(healthy(&alone, server).await);
        times_beside.push(healthy(&beside, server).await);
    }
    drop(crowd);
    beside.shutdown().await;
    alone.shutdown().await;
    let row = |what: &str, which: usize| {
        let median = |times: &[[f64; 2]]| quantile(times.iter().map(|time| time[which]).collect(), 50);
        let what = format!("{HEALTHY} {what} beside {HANGING} hanging, {FLAPPING} flapping / alone");
        Row::new(what, "ms", median(&times_beside), median(&times_alone), ..=1.2)
    };
    [row("connect", 0), row("answer", 1)]
}
