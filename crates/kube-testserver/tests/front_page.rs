//! The test on the crate's front page, as it is there.

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams, PostParams, ResourceExt as _};
use kube::runtime::{Controller, controller::Action, watcher};
use kube_testserver::{Fault, Requests, TestServer, of};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// The controller under test: it labels every config map.
async fn label(map: Arc<ConfigMap>, maps: Arc<Api<ConfigMap>>) -> Result<Action, kube::Error> {
    let patch = Patch::Merge(json!({"metadata": {"labels": {"seen": "yes"}}}));
    maps.patch(&map.name_any(), &PatchParams::default(), &patch).await?;
    Ok(Action::await_change())
}

#[tokio::test]
async fn a_map_is_labelled_though_the_first_patch_fails() -> Result<(), Box<dyn std::error::Error>> {
    let server = TestServer::builder().start().await?;
    let outage = server.inject(Fault::Unavailable.on(Requests::patch(of::<ConfigMap>())).times(1));
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client().await?);
    let retry = |_, _: &kube::Error, _| Action::requeue(Duration::from_millis(10));
    let controller = Controller::new(maps.clone(), watcher::Config::default());
    tokio::spawn(controller.run(label, retry, Arc::new(maps.clone())).for_each(|_| async {}));

    maps.create(&PostParams::default(), &serde_json::from_value(json!({"metadata": {"name": "a"}}))?).await?;
    server.wait_for(Requests::patch(of::<ConfigMap>()).name("a").status(200)).await; // no poll, no sleep
    assert_eq!(outage.hits(), 1);
    assert_eq!(maps.get("a").await?.labels()["seen"], "yes");
    Ok(())
}

#[test]
fn the_front_page_shows_this_test() {
    let (readme, source) = (include_str!("../README.md"), include_str!("front_page.rs"));
    let shown = readme.split_once("```rust\n").and_then(|(_, rest)| rest.split_once("```")).expect("an example").0;
    assert!(source.contains(shown), "the example is not this file's");
}
