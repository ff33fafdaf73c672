//! A fleet whose clusters are all connected, to one in-process API server.

#![expect(unreachable_pub, reason = "a module of a bench, which has no public interface")]

use clientmgr_core::ClientProvider;
use clientmgr_fake::apiserver::TestServer;
use clientmgr_kube::{Endpoint, Fleet};
use kube::Client;
use tokio::runtime::Runtime;

use crate::support::{Connected, keys};

/// A fleet, and what there is of it to compare it with: the very clients that it hands out.
pub struct Connections {
    pub fleet: Fleet,
    pub connected: Connected<Client>,
    /// Where the server and the clients' tasks live. Nobody drives it any more, so none of them is in the way.
    _runtime: Runtime,
}

impl Connections {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        let fleet = Fleet::builder().build();
        let connected = runtime.block_on(async {
            let server = TestServer::builder().start().await.expect("the server starts");
            for key in keys() {
                fleet.upsert(key, Endpoint::from_kubeconfig(&server.kubeconfig(), server.name()));
            }
            let mut connected = Vec::new();
            for (key, outcome) in fleet.connect_all().await {
                outcome.expect("the server answers");
                let connection = fleet.connection(&key).await.expect("connected");
                connected.push((key, connection));
            }
            Connected::of(connected)
        });
        Self { fleet, connected, _runtime: runtime }
    }
}
