//! A member with a remote watch of its config maps, for hub objects that are secrets.

use clientmgr_fake::apiserver::{LogFilter, Requests, TestServer, of};
use clientmgr_kube::{ClusterSnapshot, Fleet};
use clientmgr_runtime::watch::{RemoteWatch, RemoteWatches, Triggers};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::PostParams;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::requeue::support::{connected, member, within};

pub(super) type Maps = RemoteWatches<Secret, ConfigMap>;

/// A label that names the hub object which a config map concerns.
pub(super) const OWNER: &str = "example.com/owner";

/// One member in a fleet, and the watches.
pub(super) struct World {
    pub(super) east: TestServer,
    pub(super) fleet: Fleet,
    pub(super) maps: Maps,
    pub(super) triggers: Triggers<Secret>,
}

impl World {
    pub(super) async fn new() -> Self {
        let east = member("east").await;
        let fleet = connected(&[&east]).await;
        let config = watcher::Config::default().labels(OWNER);
        let (maps, triggers) = Maps::new(fleet.clone().into(), Api::all, config, |map: &ConfigMap, _| {
            map.labels().get(OWNER).map(|owner| ObjectRef::new(owner))
        });
        Self { east, fleet, maps, triggers }
    }

    /// The cluster object of now.
    pub(super) fn cluster(&self) -> ClusterSnapshot {
        self.fleet.snapshot("east").expect("the fleet has the cluster")
    }

    /// Gets the watch for an object, and waits until it is ready.
    pub(super) async fn ready(&self, object: &Secret) -> RemoteWatch<ConfigMap> {
        let watch = within(self.maps.get(object, &self.cluster())).await.unwrap();
        within(watch.ready()).await.unwrap();
        watch
    }

    /// The config maps on the member, by its administrator.
    pub(super) async fn remote(&self) -> Api<ConfigMap> {
        Api::default_namespaced(self.east.client().await.unwrap())
    }

    pub(super) async fn create(&self, name: &str, owner: &str) {
        self.remote().await.create(&PostParams::default(), &map(name, owner)).await.unwrap();
    }

    /// The next object that is triggered.
    pub(super) async fn triggered(&mut self) -> String {
        within(self.triggers.next()).await.expect("the watches are there").name
    }

    /// Waits until `object` is triggered.
    pub(super) async fn until_triggered(&mut self, object: &Secret) {
        while self.triggered().await != object.name_any() {}
    }

    pub(super) fn lists(&self) -> usize {
        self.east.requests_matching(list_maps()).len()
    }

    pub(super) fn watches(&self) -> usize {
        self.east.requests_matching(watch_maps()).len()
    }

    /// Waits for a request for config maps.
    pub(super) async fn request(&self, requests: impl Into<Requests<LogFilter>>) {
        within(self.east.wait_for(requests)).await;
    }
}

/// A hub object.
pub(super) fn object(name: &str) -> Secret {
    let mut object = Secret::default();
    object.metadata.name = Some(name.to_owned());
    object.metadata.uid = Some(format!("uid of {name}"));
    object
}

/// A config map that concerns a hub object.
pub(super) fn map(name: &str, owner: &str) -> ConfigMap {
    serde_json::from_value(json!({ "metadata": { "name": name, "labels": { OWNER: owner } } })).unwrap()
}

pub(super) fn list_maps() -> Requests {
    Requests::list(of::<ConfigMap>())
}

pub(super) fn watch_maps() -> Requests {
    Requests::watch(of::<ConfigMap>())
}

/// Yields until `holds`, for what nothing announces.
pub(super) async fn holds(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(crate::requeue::support::PATIENCE, waiting).await.is_ok(), "not in time: {what}");
}

/// The names in the store of a watch that is ready.
pub(super) fn names(watch: &RemoteWatch<ConfigMap>) -> Vec<String> {
    let mut names: Vec<_> = watch.store().unwrap().state().iter().map(|map| map.name_any()).collect();
    names.sort();
    names
}
