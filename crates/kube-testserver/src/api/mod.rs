//! What a request means: the functional core of the in-process API server.
//!
//! [`Api::answer`] takes a request that is authenticated already and gives the answer, or an open watch.
//! There are no sockets here, no TLS, no credentials and no faults: those are the shell around it.
//!
//! - `route`, `query`, `negotiate`, `protobuf`: what is asked, in which form
//! - `kinds`, `crd`, `schema`, `fields`, `core_rules`, `event_rules`, `meta`: what is served and what is valid
//! - `store`: what there is; `write`, `delete`, `patch`, `managed_fields`, `field_set`: how it changes
//! - `list`, `watch`, `view`, `table`, `columns`: how it is shown
//! - `discovery`, `openapi`: what clients ask first
//! - `serve`: which of these a request is for
//!
//! **Architecture invariant:** every change goes through one lock of one store, and none of what is done
//! under it can wait.
//!
//! What is knowingly different from a real server stands in the table of [the crate](crate).

mod columns;
mod core_rules;
mod crd;
mod delete;
mod discovery;
mod event_rules;
mod field_set;
mod fields;
mod kinds;
mod list;
mod managed_fields;
mod meta;
mod negotiate;
mod openapi;
mod patch;
pub(crate) mod protobuf;
mod query;
pub(crate) mod route;
mod schema;
mod select;
mod serve;
pub(crate) mod status;
mod store;
mod table;
mod view;
pub(crate) mod watch;
mod write;

#[cfg(test)]
mod tests;

use std::sync::{
    Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use self::{
    managed_fields::Manager,
    status::Status,
    store::Key,
    view::View,
    watch::{Store, Watch},
};

/// The largest body a request may have: the limit of a real API server.
pub(crate) const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// A request, authenticated already.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// As it came, still percent-encoded.
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) caller: Caller,
}

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) username: String,
    pub(crate) uid: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) extra: Vec<(String, Vec<String>)>,
}

/// An answer.
#[derive(Debug)]
pub(crate) enum Reply {
    /// All of it.
    Whole(Response<Bytes>),
    /// A stream of frames that goes on.
    Watch(Watch),
}

/// The time of day, from one place.
type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// A cluster's API. Clones are handles to the same cluster.
#[derive(Clone)]
pub(crate) struct Api {
    inner: Arc<Inner>,
}

/// What handles and watches share.
pub(crate) struct Inner {
    store: RwLock<Store>,
    clock: Clock,
    watches: AtomicU64,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Api").finish_non_exhaustive()
    }
}

impl Inner {
    // A poisoned lock means that an answer panicked half way; the store is written in single steps, so it
    // is as it was before or after one, and other clients go on.
    fn read(&self) -> RwLockReadGuard<'_, Store> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Store> {
        self.store.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn next_watch(&self) -> u64 {
        self.watches.fetch_add(1, Ordering::Relaxed)
    }
}

impl Api {
    /// A new cluster with its usual namespaces.
    pub(crate) fn new() -> Self {
        Self::with_clock(Timestamp::now)
    }

    /// A new cluster that takes the time of day from `clock`.
    pub(crate) fn with_clock(clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let api = Self {
            inner: Arc::new(Inner {
                store: RwLock::new(Store::new()),
                clock: Box::new(clock),
                watches: AtomicU64::new(0),
            }),
        };
        api.add_namespaces(&mut api.inner.write());
        api
    }

    fn add_namespaces(&self, store: &mut Store) {
        let kind = store.kind("", "namespaces").cloned();
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            let Some(kind) = kind.clone() else { return };
            let target = write::Target {
                view: View { kind, version: 0 },
                key: Key::new("", name),
                subresource: write::Subresource::Main,
                dry_run: false,
                manager: Manager::new("kube-apiserver"),
                now: self.inner.now(),
            };
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            if write::create(store, &target, namespace).is_err() {
                unreachable!("a fresh store takes a well-formed namespace");
            }
        }
    }

    /// Answers a request. Never panics and never waits.
    pub(crate) fn answer(&self, call: Call) -> Reply {
        serve::answer(&self.inner, call).unwrap_or_else(|status| Reply::Whole(status.to_response()))
    }

    /// Declares a custom resource, as a POST of its definition would.
    ///
    /// # Errors
    /// The Status such a POST is answered with.
    pub(crate) fn declare(&self, definition: &Value) -> Result<(), Status> {
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
        serve::answer(&self.inner, call).map(drop)
    }

    /// Forgets history: watches and pages from earlier resource versions are told `410 Expired`.
    pub(crate) fn compact(&self) {
        self.inner.write().compact();
    }

    /// The identity of the cluster: the UID of its namespace `kube-system`.
    pub(crate) fn kube_system_uid(&self) -> String {
        let store = self.inner.read();
        let namespace = store.find("namespaces", &Key::new("", "kube-system"));
        namespace.map(|namespace| namespace.uid.to_string()).unwrap_or_default()
    }

    /// The resource version of the latest change.
    #[cfg(test)]
    pub(crate) fn resource_version(&self) -> u64 {
        self.inner.read().rv()
    }
}

/// What `SelfSubjectReview` answers.
fn self_subject_review(caller: &Caller, now: Timestamp) -> Response<Bytes> {
    let mut user = json!({"username": caller.username, "groups": caller.groups});
    if let Some(uid) = &caller.uid {
        user["uid"] = uid.as_str().into();
    }
    if !caller.extra.is_empty() {
        let extra: Map<String, Value> =
            caller.extra.iter().map(|(key, values)| (key.clone(), values.clone().into())).collect();
        user["extra"] = extra.into();
    }
    let review = json!({
        "kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": meta::time(now)}, "status": {"userInfo": user},
    });
    status::json_response(StatusCode::CREATED, &review)
}
