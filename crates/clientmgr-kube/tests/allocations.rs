//! A refresh of a kube object with a standing entry allocates nothing. A binary of its own, since it counts what the whole
//! process allocates.

use clientmgr_core::async_trait;
use clientmgr_kube::k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use clientmgr_kube::{
    ClientManager, ClientProvider, ClusterObject, ConnectedAt, Connection, NamespacedName, ProviderError,
    ResourceName as _,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// A cluster object that has no key, only a name.
struct Cluster(Namespace, ConnectedAt);

impl ClusterObject for Cluster {
    fn cluster_name(&self) -> (&str, &str) {
        self.0.namespace_and_name()
    }

    fn connected_at(&self) -> Option<ConnectedAt> {
        Some(self.1)
    }
}

/// Answers from memory.
struct Memory(ConnectedAt);

#[async_trait]
impl ClientProvider for Memory {
    type Client = u32;
    type Key = NamespacedName;
    type Revision = ConnectedAt;

    async fn connection(&self, _: &NamespacedName) -> Result<Connection<u32, ConnectedAt>, ProviderError> {
        Ok(Connection { client: 7, revision: self.0 })
    }
}

#[tokio::test]
async fn a_refresh_of_a_kube_object_allocates_nothing_and_a_client_at_most_a_key_and_a_future() {
    let revision = ConnectedAt::now();
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some("east".into());
    let cluster = Cluster(namespace, revision);
    let mut object = ConfigMap::default();
    object.metadata.uid = Some("7d1cbb0d-5c5b-4a5f-a9f5-e5a2f3f54b10".into());
    let clients = ClientManager::new(Memory(revision));
    clients.client(&object, &cluster).await.unwrap();

    let region = Region::new(ALLOCATOR);
    assert!(!clients.refresh(&object, &cluster).is_reset());
    assert_eq!(region.change().allocations, 0);

    let region = Region::new(ALLOCATOR);
    assert_eq!(clients.client(&object, &cluster).await.unwrap(), 7);
    // The key: its text, which is copied into the reference count. The future of the provider.
    assert!(region.change().allocations <= 3, "{:?}", region.change());
}
