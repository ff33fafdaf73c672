//! Many streams on one cluster: more watches than an HTTP/2 connection carries, and responses that are not read.

use std::collections::HashSet;

use clientmgr_fake::apiserver::TestServer;
use clientmgr_kube::Fleet;
use clientmgr_kube::k8s_openapi::api::core::v1::ConfigMap;
use clientmgr_kube::kube::api::{ObjectMeta, PostParams};
use clientmgr_kube::kube::client::Body;
use clientmgr_kube::kube::{Api, Client};
use http::{Request, Response};

use crate::support::{fleet_of, server, within};
use crate::traffic::{Watch, assert_goes_on, list, watch};

async fn client(fleet: &Fleet, server: &TestServer) -> Client {
    within(fleet.client(server.name())).await.unwrap()
}

/// How many connections had a request so far.
fn connections(server: &TestServer) -> usize {
    server.requests().iter().map(|request| request.connection).collect::<HashSet<_>>().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_beside_more_watches_than_a_connection_carries() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let client = client(&fleet, &server).await;
    let mut watches: Vec<Watch> = Vec::new();
    for _ in 0..250 {
        watches.push(within(watch(&server, &client)).await);
    }
    within(list(&client)).await.unwrap();
    // Four carry them. Each that was opened beside others may have been followed by a check on one of its own.
    assert!((4..=7).contains(&connections(&server)), "{} connections for 250 watches", connections(&server));
    within(assert_goes_on(&server, watches.last_mut().unwrap(), "late")).await;
    // The room that they leave is used again.
    let before = connections(&server);
    drop(watches);
    within(list(&client)).await.unwrap();
    assert_eq!(connections(&server), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_grants_few_streams_gets_more_connections() {
    let server = TestServer::builder().name("east").http2_max_streams_per_connection(10).start().await.unwrap();
    let fleet = fleet_of(&[&server]);
    let client = client(&fleet, &server).await;
    // All at once, before any of them is answered.
    let opening = (0..60).map(|_| watch(&server, &client));
    let watches: Vec<Watch> = within(futures::future::join_all(opening)).await;
    within(list(&client)).await.unwrap();
    assert!((7..=9).contains(&connections(&server)), "{} connections for 60 watches", connections(&server));
    drop(watches);
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_that_are_not_read_hold_up_no_other_request() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let client = client(&fleet, &server).await;
    let maps = Api::<ConfigMap>::default_namespaced(client.clone());
    for name in ["a", "b", "c"] {
        let data = [("large".to_owned(), "x".repeat(900 * 1024))].into();
        let metadata = ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() };
        let map = ConfigMap { metadata, data: Some(data), ..ConfigMap::default() };
        within(maps.create(&PostParams::default(), &map)).await.unwrap();
    }
    let mut unread: Vec<Response<Body>> = Vec::new();
    for _ in 0..20 {
        let request = Request::get("/api/v1/namespaces/default/configmaps").body(Body::empty()).unwrap();
        unread.push(within(client.send(request)).await.unwrap());
    }
    within(client.apiserver_version()).await.unwrap();
    assert_eq!(unread.len(), 20);
}
