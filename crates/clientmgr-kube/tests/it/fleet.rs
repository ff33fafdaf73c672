//! The life of clusters in a fleet.

use std::time::Duration;

use clientmgr_fake::apiserver::{ConnectionFault, Fault, Replacement, Requests, TestServer};
use clientmgr_kube::k8s_openapi::api::core::v1::Namespace;
use clientmgr_kube::kube::Api;
use clientmgr_kube::kube::api::ListParams;
use clientmgr_kube::kube::config::KubeConfigOptions;
use clientmgr_kube::{
    ClientProvider, ClusterStatus, ConnectFailure, Endpoint, Fleet, NamespacedName, Proof, ProviderError, Unreached,
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{builder, connect, endpoint, fleet_of, fleet_with, key, kubeconfig, served, server, unavailable};

#[tokio::test]
async fn every_context_of_a_kubeconfig_is_connected_to_its_own_server() {
    let (east, west) = (server("east").await, server("west").await);
    let both = east.kubeconfig().merge(west.kubeconfig()).unwrap();
    let fleet = builder().build();
    fleet.add_contexts(&both);
    assert_eq!(fleet.clusters(), [key("east"), key("west")]);

    let outcomes = fleet.connect_all().await;
    assert_eq!(outcomes.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(), [key("east"), key("west")]);
    for ((key, outcome), server) in outcomes.into_iter().zip([&east, &west]) {
        let connection = served(&fleet, &key).await;
        assert_eq!(connection.revision, outcome.unwrap());
        let marker = server.marker();
        Api::<Namespace>::all(connection.client).list(&ListParams::default()).await.unwrap();
        server.wait_for(Requests::list("namespaces").since(marker).status(200)).await;
    }
}

#[tokio::test]
async fn a_connection_proves_its_credentials_and_tells_whose_they_are() {
    let server = server("east").await;
    let fleet = builder().build();
    for credential in [server.issue_token("alice"), server.issue_certificate("bob", Duration::from_secs(3600)).unwrap()]
    {
        fleet.upsert(key("east"), endpoint(&server, &credential));
        fleet.connect(&key("east")).await.unwrap();
        let Some(ClusterStatus::Connected { proof, .. }) = fleet.status(&key("east")) else { panic!("not connected") };
        assert_eq!(proof, Proof::Credentials { user: credential.user().name().to_owned() });
    }
}

#[tokio::test]
async fn an_api_that_does_not_tell_who_asks_is_proven_to_answer() {
    let server = server("east").await;
    let _forbidden = server.forbid("admin", "create", "selfsubjectreviews");
    let fleet = fleet_of(&[&server]);
    fleet.connect(&key("east")).await.unwrap();
    let Some(ClusterStatus::Connected { proof, .. }) = fleet.status(&key("east")) else { panic!("not connected") };
    assert_eq!(proof, Proof::Api);
}

#[tokio::test]
async fn requests_carry_the_user_agent() {
    let head = head_of_a_request(|url| {
        Endpoint::from_kubeconfig(&kubeconfig(|cluster, _| cluster.server = Some(url)), "east")
    });
    assert_eq!(user_agents(&head.await), ["my-controller/7"]);
}

#[tokio::test]
async fn the_user_agent_of_a_ready_configuration_gives_way_to_the_fleets() {
    let head = head_of_a_request(|url| {
        let mut config = kube::Config::new(url.parse().unwrap());
        config.headers.push((http::header::USER_AGENT, "another/1".parse().unwrap()));
        config.headers.push((http::HeaderName::from_static("x-tenant"), "blue".parse().unwrap()));
        Endpoint::from_config(config)
    })
    .await;
    assert_eq!(user_agents(&head), ["my-controller/7"]);
    assert!(head.contains("x-tenant: blue\r\n"), "{head}");
}

fn user_agents(head: &str) -> Vec<&str> {
    head.lines().filter_map(|line| line.strip_prefix("user-agent: ")).collect()
}

/// The head of the first request to an endpoint, from a fleet whose user agent is `my-controller/7`.
async fn head_of_a_request(endpoint: impl FnOnce(String) -> Endpoint) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let head = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.windows(4).any(|window| window == b"\r\n\r\n") {
            socket.read_buf(&mut head).await.unwrap();
        }
        socket.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        String::from_utf8_lossy(&head).into_owned()
    };
    let fleet = builder().user_agent("my-controller/7".parse().unwrap()).build();
    let east = key("east");
    fleet.upsert(east.clone(), endpoint(url));
    let (outcome, head) = futures::future::join(fleet.connect(&east), head).await;
    assert!(outcome.unwrap_err().is_unauthorized());
    head
}

#[tokio::test]
async fn a_wrong_token_is_told_apart_and_names_the_context() {
    let server = server("east").await;
    let credential = server.issue_token("alice");
    server.revoke(credential.fingerprint());
    let fleet = builder().build();
    fleet.upsert(key("east"), endpoint(&server, &credential));

    let error = fleet.connect(&key("east")).await.unwrap_err();
    assert!(error.is_unauthorized());
    assert_eq!(error.to_string(), "cluster east: the server refused the credentials");
    assert!(unavailable(&fleet, &key("east")).await.is_unauthorized());
}

