//! What the in-process API server keeps in memory, counted by the allocator. Run it by `cargo xtask bench`.

#[path = "../../../benches/live_heap.rs"]
mod live_heap;
#[path = "support/object.rs"]
mod object;
#[path = "../../../benches/table.rs"]
mod table;

use std::error::Error;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, api::PostParams};
use kube_testserver::TestServer;

use live_heap::live_heap;
use object::map;
use table::{Row, report};

const OBJECTS: u32 = 1_000;
const SERVERS: u32 = 10;
/// The memory of an object and its history, by the length of its JSON.
const OBJECT_AT_MOST: f64 = 3.0;

fn main() -> Result<(), Box<dyn Error>> {
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // What is made once for all servers is made before counting.
        let server = TestServer::start_default().await?;
        server.client().await?.apiserver_version().await?;

        let before = live_heap();
        let mut servers = Vec::new();
        for _ in 0..SERVERS {
            servers.push(TestServer::start_default().await?);
        }
        let idle = (live_heap() - before) / f64::from(SERVERS);

        // The log keeps requests as well: a short one, so that it is the objects that are counted.
        let store = TestServer::builder().log_capacity(1).start_without_socket()?;
        let maps: Api<ConfigMap> = Api::default_namespaced(store.client());
        maps.create(&PostParams::default(), &map("first")).await?;
        let sent = u32::try_from(serde_json::to_string(&map("object-000"))?.len())?;
        let before = live_heap();
        for index in 0..OBJECTS {
            maps.create(&PostParams::default(), &map(&format!("object-{index:03}"))).await?;
        }
        let each = (live_heap() - before) / f64::from(OBJECTS);

        let rows = [
            Row::new("test server: memory of an idle one", "KiB", idle / 1024.0, None, ..),
            Row::new(
                "test server: an object with its history / as it was sent",
                "B",
                each,
                f64::from(sent),
                ..=OBJECT_AT_MOST,
            ),
        ];
        report("apiserver_memory", &rows);
        Ok(())
    })
}
