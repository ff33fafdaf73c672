//! Where on the hub objects are watched: in which namespaces, and in which served version of their kind.

use clientmgr_kube::kube::api::{ApiResource, DynamicObject};
use clientmgr_kube::kube::{self, Api, Client};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};

use clientmgr_kube::k8s_openapi::api::core::v1::Secret;
use clientmgr_kube::kube::runtime::watcher;

use super::error::SourceError;
use super::watch::{Observed, objects};
use crate::watching::answering;

/// The namespaces that a source reads; none for all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Namespaces(Vec<String>);

impl Namespaces {
    pub(super) fn of(namespaces: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(namespaces.into_iter().map(Into::into).collect())
    }

    fn scopes(&self) -> Vec<Option<String>> {
        if self.0.is_empty() { vec![None] } else { self.0.iter().cloned().map(Some).collect() }
    }

    /// Watches the Secrets that `config` selects, in each of these namespaces.
    pub(super) fn secrets(
        &self,
        client: &Client,
        config: &watcher::Config,
    ) -> Vec<BoxStream<'static, Observed<Secret>>> {
        let watched = |scope: Option<String>| {
            let client = client.clone();
            let target = move || {
                let (client, scope) = (client.clone(), scope.clone());
                async move {
                    let client = answering(&client);
                    Ok(match &scope {
                        Some(namespace) => Api::namespaced(client, namespace),
                        None => Api::all(client),
                    })
                }
                .boxed()
            };
            objects(target, config.clone()).boxed()
        };
        self.scopes().into_iter().map(watched).collect()
    }

    /// Watches the objects of `kind`, in each of these namespaces.
    pub(super) fn dynamic(
        &self,
        client: &Client,
        kind: &'static Kind,
    ) -> Vec<BoxStream<'static, Observed<DynamicObject>>> {
        let watched = |scope: Option<String>| {
            let client = client.clone();
            let target = move || served(client.clone(), kind, scope.clone());
            objects(target, watcher::Config::default()).boxed()
        };
        self.scopes().into_iter().map(watched).collect()
    }
}

/// A kind of the hub that a source reads in several versions.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) group: &'static str,
    pub(super) name: &'static str,
    pub(super) plural: &'static str,
    /// The versions that can be read, the preferred one first.
    pub(super) versions: &'static [&'static str],
}

/// Returns the objects of `kind` in the first of its versions that the hub serves.
fn served(
    client: Client,
    kind: &'static Kind,
    scope: Option<String>,
) -> BoxFuture<'static, Result<Api<DynamicObject>, SourceError>> {
    let Kind { group, name, plural, versions } = kind;
    async move {
        let client = answering(&client);
        for version in *versions {
            let api_version = format!("{group}/{version}");
            let resources = match client.list_api_group_resources(&api_version).await {
                Ok(list) => list.resources,
                Err(kube::Error::Api(status)) if status.code == 404 => continue,
                Err(error) => return Err(SourceError::of_request("discovery", &error)),
            };
            if !resources.iter().any(|resource| resource.name == *plural) {
                continue;
            }
            let resource = ApiResource {
                group: (*group).to_owned(),
                version: (*version).to_owned(),
                api_version,
                kind: (*name).to_owned(),
                plural: (*plural).to_owned(),
            };
            return Ok(match &scope {
                Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
                None => Api::all_with(client.clone(), &resource),
            });
        }
        Err(SourceError::NotServed { kind: name, versions })
    }
    .boxed()
}

#[cfg(test)]
mod tests {
    use clientmgr_kube::ConnectErrorKind;
    use clientmgr_kube::k8s_openapi::api::core::v1::Secret;
    use clientmgr_kube::kube::Client;
    use clientmgr_kube::kube::client::Body;
    use clientmgr_kube::kube::runtime::watcher;
    use futures::StreamExt as _;
    use futures::stream::BoxStream;
    use http::{Request, Response};
    use serde_json::json;
    use tokio::time::Instant;

    use super::{Kind, Namespaces};
    use crate::source::SourceError;
    use crate::source::watch::Observed;
    use crate::watching::LIST_DEADLINE;

    static KIND: Kind = Kind { group: "example.com", name: "Thing", plural: "things", versions: &["v1"] };

    /// Watches the Secrets of a hub that answers lists. To a watch it answers these lines, or nothing at all.
    fn secrets(lines: Option<&'static str>) -> BoxStream<'static, Observed<Secret>> {
        let hub = tower::service_fn(move |request: Request<Body>| async move {
            let is_watch = request.uri().query().is_some_and(|query| query.contains("watch="));
            let list = json!({
                "apiVersion": "v1", "kind": "SecretList", "metadata": { "resourceVersion": "1" }, "items": [],
            });
            let body = match (is_watch, lines) {
                (true, None) => std::future::pending().await,
                (true, Some(lines)) => lines.into(),
                (false, _) => serde_json::to_vec(&list).unwrap(),
            };
            Ok::<_, kube::Error>(Response::new(Body::from(body)))
        });
        Namespaces::default().secrets(&Client::new(hub, "default"), &watcher::Config::default()).remove(0)
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_whose_request_is_swallowed_is_an_error() {
        let mut seen = secrets(None);
        assert!(matches!(seen.next().await, Some(Observed::Synced)));
        let began = Instant::now();
        let failed = tokio::time::timeout(LIST_DEADLINE * 2, seen.next()).await.expect("an error");
        let Some(Observed::Failed(error)) = failed else { panic!("{failed:?}") };
        assert_eq!(error.kind(), ConnectErrorKind::Timeout);
        assert!(error.to_string().starts_with("the hub did not answer a request within 60s: "), "{error}");
        assert_eq!(began.elapsed(), LIST_DEADLINE);
    }

    #[test]
    fn a_source_may_be_made_outside_the_runtime_that_polls_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let hub = tower::service_fn(|request: Request<Body>| async move {
            let answer = if request.uri().path().ends_with("/secrets") {
                json!({
                    "apiVersion": "v1", "kind": "SecretList", "metadata": { "resourceVersion": "1" }, "items": [],
                })
            } else {
                json!({ "kind": "APIResourceList", "groupVersion": "example.com/v1", "resources": [] })
            };
            Ok::<_, kube::Error>(Response::new(Body::from(serde_json::to_vec(&answer).unwrap())))
        });
        let client = runtime.block_on(async { Client::new(hub, "default") });
        let mut secrets = Namespaces::default().secrets(&client, &watcher::Config::default()).remove(0);
        let mut things = Namespaces::default().dynamic(&client, &KIND).remove(0);
        assert!(matches!(runtime.block_on(secrets.next()), Some(Observed::Synced)));
        let seen = runtime.block_on(things.next());
        assert!(matches!(&seen, Some(Observed::Failed(SourceError::NotServed { .. }))), "{seen:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_cannot_be_read_is_an_error_and_leads_to_a_list() {
        let mut seen = secrets(Some("{\"type\": \"ADDED\", \"object\": 1}\n"));
        assert!(matches!(seen.next().await, Some(Observed::Synced)));
        assert!(matches!(seen.next().await, Some(Observed::Failed(_))));
        assert!(matches!(seen.next().await, Some(Observed::Synced)));
    }
}
