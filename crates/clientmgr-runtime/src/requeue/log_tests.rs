//! What a controller of [`Dependants`] logs when the watch of its objects fails: on a scripted hub, in paused time.

use std::time::Duration;

use clientmgr_kube::NamespacedName;
use futures::{StreamExt as _, stream};
use http::{Request, Response};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use kube::runtime::controller::Action;
use kube::runtime::watcher::Config;
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::Dependants;
use crate::captured_log::CapturedLog;

#[tokio::test(start_paused = true)]
async fn a_second_outage_is_logged_again_after_the_first_was_over() {
    let (log, _captured) = CapturedLog::capture();
    let began = Instant::now();
    let service = tower::service_fn(move |request: Request<Body>| async move {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch="));
        let (status, body) = match began.elapsed().as_secs() {
            10..20 | 80..90 => (403, json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403 })),
            _ if is_watch => {
                // It ends without an event.
                sleep(Duration::from_secs(1)).await;
                return Ok(Response::new(Body::empty()));
            }
            _ => (200, json!({ "metadata": { "resourceVersion": "1" }, "items": [] })),
        };
        Ok::<_, kube::Error>(
            Response::builder().status(status).body(Body::from(body.to_string().into_bytes())).unwrap(),
        )
    });
    let dependants = Dependants::new(|_: &ConfigMap| None);
    let api = Api::all(Client::new(service, "default"));
    let controller = dependants.controller(api, Config::default(), stream::pending::<NamespacedName>());
    let reconcile = async |_, _| Ok::<_, kube::Error>(Action::await_change());
    let mut running = controller.run(reconcile, |_, _, _| Action::await_change(), ().into()).boxed();
    assert!(tokio::time::timeout(Duration::from_secs(180), running.next()).await.is_err());
    assert_eq!(log.warnings().len(), 2, "{:#?}", log.lines());
    let again = log.lines().iter().filter(|(_, line)| line.contains("listed again")).count();
    assert_eq!(again, 2, "{:#?}", log.lines());
}
