//! A fleet whose clusters are all connected, to one in-process API server.

#![expect(unreachable_pub, reason = "a module of a bench, which has no public interface")]

use clientmgr_core::ClientProvider;
use clientmgr_fake::apiserver::TestServer;
use clientmgr_kube::{ClusterConfig, Fleet};
use kube::Client;
use tokio::runtime::Runtime;

use crate::support::{Connected, keys};

/// A fleet, and the very clients that it hands out, to compare it with.
pub struct Connections {
    pub fleet: Fleet,
    pub connected: Connected<Client>,
    /// Where the server and the fleet's tasks live. It is driven no more, so none of them disturbs a measurement.
    _runtime: Runtime,
}

impl Connections {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        let (fleet, connected) = runtime.block_on(async {
            let fleet = Fleet::new();
            let server = TestServer::builder().start().await.expect("the server starts");
            for key in keys() {
                fleet.upsert(key, ClusterConfig::from_kubeconfig(&server.kubeconfig(), server.name()));
            }
            let mut connected = Vec::new();
            for key in keys() {
                fleet.wait_connected(&key).await.expect("the server answers");
                let connection = fleet.connection(&key).await.expect("connected");
                connected.push((key, connection));
            }
            (fleet, Connected::of(connected))
        });
        Self { fleet, connected, _runtime: runtime }
    }
}
