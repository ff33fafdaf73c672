//! The controller on scripted hubs, in paused time: a hub that gives no Clusters, and what is written at the end.

use std::error::Error as _;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use clientmgr_kube::{ClientProvider as _, NamespacedName, ProviderError};
use futures::FutureExt as _;
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::problem::ConfigProblem;
use super::run::LAST_WRITES;
use super::{ClusterController, ClusterProvider, HubError, NotConnected, StatusWriter};
use crate::captured_log::CapturedLog;

fn answer(code: u16, body: &str) -> Response<Body> {
    Response::builder().status(code).body(Body::from(body.as_bytes().to_vec())).unwrap()
}

fn docker() -> Value {
    json!({
        "apiVersion": "clientmgr.dev/v1alpha1", "kind": "Cluster",
        "metadata": { "namespace": "default", "name": "east", "uid": "u", "resourceVersion": "1" },
        "spec": { "connection": { "docker": { "host": "unix:///run/docker.sock" } } },
    })
}

/// What a hub does with a status.
#[derive(Clone, Copy)]
enum Takes {
    Statuses,
    Nothing,
}

/// A hub with the Cluster `default/east` of a Docker engine. It notes the method and path of each write.
fn hub(takes: Takes) -> (Client, Arc<Mutex<Vec<String>>>) {
    let writes = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&writes);
    let service = tower::service_fn(move |request: Request<Body>| {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch="));
        let is_write = request.method() != Method::GET;
        if is_write {
            noted.lock().unwrap().push(format!("{} {}", request.method(), request.uri().path()));
        }
        async move {
            let body = match (is_write, takes) {
                (true, Takes::Statuses) => {
                    let sent = request.into_body().collect().await.unwrap().to_bytes();
                    let sent: Value = serde_json::from_slice(&sent).unwrap();
                    let mut stored = docker();
                    stored["metadata"]["resourceVersion"] = "2".into();
                    stored["status"] = sent["status"].clone();
                    stored
                }
                (false, _) if !is_watch => json!({
                    "apiVersion": "clientmgr.dev/v1alpha1", "kind": "ClusterList",
                    "metadata": { "resourceVersion": "1" }, "items": [docker()],
                }),
                _ => std::future::pending().await,
            };
            Ok::<_, kube::Error>(answer(200, &body.to_string()))
        }
    });
    (Client::new(service, "default"), writes)
}

async fn error(provider: &ClusterProvider) -> ProviderError {
    provider.connection(&NamespacedName::new("default", "east")).await.err().unwrap()
}

