//! Members and fleets for the tests of requeue and of remote watches.

use std::time::Duration;

use clientmgr_fake::apiserver::TestServer;
use clientmgr_kube::{ClusterConfig, Fleet};

/// Long enough for a machine under load: for what is expected to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Awaits what is expected to happen.
pub(crate) async fn within<T>(expected: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, expected).await.expect("in time")
}

pub(crate) async fn member(name: &str) -> TestServer {
    TestServer::builder().name(name).start().await.unwrap()
}

/// The administrator's way to a member.
pub(crate) fn config(server: &TestServer) -> ClusterConfig {
    ClusterConfig::from_kubeconfig(&server.kubeconfig(), server.name())
}

/// A fleet of these members, all connected. It finds an outage soon.
pub(crate) async fn connected(members: &[&TestServer]) -> Fleet {
    let fleet = Fleet::builder().probe_interval(Duration::from_millis(50)).failure_threshold(1).build();
    for member in members {
        fleet.upsert(member.name(), config(member));
        within(fleet.wait_connected(member.name())).await.unwrap();
    }
    fleet
}
