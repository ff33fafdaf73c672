//! A fleet whose clusters are all connected, to one in-process API server.

#![expect(unreachable_pub, reason = "a module of a bench, which has no public interface")]

use clientmgr_fake::apiserver::TestServer;
use clientmgr_kube::{ClusterConfig, Fleet};
use tokio::runtime::Runtime;

use crate::subjects::keys;

/// A connected fleet.
pub struct Connected {
    pub fleet: Fleet,
    /// Where the server and the fleet's tasks live. It is driven no more, so none of them disturbs a measurement.
    _runtime: Runtime,
}

impl Connected {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        let fleet = runtime.block_on(async {
            let fleet = Fleet::new();
            let server = TestServer::builder().start().await.expect("the server starts");
            for key in keys() {
                fleet.upsert(key, ClusterConfig::from_kubeconfig(&server.kubeconfig(), server.name()));
            }
            for key in keys() {
                fleet.wait_connected(&key).await.expect("the server answers");
            }
            fleet
        });
        Self { fleet, _runtime: runtime }
    }
}
