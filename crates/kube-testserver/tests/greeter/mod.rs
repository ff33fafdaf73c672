//! The controller that the examples of `docs/testing-your-controller.md` test: it greets every `ConfigMap` that asks
//! for it, once. Nothing in here knows of tests.

use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams},
    runtime::{Controller, controller::Action, watcher},
};
use serde_json::json;

async fn greet(map: Arc<ConfigMap>, client: Arc<Client>) -> Result<Action, kube::Error> {
    let greeting = format!("hello, {}", map.name_any());
    if map.annotations().get("example.com/greeting") == Some(&greeting) {
        return Ok(Action::await_change());
    }
    let maps: Api<ConfigMap> = Api::namespaced(Client::clone(&client), &map.namespace().unwrap_or_default());
    let wanted = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"annotations": {"example.com/greeting": greeting}},
    });
    maps.patch(&map.name_any(), &PatchParams::apply("greeter").force(), &Patch::Apply(wanted)).await?;
    Ok(Action::await_change())
}

/// Runs until it is dropped. Whatever went wrong is given to `failed` and tried again.
pub(crate) async fn run(client: Client, failed: impl Fn(&kube::Error) + Send + Sync + 'static) {
    let asking = watcher::Config::default().labels("example.com/greet=please");
    let retry = move |_: Arc<ConfigMap>, error: &kube::Error, _: Arc<Client>| {
        failed(error);
        Action::requeue(Duration::from_millis(100))
    };
    let maps: Api<ConfigMap> = Api::all(client.clone());
    Controller::new(maps, asking).run(greet, retry, Arc::new(client)).for_each(|_| std::future::ready(())).await;
}

/// A `ConfigMap` that asks to be greeted.
pub(crate) fn asking(name: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map.metadata.labels = Some([("example.com/greet".to_owned(), "please".to_owned())].into());
    map
}