/// Runs a controller until it knows the Cluster, whose status is due then. Returns how long the end took.
async fn run(hub: Client, writer: StatusWriter) -> Duration {
    let clusters = ClusterController::builder(hub, writer).build();
    let provider = clusters.provider();
    let mut known = None;
    let until = async {
        while !matches!(error(&provider).await, ProviderError::Incompatible { .. }) {
            tokio::task::yield_now().await;
        }
        known = Some(Instant::now());
    };
    clusters.run(until).await;
    known.unwrap().elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_due_at_the_end_is_written_before_the_end() {
    let (hub, writes) = hub(Takes::Statuses);
    run(hub, StatusWriter::Always).await;
    let status = "PATCH /apis/clientmgr.dev/v1alpha1/namespaces/default/clusters/east/status";
    assert_eq!(*writes.lock().unwrap(), [status]);
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_takes_no_status_delays_the_end_by_five_seconds() {
    let (hub, writes) = hub(Takes::Nothing);
    assert_eq!(run(hub, StatusWriter::Always).await, LAST_WRITES);
    assert_eq!((writes.lock().unwrap().len(), LAST_WRITES), (1, Duration::from_secs(5)));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_may_not_write_sends_nothing_at_the_end() {
    let (hub, writes) = hub(Takes::Statuses);
    assert_eq!(run(hub, StatusWriter::Never).await, Duration::ZERO);
    assert!(writes.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_gives_no_clusters_is_asked_seldom_warned_of_once_for_each_reason_and_shown_to_readers() {
    let (code, requests) = (Arc::new(AtomicU16::new(404)), Arc::new(AtomicUsize::new(0)));
    let (log, _captured) = CapturedLog::capture();
    let service = {
        let (code, requests) = (Arc::clone(&code), Arc::clone(&requests));
        tower::service_fn(move |_: Request<Body>| {
            requests.fetch_add(1, Relaxed);
            let code = code.load(Relaxed);
            let forbidden = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403,
                "message": "clusters.clientmgr.dev is forbidden: User \"pod\" cannot list resource \"clusters\"",
            });
            let answer =
                if code == 404 { answer(404, "404 page not found\n") } else { answer(403, &forbidden.to_string()) };
            std::future::ready(Ok::<_, kube::Error>(answer))
        })
    };
    let clusters = ClusterController::builder(Client::new(service, "default"), StatusWriter::Always).build();
    let provider = clusters.provider();
    let shown = async || match error(&provider).await {
        ProviderError::Unavailable { source, .. } => source.downcast_ref::<NotConnected>().cloned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(shown().await, Some(NotConnected::Unlisted));
    let story = async {
        let ten_minutes = Duration::from_secs(600);
        tokio::time::sleep(ten_minutes).await;
        assert_eq!(shown().await, Some(NotConnected::Hub(HubError::NotServed)));
        let text = error(&provider).await.source().unwrap().to_string();
        assert!(text.contains("`kubectl apply -f deploy/crds`"), "{text}");
        // On average one in 5 s.
        let asked = requests.swap(0, Relaxed);
        assert!((60..240).contains(&asked), "{asked} requests in ten minutes");
        assert_eq!(log.warnings().len(), 1);

        code.store(403, Relaxed);
        tokio::time::sleep(ten_minutes).await;
        let text = error(&provider).await.source().unwrap().to_string();
        assert!(text.contains("User \"pod\" cannot list") && text.contains("deploy/rbac"), "{text}");
        assert_eq!(log.warnings().len(), 2);
    };
    timeout(Duration::from_secs(3_600), clusters.run(story)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cold_start_holds_the_data_of_a_few_secrets_at_a_time() {
    const CLUSTERS: usize = 300;
    let object = |kind: &str, name: &str, more: Value| {
        let mut object = more;
        object["kind"] = kind.into();
        object["metadata"] = json!({ "namespace": "default", "name": name, "uid": name, "resourceVersion": "1" });
        object
    };
    let secret = move |name: &str| object("Secret", name, json!({ "apiVersion": "v1", "data": { "config": "Ww==" } }));
    let cluster = move |name: &str| {
        let connection = json!({ "kubeconfig": { "secretRef": { "name": name, "key": "config" } } });
        let spec = json!({ "connection": connection });
        object("Cluster", name, json!({ "apiVersion": "clientmgr.dev/v1alpha1", "spec": spec }))
    };
    let list = |version: &str, kind: &str, item: &dyn Fn(&str) -> Value| {
        let items: Vec<_> = (0..CLUSTERS).map(|number| item(&number.to_string())).collect();
        json!({ "apiVersion": version, "kind": kind, "metadata": { "resourceVersion": "1" }, "items": items })
    };
    let clusters = list("clientmgr.dev/v1alpha1", "ClusterList", &cluster);
    let secrets = list("v1", "SecretList", &secret);
    let provider = Arc::new(OnceLock::<ClusterProvider>::new());
    // The Secrets whose Cluster still waits for their data, and how many those were at most.
    let waiting = Arc::new(Mutex::new((Vec::<String>::new(), 0)));
    let service = {
        let (provider, waiting) = (Arc::clone(&provider), Arc::clone(&waiting));
        tower::service_fn(move |request: Request<Body>| {
            let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
            let body = if query.contains("watch=") {
                None
            } else if path.ends_with("/clusters") {
                Some(clusters.to_string())
            } else if path.ends_with("/secrets") {
                Some(secrets.to_string())
            } else {
                let name = path.rsplit('/').next().unwrap().to_owned();
                let answer = secret(&name).to_string();
                let provider = provider.get().unwrap();
                let is_waiting = |name: &String| {
                    let connection = provider.connection(&NamespacedName::new("default", name)).now_or_never();
                    let error = connection.unwrap().err().unwrap();
                    let problem = error.source().and_then(|source| source.downcast_ref());
                    matches!(problem, Some(ConfigProblem::SecretPending { .. }))
                };
                let (names, most) = &mut *waiting.lock().unwrap();
                names.push(name);
                names.retain(is_waiting);
                *most = names.len().max(*most);
                Some(answer)
            };
            async move {
                match body {
                    Some(body) => Ok::<_, kube::Error>(answer(200, &body)),
                    None => std::future::pending().await,
                }
            }
        })
    };
    let clusters = ClusterController::builder(Client::new(service, "default"), StatusWriter::Never).build();
    assert!(provider.set(clusters.provider()).is_ok());
    clusters.run(tokio::time::sleep(Duration::from_secs(60))).await;
    let (_, most) = *waiting.lock().unwrap();
    assert!((1..40).contains(&most), "the data of {most} Secrets was in memory");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_request_is_logged_without_its_text_and_a_read_of_secrets_once() {
    let (log, _captured) = CapturedLog::capture();
    let with_secret = |name: &str| {
        let mut cluster = docker();
        cluster["metadata"]["name"] = name.into();
        cluster["spec"]["connection"] = json!({ "kubeconfig": { "secretRef": { "name": name, "key": "config" } } });
        cluster
    };
    let clusters = json!({
        "apiVersion": "clientmgr.dev/v1alpha1", "kind": "ClusterList",
        "metadata": { "resourceVersion": "1" }, "items": [docker(), with_secret("west"), with_secret("north")],
    });
    let secrets = json!({
        "apiVersion": "v1", "kind": "SecretList", "metadata": { "resourceVersion": "1" }, "items": [],
    });
    let service = tower::service_fn(move |request: Request<Body>| {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch="));
        let path = request.uri().path().to_owned();
        let (clusters, secrets) = (clusters.clone(), secrets.clone());
        async move {
            let body = match path.rsplit('/').next().unwrap() {
                _ if is_watch => std::future::pending().await,
                "clusters" => clusters,
                "secrets" => secrets,
                "status" => {
                    let sent = request.into_body().collect().await.unwrap().to_bytes();
                    let sent: Value = serde_json::from_slice(&sent).unwrap();
                    let mut stored = with_secret(sent["metadata"]["name"].as_str().unwrap());
                    stored["metadata"]["resourceVersion"] = "2".into();
                    stored["status"] = sent["status"].clone();
                    stored
                }
                _ => return Err::<_, tower::BoxError>("the plugin printed s3cr3t".into()),
            };
            Ok(answer(200, &body.to_string()))
        }
    });
    let clusters = ClusterController::builder(Client::new(service, "default"), StatusWriter::Always).build();
    clusters.run(tokio::time::sleep(Duration::from_secs(60))).await;
    let lines = log.lines();
    assert!(lines.iter().all(|(_, line)| !line.contains("s3cr3t")), "{lines:#?}");
    let of = |what: &str| log.warnings().iter().filter(|line| line.contains(what)).count();
    assert!(of("Event") > 0, "{lines:#?}");
    assert_eq!(of("Secret default/"), 1, "{lines:#?}");
}
