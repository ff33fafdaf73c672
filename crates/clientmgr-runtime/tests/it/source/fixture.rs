//! A hub, members, and the sources between them.

use std::collections::BTreeMap;
use std::time::Duration;

use clientmgr_fake::apiserver::{AnyServer, TestServer};
use clientmgr_kube::{ConnectedAt, ConnectionState, Events, Fleet, NamespacedName};
use clientmgr_runtime::source::{RunningSources, SourceStatus, Sources, SourcesStatus};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use serde_json::{Value, json};

pub(super) const NAMESPACE: &str = "fleet";

/// A hub with one namespace, in process or real.
pub(super) struct Hub {
    /// It ends with this.
    _server: AnyServer,
    pub(super) client: Client,
}

impl Hub {
    pub(super) async fn start() -> Self {
        let server = TestServer::from_env().await.unwrap();
        let client = server.client().await.unwrap();
        let hub = Self { _server: server, client };
        hub.namespace(NAMESPACE).await;
        hub
    }

    pub(super) async fn namespace(&self, name: &str) {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        Api::all(self.client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    }

    pub(super) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Creates or changes a Secret. A null removes a label or a key.
    pub(super) async fn secret(&self, name: &str, labels: Value, data: Value) {
        self.secret_in(NAMESPACE, name, labels, data).await;
    }

    pub(super) async fn secret_in(&self, namespace: &str, name: &str, labels: Value, data: Value) {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let secret = json!({"metadata": {"name": name, "labels": labels}, "stringData": data});
        if api.get_opt(name).await.unwrap().is_none() {
            api.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
        } else {
            api.patch(name, &PatchParams::default(), &Patch::Merge(secret)).await.unwrap();
        }
    }

    /// Takes keys out of a Secret.
    pub(super) async fn take_keys(&self, name: &str, keys: Value) {
        let patch = Patch::Merge(json!({"data": keys}));
        self.secrets().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    pub(super) async fn delete_secret(&self, name: &str) {
        self.secrets().delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Installs a namespaced kind that takes anything, and returns its objects.
    pub(super) async fn install(&self, group: &str, version: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
        let definition = definition(group, version, kind, plural);
        Api::all(self.client.clone()).create(&PostParams::default(), &definition).await.unwrap();
        let resource = ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: format!("{group}/{version}"),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        };
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), NAMESPACE, &resource);
        // A real server serves a new kind a moment later.
        let served = async {
            while api.list(&kube::api::ListParams::default()).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), served).await.expect("the kind is not served");
        api
    }
}

/// The definition of a namespaced kind that takes anything.
pub(super) fn definition(group: &str, version: &str, kind: &str, plural: &str) -> CustomResourceDefinition {
    let singular = kind.to_lowercase();
    serde_json::from_value(json!({
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": singular},
            "versions": [{"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            }}}],
        },
    }))
    .unwrap()
}

/// Creates or changes an object of a kind that takes anything.
pub(super) async fn put(api: &Api<DynamicObject>, object: Value) {
    let name = object["metadata"]["name"].as_str().unwrap();
    if api.get_opt(name).await.unwrap().is_none() {
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    } else {
        api.patch(name, &PatchParams::default(), &Patch::Merge(&object)).await.unwrap();
    }
}

/// A server that the fleet connects to, and the text of its kubeconfig.
pub(super) async fn member() -> (TestServer, String) {
    let server = TestServer::start_default().await.unwrap();
    let kubeconfig = server.kubeconfig_yaml(&server.admin());
    (server, kubeconfig)
}

pub(super) fn key(name: &str) -> NamespacedName {
    NamespacedName::new(NAMESPACE, name)
}

/// A fleet that sources feed.
pub(super) struct Fed {
    pub(super) fleet: Fleet,
    pub(super) sources: RunningSources,
    events: Events,
}

impl Fed {
    pub(super) fn by(sources: impl FnOnce(Sources) -> Sources) -> Self {
        let fleet = Fleet::builder().retry_after(Duration::from_millis(50)).build();
        let (sources, events) = (sources(Sources::new(fleet.clone())).spawn(), fleet.events());
        Self { fleet, sources, events }
    }

    /// Waits until `condition` holds of the fleet and of the sources' status.
    pub(super) async fn until(&mut self, what: &str, condition: impl Fn(&Fleet, &SourcesStatus) -> bool) {
        let Self { fleet, sources, events } = self;
        let holds = async {
            while !condition(fleet, &sources.status()) {
                tokio::select! {
                    true = sources.changed() => {}
                    _ = events.next() => {}
                }
            }
        };
        let held = tokio::time::timeout(Duration::from_secs(30), holds).await.is_ok();
        assert!(held, "{what}: {:?} {:?}", self.sources.status(), self.fleet.snapshots());
    }

    /// Waits until `cluster` is connected without an error, and returns its revision.
    pub(super) async fn connected(&mut self, cluster: &NamespacedName) -> ConnectedAt {
        let is_connected = |fleet: &Fleet| {
            fleet.snapshot(cluster).is_some_and(|it| it.state == ConnectionState::Connected && it.error.is_none())
        };
        self.until(&format!("{cluster} connects"), |fleet, _| is_connected(fleet)).await;
        self.revision(cluster)
    }

    pub(super) fn revision(&self, cluster: &NamespacedName) -> ConnectedAt {
        self.fleet.snapshot(cluster).and_then(|it| it.connected_at).expect("the cluster was connected")
    }

    /// Waits until `cluster` is gone.
    pub(super) async fn gone(&mut self, cluster: &NamespacedName) {
        self.until(&format!("{cluster} goes"), |fleet, _| fleet.snapshot(cluster).is_none()).await;
    }

    /// Waits until the declaration of `cluster` is broken, with `text`, in the status and in the snapshot.
    pub(super) async fn broken(&mut self, cluster: &NamespacedName, text: &str) {
        self.until(&format!("{cluster} is broken by {text:?}"), |fleet, status| {
            let mut broken = status.sources.iter().flat_map(|source| &source.broken);
            let is_in_status = broken.any(|(key, error)| key == cluster && error.to_string().contains(text));
            let error = fleet.snapshot(cluster).and_then(|it| it.error).map(|error| error.to_string());
            is_in_status && error.is_some_and(|error| error.contains(text.trim_start_matches("data.")))
        })
        .await;
    }

    /// Waits until the only source is broken, or works again.
    pub(super) async fn source(&mut self, what: &str, condition: impl Fn(&SourceStatus) -> bool) {
        self.until(what, |_, status| condition(&status.sources[0])).await;
    }

    /// Makes a request with the cluster's client, and returns the user that the server takes it for.
    pub(super) async fn user(&self, cluster: &NamespacedName) -> String {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let request = http_request(&review);
        let client = self.fleet.client(cluster.clone()).await.unwrap();
        let answer: Value = client.request(request).await.unwrap();
        answer["status"]["userInfo"]["username"].as_str().unwrap().to_owned()
    }
}

fn http_request(review: &Value) -> http::Request<Vec<u8>> {
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let builder = http::Request::post(path).header("content-type", "application/json");
    builder.body(review.to_string().into_bytes()).unwrap()
}

/// The variables that a script wrote down, one a line.
pub(super) fn variables(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once('=')).collect()
}