#[tokio::test]
async fn a_server_that_is_down_refuses_the_connection() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    server.stop().await;
    assert_unreached(&fleet, Unreached::Refused).await;
}

#[tokio::test]
async fn a_host_without_an_address_is_told_apart() {
    let kubeconfig = kubeconfig(|cluster, _| cluster.server = Some("https://no-such-host.invalid".into()));
    let error = connect(&kubeconfig).await.unwrap_err();
    let ConnectFailure::Transport(problem) = error.failure() else { panic!("{error:?}") };
    assert_eq!(problem.unreached, Unreached::Dns, "{error:?}");
}

#[tokio::test]
async fn a_server_of_another_authority_is_told_apart() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    server.replace(Replacement::NewCa).unwrap();
    assert_unreached(&fleet, Unreached::Tls).await;
}

#[tokio::test]
async fn an_expired_server_certificate_is_told_apart() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let _fault = server.inject_on_connect(ConnectionFault::ExpiredCertificate).unwrap();
    assert_unreached(&fleet, Unreached::Tls).await;
}

#[tokio::test]
async fn a_connection_that_is_closed_at_once_is_told_apart() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let _fault = server.inject_on_connect(ConnectionFault::Closed).unwrap();
    assert_unreached(&fleet, Unreached::Cut).await;
}

async fn assert_unreached(fleet: &Fleet, expected: Unreached) {
    let error = fleet.connect(&key("east")).await.unwrap_err();
    let ConnectFailure::Transport(problem) = error.failure() else { panic!("{error:?}") };
    assert_eq!(problem.unreached, expected, "{error:?}");
}

#[tokio::test]
async fn an_error_of_the_server_is_told_with_its_wish_to_be_left_alone() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let retry_after = Duration::from_secs(17);
    let _fault = server.inject(Fault::TooManyRequests { retry_after }.on(Requests::any()));

    let error = fleet.connect(&key("east")).await.unwrap_err();
    assert!(matches!(error.failure(), ConnectFailure::Status { status: 429, .. }), "{error:?}");
    assert_eq!(error.retry_after(), Some(retry_after));
    let Err(ProviderError::Unavailable { retry_after: hint, .. }) = fleet.connection(&key("east")).await else {
        panic!("served");
    };
    assert_eq!(hint, Some(retry_after));
}

#[tokio::test]
async fn an_outage_is_not_mistaken_for_an_answer() {
    for fault in [Fault::Unavailable, Fault::UnavailablePlainText, Fault::UnavailableBrokenJson, Fault::InternalError] {
        let server = server("east").await;
        let fleet = fleet_of(&[&server]);
        let _standing = server.inject(fault.on(Requests::any()));
        let error = fleet.connect(&key("east")).await.unwrap_err();
        assert!(matches!(error.failure(), ConnectFailure::Status { status: 500 | 503, .. }), "{error:?}");
        assert_eq!(server.requests().len(), 1, "an outage is told at once, and not after many attempts");
    }
}

#[tokio::test]
async fn a_connected_cluster_is_not_connected_again() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let first = fleet.connect(&key("east")).await.unwrap();
    let requests = server.requests().len();
    assert_eq!(fleet.connect(&key("east")).await.unwrap(), first);
    assert_eq!(server.requests().len(), requests);
}

#[tokio::test]
async fn a_reconnect_makes_a_new_connection_of_a_later_revision() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let first = fleet.connect(&key("east")).await.unwrap();
    let second = fleet.reconnect(&key("east")).await.unwrap();
    assert!(first < second);
    assert_eq!(served(&fleet, &key("east")).await.revision, second);
    let connections: Vec<_> = server.requests().iter().map(|request| request.connection).collect();
    assert!(connections.len() == 2 && connections[0] != connections[1], "{connections:?}");
}

#[tokio::test]
async fn a_reconnect_that_fails_keeps_a_connection_that_still_answers() {
    let server = server("east").await;
    let old = server.issue_token("alice");
    let fleet = builder().build();
    fleet.upsert(key("east"), endpoint(&server, &old));
    let first = fleet.connect(&key("east")).await.unwrap();

    let bad = server.issue_token("alice");
    server.revoke(bad.fingerprint());
    fleet.upsert(key("east"), endpoint(&server, &bad));
    let error = fleet.reconnect(&key("east")).await.unwrap_err();
    assert!(error.is_unauthorized());
    assert_eq!(served(&fleet, &key("east")).await.revision, first);
}

#[tokio::test]
async fn a_reconnect_of_a_dead_cluster_ends_in_unavailable() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    fleet.connect(&key("east")).await.unwrap();
    server.stop().await;
    fleet.reconnect(&key("east")).await.unwrap_err();
    let error = unavailable(&fleet, &key("east")).await;
    assert!(matches!(error.failure(), ConnectFailure::Transport(_)), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_fails_its_check_is_served_again_once_it_passes_one() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let first = fleet.connect(&key("east")).await.unwrap();

    server.stop().await;
    fleet.check(&key("east")).await.unwrap_err();
    unavailable(&fleet, &key("east")).await;

    server.start().await.unwrap();
    assert_eq!(fleet.check(&key("east")).await.unwrap(), first);
    assert_eq!(served(&fleet, &key("east")).await.revision, first);
}

