//! Users of a client: a request after the other, and an open watch. What the tests of rotation and outage look at.

use std::pin::Pin;

use clientmgr_fake::apiserver::{Requests, TestServer};
use clientmgr_kube::k8s_openapi::api::core::v1::ConfigMap;
use clientmgr_kube::kube::api::{ListParams, ObjectMeta, PostParams, WatchEvent, WatchParams};
use clientmgr_kube::kube::{self, Api, Client};
use futures::{Stream, StreamExt};

use crate::support::{logged, within};

pub(crate) type Watch = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<ConfigMap>>> + Send>>;

/// Opens a watch, and waits until the server has it.
pub(crate) async fn watch(server: &TestServer, client: &Client) -> Watch {
    let marker = server.marker();
    let maps = Api::<ConfigMap>::default_namespaced(client.clone());
    let since = maps.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let stream = maps.watch(&WatchParams::default(), &since).await.unwrap().boxed();
    logged(server, Requests::to("configmaps").verb("watch").since(marker).answered()).await;
    stream
}

/// Asserts that a watch goes on: what somebody else creates arrives.
pub(crate) async fn assert_goes_on(server: &TestServer, watch: &mut Watch, name: &str) {
    let metadata = ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() };
    let map = ConfigMap { metadata, ..ConfigMap::default() };
    let admin = server.client().await.unwrap();
    Api::default_namespaced(admin).create(&PostParams::default(), &map).await.unwrap();
    // The server sends bookmarks once a minute.
    let mut events = watch.filter(|event| std::future::ready(!matches!(event, Ok(WatchEvent::Bookmark(_)))));
    match within(events.next()).await {
        Some(Ok(WatchEvent::Added(map))) => assert_eq!(map.metadata.name.as_deref(), Some(name)),
        other => panic!("the watch does not go on: {other:?}"),
    }
}

/// The request of a user.
pub(crate) async fn list(client: &Client) -> kube::Result<()> {
    Api::<ConfigMap>::default_namespaced(client.clone()).list(&ListParams::default()).await.map(drop)
}

/// What [`list`] sends.
pub(crate) fn lists() -> Requests {
    Requests::to("configmaps").verb("list")
}
