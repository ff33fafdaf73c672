//! The laws of every provider, manager and map of bound states, on a fleet of real connections.

use std::time::Duration;

use clientmgr_fake::apiserver::{Replacement, TestServer};
use clientmgr_fake::laws::ProviderSetup;
use clientmgr_kube::k8s_openapi::api::core::v1::Namespace;
use clientmgr_kube::kube::{Api, Client};
use clientmgr_kube::{Fleet, NamespacedName};

use crate::support::{builder, config, key, server, until};

struct FleetSetup {
    fleet: Fleet,
    servers: [TestServer; 2],
}

impl FleetSetup {
    async fn new() -> Self {
        // It probes when a law says so, and hardly ever by itself.
        let fleet = builder().failure_threshold(1).probe_interval(Duration::from_secs(3600)).build();
        Self { fleet, servers: [server("east").await, server("west").await] }
    }

    fn server(&self, cluster: &NamespacedName) -> &TestServer {
        self.servers.iter().find(|server| server.name() == cluster.name()).unwrap()
    }
}

impl ProviderSetup for FleetSetup {
    type Provider = Fleet;
    type Identity = String;

    fn provider(&self) -> &Fleet {
        &self.fleet
    }

    fn clusters(&self) -> [NamespacedName; 2] {
        [key("east"), key("west")]
    }

    fn unknown_cluster(&self) -> NamespacedName {
        key("nowhere")
    }

    async fn connect(&self, cluster: &NamespacedName) {
        let server = self.server(cluster);
        self.fleet.upsert(cluster.clone(), config(server, &server.admin()));
        self.fleet.wait_connected(cluster).await.unwrap();
    }

    async fn replace(&self, cluster: &NamespacedName) {
        let revision = self.fleet.snapshot(cluster).unwrap().connected_at;
        self.server(cluster).replace(Replacement::SameCa).unwrap();
        until(&self.fleet, cluster, |snapshot| snapshot.is_connected() && snapshot.connected_at > revision).await;
    }

    async fn fail(&self, cluster: &NamespacedName) {
        self.server(cluster).stop().await;
        self.fleet.probe(cluster).await.unwrap_err();
    }

    async fn recover(&self, cluster: &NamespacedName) {
        self.server(cluster).start().await.unwrap();
        self.fleet.probe(cluster).await.unwrap();
    }

    async fn remove(&self, cluster: &NamespacedName) {
        assert!(self.fleet.remove(cluster));
    }

    /// The UID of the cluster at the client's other end.
    async fn identify(&self, client: &Client) -> String {
        let namespace = Api::<Namespace>::all(client.clone()).get("kube-system").await.unwrap();
        namespace.metadata.uid.unwrap()
    }
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test)
}

mod of_a_provider {
    use super::{FleetSetup, run};
    clientmgr_fake::provider_laws!(FleetSetup::new().await, run);
}

mod of_a_manager {
    use super::{FleetSetup, run};
    clientmgr_fake::manager_laws!(FleetSetup::new().await, run);
}

mod of_bound_states {
    use super::{FleetSetup, run};
    clientmgr_fake::bound_laws!(FleetSetup::new().await, run);
}
