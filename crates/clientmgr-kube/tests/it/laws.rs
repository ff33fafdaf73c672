//! The laws of every provider, manager and map of bound states, on a fleet of real connections.

use clientmgr_fake::apiserver::TestServer;
use clientmgr_fake::laws::{Bound, Managed, ProviderSetup};
use clientmgr_kube::k8s_openapi::api::core::v1::Namespace;
use clientmgr_kube::kube::{Api, Client};
use clientmgr_kube::{Fleet, NamespacedName};

use crate::support::{builder, endpoint, key, server};

struct FleetSetup {
    fleet: Fleet,
    servers: [TestServer; 2],
}

impl FleetSetup {
    async fn new() -> Self {
        Self { fleet: builder().build(), servers: [server("east").await, server("west").await] }
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
        self.fleet.upsert(cluster.clone(), endpoint(server, &server.admin()));
        self.fleet.connect(cluster).await.unwrap();
    }

    async fn replace(&self, cluster: &NamespacedName) {
        self.fleet.reconnect(cluster).await.unwrap();
    }

    async fn fail(&self, cluster: &NamespacedName) {
        self.server(cluster).stop().await;
        self.fleet.check(cluster).await.unwrap_err();
    }

    async fn recover(&self, cluster: &NamespacedName) {
        self.server(cluster).start().await.unwrap();
        self.fleet.check(cluster).await.unwrap();
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
    use super::{FleetSetup, Managed, run};
    clientmgr_fake::manager_laws!(Managed::new(FleetSetup::new().await), run);
}

mod of_bound_states {
    use super::{Bound, FleetSetup, run};
    clientmgr_fake::bound_laws!(Bound::new(FleetSetup::new().await), run);
}
