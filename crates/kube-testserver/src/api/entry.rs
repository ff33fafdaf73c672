//! The entry to a cluster's API: what a request means, on a store.
//!
//! [`Api::answer`] takes a request that is authenticated already and returns the answer, or an open watch. There are no
//! sockets here, no TLS, no credentials and no faults.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    api::{
        change::write,
        merge::{
            manager::Manager,
            target::{Subresource, Target},
        },
        reply::Reply,
        store::{
            objects::{Key, Store},
            shared::Shared,
        },
        verbs::answer,
    },
    registry::view::View,
    wire::{
        call::{Call, Caller},
        status::Status,
    },
};

/// A cluster's API. Clones are handles to the same cluster.
#[derive(Clone)]
pub(crate) struct Api {
    pub(super) shared: Arc<Shared>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Api").finish_non_exhaustive()
    }
}

impl Api {
    /// A new cluster with its usual objects.
    #[cfg(test)]
    pub(crate) fn new() -> Self {
        Self::with_clock(Timestamp::now)
    }

    /// A new cluster with its usual objects, which takes the time of day from `clock`.
    pub(crate) fn with_clock(clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let api = Self { shared: Arc::new(Shared::new(Box::new(clock))) };
        api.add_bootstrap_objects(&mut api.shared.write());
        api
    }

    /// Creates what a real server creates when it starts: its namespaces and its own Service, and the roles and bindings
    /// that its authorizer needs.
    fn add_bootstrap_objects(&self, store: &mut Store) {
        let namespaces = ["default", "kube-node-lease", "kube-public", "kube-system"]
            .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
        let others: Vec<Value> = serde_json::from_str(include_str!("bootstrap.json"))
            .expect("the file next to this one is JSON, see the tests");
        for object in namespaces.into_iter().chain(others) {
            let group = object["apiVersion"].as_str().and_then(|version| version.split_once('/'));
            let group = group.map_or("", |(group, _)| group);
            let kind = store.kinds().find(|kind| kind.group == group && object["kind"] == *kind.kind).cloned();
            let target = kind.map(|kind| Target {
                view: View { kind, version: 0 },
                key: Key::new(object["metadata"]["namespace"].as_str().unwrap_or_default(), ""),
                subresource: Subresource::Main,
                dry_run: false,
                manager: Manager::new("kube-apiserver"),
                now: self.shared.now(),
            });
            let created = target.map(|target| write::create(store, &target, object));
            if !matches!(created, Some(Ok(_))) {
                unreachable!("a fresh store takes well-formed objects of kinds that it serves");
            }
        }
    }

    /// Answers a request. Never panics and never waits.
    pub(crate) fn answer(&self, call: Call) -> Reply {
        answer::answer(&self.shared, call).unwrap_or_else(|status| Reply::Whole(status.to_response()))
    }

    /// Installs a custom resource, as a POST of its definition would.
    ///
    /// # Errors
    /// The Status such a POST is answered with.
    pub(crate) fn install(&self, definition: &Value) -> Result<(), Status> {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        let call = Call {
            method: Method::POST,
            path: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions".to_owned(),
            query: None,
            headers,
            body: Bytes::from(definition.to_string()),
            caller: Caller::default(),
        };
        answer::answer(&self.shared, call).map(drop)
    }

    /// Forgets history: watches and pages from earlier resource versions get `410 Expired`.
    pub(crate) fn compact(&self) {
        self.shared.write().compact();
    }

    /// The identity of the cluster: the UID of its namespace `kube-system`.
    pub(crate) fn kube_system_uid(&self) -> String {
        self.uid_of("namespaces", "", "kube-system").map(String::from).unwrap_or_default()
    }

    /// The UID of an object, if it is there.
    pub(crate) fn uid_of(&self, collection: &str, namespace: &str, name: &str) -> Option<Box<str>> {
        self.shared.read().find(collection, &Key::new(namespace, name)).map(|object| object.uid.clone())
    }

    /// The resource version of the latest change.
    #[cfg(test)]
    pub(crate) fn resource_version(&self) -> u64 {
        self.shared.read().rv()
    }
}
