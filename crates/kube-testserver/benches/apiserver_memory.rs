//! What the in-process API server keeps in memory, counted by the allocator. Prints it and saves it as
//! `target/bench/apiserver_memory.json`. Run it by `cargo xtask bench`.

#[path = "support/mod.rs"]
mod support;

use std::error::Error;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, api::PostParams};
use kube_testserver::TestServer;
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use support::{map, report, save};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const OBJECTS: usize = 1_000;
const SERVERS: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // What is made once for all servers is made before counting.
        let server = TestServer::start_default().await?;
        server.client().await?.apiserver_version().await?;

        let region = Region::new(ALLOCATOR);
        let mut servers = Vec::with_capacity(SERVERS);
        for _ in 0..SERVERS {
            servers.push(TestServer::start_default().await?);
        }
        let idle = living(&region) / SERVERS;

        // The log keeps requests as well: a short one, so that it is the objects that are counted.
        let store = TestServer::builder().log_capacity(1).start_without_socket()?;
        let maps: Api<ConfigMap> = Api::default_namespaced(store.client());
        maps.create(&PostParams::default(), &map("first")).await?;
        let sent = serde_json::to_string(&map("object-000"))?.len();
        let region = Region::new(ALLOCATOR);
        for index in 0..OBJECTS {
            maps.create(&PostParams::default(), &map(&format!("object-{index:03}"))).await?;
        }
        let each = living(&region) / OBJECTS;

        report(&format!("memory of an idle server       {} KiB", idle / 1024));
        report(&format!(
            "memory of {OBJECTS} objects         {} KiB, history of their making included ({each} bytes each, {sent} \
             as they were sent)",
            each * OBJECTS / 1024
        ));
        save(
            "apiserver_memory.json",
            &json!({"idle_server_bytes": idle, "object_bytes": each, "object_bytes_as_sent": sent}),
        )?;
        Ok(())
    })
}

/// Bytes that live and did not when the counting began.
fn living(region: &Region<'_, std::alloc::System>) -> usize {
    let stats = region.change();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}