#[tokio::test]
async fn a_cluster_that_failed_comes_back_by_a_new_connection_too() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let first = fleet.connect(&key("east")).await.unwrap();
    server.stop().await;
    fleet.check(&key("east")).await.unwrap_err();
    server.start().await.unwrap();
    assert!(fleet.connect(&key("east")).await.unwrap() > first);
}

#[tokio::test]
async fn a_check_connects_a_cluster_that_has_no_connection() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    assert!(matches!(unavailable(&fleet, &key("east")).await.failure(), ConnectFailure::NotConnected));
    let revision = fleet.check(&key("east")).await.unwrap();
    assert_eq!(served(&fleet, &key("east")).await.revision, revision);
}

#[tokio::test]
async fn a_removed_cluster_is_not_found() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    fleet.connect(&key("east")).await.unwrap();
    assert!(fleet.remove(&key("east")));
    assert!(!fleet.remove(&key("east")));
    assert_not_found(&fleet, &key("east")).await;
    assert!(fleet.status(&key("east")).is_none());
    let error = fleet.connect(&key("east")).await.unwrap_err();
    assert!(matches!(error.failure(), ConnectFailure::Unknown));
}

#[tokio::test]
async fn a_cluster_that_was_never_added_is_not_found() {
    assert_not_found(&Fleet::builder().build(), &NamespacedName::new("fleet", "east")).await;
}

async fn assert_not_found(fleet: &Fleet, key: &NamespacedName) {
    assert!(matches!(fleet.connection(key).await.map(|connection| connection.revision), Err(ProviderError::NotFound)));
}

#[tokio::test]
async fn an_endpoint_is_replaced_without_a_gap() {
    let (blue, green) = (server("blue").await, server("green").await);
    let fleet = builder().build();
    fleet.upsert(key("shop"), endpoint(&blue, &blue.admin()));
    let first = fleet.connect(&key("shop")).await.unwrap();

    fleet.upsert(key("shop"), endpoint(&green, &green.admin()));
    assert_eq!(served(&fleet, &key("shop")).await.revision, first);
    let second = fleet.connect(&key("shop")).await.unwrap();
    assert!(first < second);
    let marker = green.marker();
    let client = served(&fleet, &key("shop")).await.client;
    Api::<Namespace>::all(client).list(&ListParams::default()).await.unwrap();
    green.wait_for(Requests::to("namespaces").since(marker)).await;
}

#[tokio::test]
async fn an_endpoint_may_be_a_ready_configuration() {
    let server = server("east").await;
    let config =
        kube::Config::from_custom_kubeconfig(server.kubeconfig(), &KubeConfigOptions::default()).await.unwrap();
    let fleet = builder().build();
    fleet.upsert(key("east"), Endpoint::from_config(config));
    fleet.connect(&key("east")).await.unwrap();
}

#[tokio::test]
async fn a_server_without_tls_is_connected() {
    let server = TestServer::builder().name("east").plain_http().start().await.unwrap();
    fleet_of(&[&server]).connect(&key("east")).await.unwrap();
}

#[test]
fn connecting_outside_of_a_runtime_is_an_error() {
    let (fleet, key) = fleet_with(&kubeconfig(|_, _| ()));
    let error = futures::executor::block_on(fleet.connect(&key)).unwrap_err();
    assert!(matches!(error.failure(), ConnectFailure::NoRuntime), "{error:?}");
}

#[test]
fn connecting_in_a_runtime_without_time_is_an_error() {
    let (fleet, key) = fleet_with(&kubeconfig(|_, _| ()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let error = runtime.block_on(fleet.connect(&key)).unwrap_err();
    assert!(matches!(error.failure(), ConnectFailure::NoRuntime), "{error:?}");
}

#[test]
fn a_client_outlives_the_thread_that_it_was_built_on() {
    // The client's worker must belong to the caller's runtime, not to the thread that built it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = server("east").await;
        let fleet = fleet_of(&[&server]);
        fleet.connect(&key("east")).await.unwrap();
        let client = served(&fleet, &key("east")).await.client;
        client.apiserver_version().await.unwrap();
    });
}

#[tokio::test]
async fn a_fleet_may_have_deadlines_that_never_pass() {
    let server = server("east").await;
    let never = Duration::MAX;
    let fleet = builder().connect_deadline(never).request_deadline(never).retry_after(never).build();
    fleet.upsert(key("east"), endpoint(&server, &server.admin()));
    unavailable(&fleet, &key("east")).await;
    fleet.connect(&key("east")).await.unwrap();
    fleet.check(&key("east")).await.unwrap();
    fleet.reconnect(&key("east")).await.unwrap();
}
