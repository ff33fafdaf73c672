//! After an outage: what is registered hears of the recovery, and its watches resume without waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clientmgr_fake::FakeClientProvider;
use clientmgr_kube::{NamespacedName, ObservedCluster};
use clientmgr_runtime::requeue::Dependants;
use clientmgr_runtime::watch::RemoteWatches;
use futures::channel::mpsc as changes;
use futures::{FutureExt as _, StreamExt as _};
use http::{Request, Response};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::client::Body;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::support::object;

/// A cluster without config maps, whose watches fail while it is down. It sends its name and the query of each watch.
fn cluster(
    name: &'static str,
    is_down: &Arc<AtomicBool>,
    watches: &mpsc::UnboundedSender<(&'static str, String)>,
) -> Client {
    let (is_down, watches) = (Arc::clone(is_down), watches.clone());
    let service = tower::service_fn(move |request: Request<Body>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let (is_watch, is_down) = (query.contains("watch="), is_down.load(Ordering::Relaxed));
        if is_watch {
            watches.send((name, query)).unwrap();
        }
        async move {
            match (is_watch, is_down) {
                (true, true) => Err(kube::Error::Service("connection refused".into())),
                (true, false) => std::future::pending().await,
                (false, _) => {
                    let list = json!({
                        "apiVersion": "v1", "kind": "ConfigMapList", "metadata": { "resourceVersion": "7" },
                        "items": [],
                    });
                    Ok(Response::new(Body::from(list.to_string().into_bytes())))
                }
            }
        }
    });
    Client::new(service, "default")
}

#[tokio::test(start_paused = true)]
async fn a_watch_resumes_at_once_when_its_cluster_is_announced_and_those_of_others_wait() {
    let (is_down, (watches, mut seen)) = (Arc::new(AtomicBool::new(true)), mpsc::unbounded_channel());
    let fake = FakeClientProvider::empty();
    let api = Api::<ConfigMap>::all;
    let (maps, _triggers) =
        RemoteWatches::new(fake.clone(), api, watcher::Config::default(), |_, _| None::<ObjectRef<Secret>>);
    let dependants = Dependants::new(|_: &Secret| Vec::new());
    dependants.register(&maps);
    for name in ["east", "west"] {
        let key = NamespacedName::from(name);
        let revision = Some(fake.set_client(&key, cluster(name, &is_down, &watches)).unwrap());
        let watch = maps.get(&object(name), &ObservedCluster { key, revision }).await.unwrap();
        watch.ready().await.unwrap();
    }
    let outage = Instant::now();
    while outage.elapsed() < Duration::from_secs(300) {
        seen.recv().await.unwrap();
    }
    let (change, changes) = changes::unbounded::<NamespacedName>();
    let mut requeue = dependants.requeue(changes);
    while seen.try_recv().is_ok() {}
    is_down.store(false, Ordering::Relaxed);
    let recovery = Instant::now();
    change.unbounded_send("east".into()).unwrap();
    assert_eq!(requeue.next().now_or_never(), None, "no object depends on it");
    let (name, query) = seen.recv().await.unwrap();
    assert_eq!((name, recovery.elapsed()), ("east", Duration::ZERO));
    assert!(query.contains("resourceVersion=7"), "no relist: {query}");
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(seen.try_recv().is_err(), "nothing says that west is served");
}
