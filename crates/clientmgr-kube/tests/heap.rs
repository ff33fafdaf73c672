//! A thousand rotations leave the heap as it was. A binary of its own, since it counts what the whole process allocates; so
//! the server is a small one that keeps nothing.

use std::time::Duration;

use clientmgr_fake::apiserver::{Credential, TestServer};
use clientmgr_kube::k8s_openapi::api::core::v1::Namespace;
use clientmgr_kube::kube::Api;
use clientmgr_kube::{ClusterConfig, Fleet, NamespacedName};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const ROTATIONS: usize = 1_000;

fn live() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

#[tokio::test]
async fn a_thousand_rotations_leave_the_heap_flat() {
    let server = TestServer::builder().name("east").log_capacity(16).start().await.unwrap();
    let hour = Duration::from_secs(3_600);
    let credentials = [
        server.issue_token("alice"),
        server.issue_token("alice"),
        server.issue_certificate("alice", hour).unwrap(),
        server.issue_certificate("alice", hour).unwrap(),
    ];
    let config = |credential: &Credential| ClusterConfig::from_kubeconfig(&server.kubeconfig_for(credential), "east");
    let configs = credentials.each_ref().map(config);
    let (fleet, east) = (Fleet::builder().probe_interval(hour).build(), NamespacedName::cluster_scoped("east"));
    fleet.upsert("east", configs[0].clone());
    let client = fleet.client("east").await.unwrap();
    let namespaces = Api::<Namespace>::all(client);
    let rotate = async |number: usize| {
        fleet.upsert("east", configs[number % configs.len()].clone());
        fleet.reconnect(&east).await.unwrap();
        namespaces.get("kube-system").await.unwrap();
    };
    // The first ones fill pools and caches, and the transitions that are kept.
    for number in 0..100 {
        rotate(number).await;
    }
    let mut least = [usize::MAX; 2];
    for (half, least) in least.iter_mut().enumerate() {
        for number in 0..ROTATIONS / 2 {
            rotate(half + number).await;
            *least = live().min(*least);
        }
    }
    let [before, after] = least;
    // A kilobyte for each rotation would be half a megabyte.
    assert!(after <= before + 64 * 1_024, "{before} bytes, and {after} after {ROTATIONS} rotations");
    fleet.shutdown().await;
}
