//! When [`Secrets`] reads a Secret again, and what it shows meanwhile: on a hub with scripted answers and a paused clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use clientmgr_kube::NamespacedName;
use futures::{future, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::connection::SecretState;
use super::secrets::{SecretWatch, Secrets};

/// A hub that has the Secrets `east` and `west`. Its watches say nothing.
struct Hub {
    client: Client,
    /// When a Secret was read.
    reads: Arc<Mutex<Vec<Instant>>>,
}

impl Hub {
    /// The hub answers reads with these statuses, and each read after them with 200. It refuses lists with `refused` in
    /// their query.
    fn new(statuses: &'static [u16], refused: &'static str) -> Self {
        let reads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&reads);
        let service = tower::service_fn(move |request: Request<Body>| {
            let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
            let (status, body) = if path.ends_with("/secrets") {
                if !refused.is_empty() && query.contains(refused) { (403, failure(403)) } else { (200, list(&query)) }
            } else {
                let mut reads = seen.lock().unwrap();
                reads.push(Instant::now());
                match statuses.get(reads.len() - 1) {
                    None | Some(200) => (200, secret("east")),
                    Some(status) => (*status, failure(*status)),
                }
            };
            let body = if query.contains("watch=") {
                StreamBody::new(stream::pending::<Result<Frame<Bytes>, kube::Error>>()).boxed_unsync()
            } else {
                Full::from(body.to_string()).map_err(|never| match never {}).boxed_unsync()
            };
            future::ready(Ok::<_, kube::Error>(Response::builder().status(status).body(body).unwrap()))
        });
        Self { client: Client::new(service, "default"), reads }
    }

    /// The time before each read.
    fn pauses(&self, began: Instant) -> Vec<f64> {
        let reads = self.reads.lock().unwrap();
        let before = std::iter::once(&began).chain(reads.iter());
        before.zip(reads.iter()).map(|(before, read)| (*read - *before).as_secs_f64()).collect()
    }
}

fn secret(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "data": { "kubeconfig": "" },
        "metadata": { "name": name, "namespace": "default", "resourceVersion": "1" },
    })
}

/// The Secrets that a query selects.
fn list(query: &str) -> Value {
    let is_selected = |name: &&str| !query.contains("fieldSelector=") || query.contains(name);
    let items: Vec<_> = ["east", "west"].into_iter().filter(is_selected).map(secret).collect();
    json!({ "apiVersion": "v1", "kind": "SecretList", "metadata": { "resourceVersion": "1" }, "items": items })
}

fn failure(code: u16) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code })
}

fn key(name: &str) -> NamespacedName {
    NamespacedName::new("default", name)
}

/// Waits for the next change, and returns it in short.
async fn change(secrets: &mut Secrets) -> (String, &'static str) {
    let changed = tokio::time::timeout(Duration::from_secs(3_600), secrets.changed()).await.expect("a change");
    let state = match secrets.state(&changed.secret) {
        SecretState::Unread => "unread",
        SecretState::Read(_) => "read",
        SecretState::Used => "used",
        SecretState::NotFound => "not found",
        SecretState::Forbidden => "forbidden",
        SecretState::Unavailable => "unavailable",
    };
    (changed.secret.name().to_owned(), state)
}

/// Asserts that each read came so long after the one before, or up to half of that earlier.
fn assert_pauses(hub: &Hub, began: Instant, longest: &[f64]) {
    let pauses = hub.pauses(began);
    let is_right = |(pause, longest): (&f64, &f64)| (longest / 2.0..=longest + 0.01).contains(pause);
    assert!(pauses.len() == longest.len() && pauses.iter().zip(longest).all(is_right), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_may_not_be_read_shows_at_the_second_refusal_and_is_tried_less_and_less_often() {
    let (hub, began) = (Hub::new(&[403; 10], ""), Instant::now());
    let mut secrets = Secrets::new(hub.client.clone(), SecretWatch::PerNamespace);
    secrets.refer(&key("east"));
    assert_eq!(change(&mut secrets).await, ("east".to_owned(), "forbidden"));
    assert_pauses(&hub, began, &[0.0, 2.0]);
    assert_eq!(change(&mut secrets).await, ("east".to_owned(), "read"));
    assert_pauses(&hub, began, &[0.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0]);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_not_found_though_its_watch_has_it_is_tried_less_and_less_often() {
    let (hub, began) = (Hub::new(&[404, 404, 404], ""), Instant::now());
    let mut secrets = Secrets::new(hub.client.clone(), SecretWatch::PerNamespace);
    secrets.refer(&key("east"));
    assert_eq!(change(&mut secrets).await, ("east".to_owned(), "unavailable"));
    assert_pauses(&hub, began, &[0.0]);
    assert_eq!(change(&mut secrets).await, ("east".to_owned(), "read"));
    assert_pauses(&hub, began, &[0.0, 1.0, 2.0, 4.0]);
}

#[tokio::test(start_paused = true)]
async fn data_that_a_cluster_waits_for_comes_after_failures_though_it_is_the_same() {
    let hub = Hub::new(&[200, 500, 500], "");
    let mut secrets = Secrets::new(hub.client.clone(), SecretWatch::PerNamespace);
    secrets.refer(&key("east"));
    assert_eq!(change(&mut secrets).await, ("east".to_owned(), "read"));
    secrets.used(&key("east"));
    assert!(matches!(secrets.state(&key("east")), SecretState::Used));
    secrets.want(&key("east"), &key("cluster"));
    assert_eq!(change(&mut secrets).await, ("east".to_owned(), "unavailable"));
    assert_eq!(change(&mut secrets).await, ("east".to_owned(), "read"));
    assert_eq!(hub.reads.lock().unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn data_that_is_read_again_for_one_cluster_concerns_no_other() {
    let hub = Hub::new(&[], "");
    let mut secrets = Secrets::new(hub.client.clone(), SecretWatch::PerNamespace);
    secrets.refer(&key("east"));
    assert_eq!(secrets.changed().await.only, None, "the first read is for all");
    secrets.used(&key("east"));
    secrets.want(&key("east"), &key("one"));
    secrets.want(&key("east"), &key("two"));
    assert_eq!(secrets.changed().await.only, Some([key("one"), key("two")].into()));
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_one_secret_that_is_refused_shows_at_the_second_refusal_and_concerns_no_other() {
    let hub = Hub::new(&[], "west");
    let mut secrets = Secrets::new(hub.client.clone(), SecretWatch::PerSecret);
    for name in ["east", "west"] {
        secrets.refer(&key(name));
    }
    let began = Instant::now();
    assert_eq!(change(&mut secrets).await, ("east".to_owned(), "read"));
    assert_eq!(change(&mut secrets).await, ("west".to_owned(), "forbidden"));
    assert!((Duration::from_nanos(1)..Duration::from_secs(1)).contains(&began.elapsed()), "{:?}", began.elapsed());
    // It stays so, and east is not read again.
    assert!(tokio::time::timeout(Duration::from_secs(60), secrets.changed()).await.is_err());
    assert_eq!(hub.reads.lock().unwrap().len(), 1);
}
