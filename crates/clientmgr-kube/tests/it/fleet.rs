//! The life of clusters in a fleet.

use std::time::Duration;

use clientmgr_fake::apiserver::{ConnectionFault, Fault, Replacement, Requests, TestServer};
use clientmgr_kube::k8s_openapi::api::core::v1::Namespace;
use clientmgr_kube::kube::Api;
use clientmgr_kube::kube::api::ListParams;
use clientmgr_kube::kube::config::KubeConfigOptions;
use clientmgr_kube::{
    ClientProvider, ClusterConfig, ConnectErrorKind, Fleet, NamespacedName, ProviderError, Revoked, RevokedReason,
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{
    add, attempts, builder, config, failure, fleet_of, fleet_with, key, kubeconfig, served, server, snapshot,
    unavailable, until,
};

#[tokio::test]
async fn every_context_of_a_kubeconfig_is_connected_to_its_own_server() {
    let (east, west) = (server("east").await, server("west").await);
    let both = east.kubeconfig().merge(west.kubeconfig()).unwrap();
    let fleet = builder().build();
    fleet.add_contexts(&both);
    assert_eq!(fleet.clusters(), [key("east"), key("west")]);

    for server in [&east, &west] {
        let key = key(server.name());
        let revision = fleet.wait_connected(&key).await.unwrap();
        let connection = served(&fleet, &key).await;
        assert_eq!(connection.revision, revision);
        let marker = server.marker();
        Api::<Namespace>::all(connection.client).list(&ListParams::default()).await.unwrap();
        server.wait_for(Requests::list("namespaces").since(marker).status(200)).await;
    }
}

#[tokio::test]
async fn a_connection_proves_its_credentials_and_shows_their_user() {
    let server = server("east").await;
    let fleet = builder().build();
    for credential in [server.issue_token("alice"), server.issue_certificate("bob", Duration::from_secs(3600)).unwrap()]
    {
        fleet.upsert("east", config(&server, &credential));
        let user = credential.user().name();
        let proven = until(&fleet, &key("east"), |snapshot| snapshot.user.as_deref() == Some(user)).await;
        assert_eq!(proven.identity.unwrap().to_string(), server.kube_system_uid());
        assert!(proven.version.unwrap().starts_with("v1.") && proven.latency.is_some());
    }
}

#[tokio::test]
async fn an_api_that_does_not_name_the_user_is_proven_to_answer() {
    let server = server("east").await;
    let _forbidden = server.forbid("admin", "create", "selfsubjectreviews");
    let fleet = fleet_of(&[&server]);
    fleet.wait_connected(&key("east")).await.unwrap();
    fleet.probe(&key("east")).await.unwrap();
    let snapshot = snapshot(&fleet, &key("east"));
    assert_eq!((snapshot.user, snapshot.version.is_some()), (None, true));
}

#[tokio::test]
async fn requests_carry_the_user_agent() {
    let head = head_of_a_request(|url| {
        ClusterConfig::from_kubeconfig(&kubeconfig(|cluster, _| cluster.server = Some(url)), "east")
    });
    assert_eq!(user_agents(&head.await), ["my-controller/7"]);
}

#[tokio::test]
async fn the_user_agent_of_a_ready_configuration_gives_way_to_the_fleets() {
    let head = head_of_a_request(|url| {
        let mut config = kube::Config::new(url.parse().unwrap());
        config.headers.push((http::header::USER_AGENT, "another/1".parse().unwrap()));
        config.headers.push((http::HeaderName::from_static("x-tenant"), "blue".parse().unwrap()));
        ClusterConfig::from_config(config)
    })
    .await;
    assert_eq!(user_agents(&head), ["my-controller/7"]);
    assert!(head.contains("x-tenant: blue\r\n"), "{head}");
}

fn user_agents(head: &str) -> Vec<&str> {
    head.lines().filter_map(|line| line.strip_prefix("user-agent: ")).collect()
}

/// The head of the first request to a cluster, from a fleet whose user agent is `my-controller/7`.
async fn head_of_a_request(config: impl FnOnce(String) -> ClusterConfig) -> String {
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
    fleet.upsert(east.clone(), config(url));
    let (outcome, head) = futures::future::join(fleet.wait_connected(&east), head).await;
    assert_eq!(outcome.unwrap_err().kind(), ConnectErrorKind::Unauthorized);
    head
}

#[tokio::test]
async fn a_wrong_token_is_an_error_of_its_kind_that_names_the_context() {
    let server = server("east").await;
    let credential = server.issue_token("alice");
    server.revoke(credential.fingerprint());
    let fleet = builder().build();
    fleet.upsert("east", config(&server, &credential));

    let error = fleet.wait_connected(&key("east")).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Unauthorized);
    assert_eq!(error.to_string(), "cluster east: the server refused the credentials (401): renew them");
    assert_eq!(unavailable(&fleet, &key("east")).await.kind(), ConnectErrorKind::Unauthorized);
}

#[tokio::test]
async fn a_server_that_is_down_refuses_the_connection() {
    let server = server("east").await;
    server.stop().await;
    let fleet = fleet_of(&[&server]);
    assert_unreached(&fleet, ConnectErrorKind::Unreachable, "connection refused").await;
}

#[tokio::test]
async fn a_host_without_an_address_is_an_error_of_its_kind() {
    let kubeconfig = kubeconfig(|cluster, _| cluster.server = Some("https://no-such-host.invalid".into()));
    let error = failure(&kubeconfig).await;
    let expected = "cluster east: the server was not reached: the host's name could not be resolved";
    assert_eq!((error.kind(), error.to_string().as_str()), (ConnectErrorKind::Unreachable, expected));
}

#[tokio::test]
async fn a_server_of_another_authority_is_an_error_of_its_kind() {
    let server = server("east").await;
    let outdated = server.kubeconfig();
    server.replace(Replacement::NewCa).unwrap();
    let (fleet, _) = fleet_with(&outdated);
    assert_unreached(
        &fleet,
        ConnectErrorKind::Tls,
        "the TLS handshake failed: an unknown authority signed the server's certificate: correct certificate-authority-data",
    )
    .await;
}

#[tokio::test]
async fn an_expired_server_certificate_is_an_error_of_its_kind() {
    let server = server("east").await;
    let _fault = server.inject_on_connect(ConnectionFault::ExpiredCertificate).unwrap();
    let fleet = fleet_of(&[&server]);
    assert_unreached(
        &fleet,
        ConnectErrorKind::Tls,
        "the TLS handshake failed: the server's certificate has expired or is not valid yet: renew it",
    )
    .await;
}

#[tokio::test]
async fn a_connection_that_is_closed_at_once_is_an_error_of_its_kind() {
    let server = server("east").await;
    let _fault = server.inject_on_connect(ConnectionFault::Closed).unwrap();
    let fleet = fleet_of(&[&server]);
    assert_unreached(&fleet, ConnectErrorKind::Unreachable, "the connection was cut").await;
}

async fn assert_unreached(fleet: &Fleet, kind: ConnectErrorKind, text: &str) {
    let error = fleet.wait_connected(&key("east")).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error:?}");
    assert_eq!(error.to_string(), format!("cluster east: the server was not reached: {text}"));
}

#[tokio::test]
async fn an_error_of_the_server_keeps_its_retry_after() {
    let server = server("east").await;
    let retry_after = Duration::from_secs(17);
    let _fault = server.inject(Fault::TooManyRequests { retry_after });
    let fleet = fleet_of(&[&server]);

    let error = fleet.wait_connected(&key("east")).await.unwrap_err();
    assert_eq!(error.to_string(), "cluster east: the server answered with status 429");
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
        // Whoever tried again in silence would succeed.
        let _once = server.inject(fault.times(1));
        let fleet = fleet_of(&[&server]);
        let error = fleet.wait_connected(&key("east")).await.unwrap_err();
        assert_eq!(error.kind(), ConnectErrorKind::Unhealthy, "{error:?}");
        // The fleet tries again by itself.
        until(&fleet, &key("east"), |snapshot| snapshot.is_connected() && snapshot.error.is_none()).await;
    }
}

#[tokio::test]
async fn a_cluster_connects_by_itself_and_is_not_connected_again() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let first = until(&fleet, &key("east"), clientmgr_kube::ClusterSnapshot::is_connected).await.connected_at;
    let requests = server.requests().len();
    assert_eq!(fleet.wait_connected(&key("east")).await.ok(), first);
    fleet.client("east").await.unwrap();
    assert_eq!(server.requests().len(), requests);
}

#[tokio::test]
async fn an_upsert_of_an_equal_configuration_changes_nothing_at_any_rate() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let first = fleet.wait_connected(&key("east")).await.unwrap();
    for _ in 0..1_000 {
        fleet.upsert("east", config(&server, &server.admin()));
        tokio::task::yield_now().await;
    }
    // Its probe is answered after all that was sent before.
    assert_eq!(attempts(&fleet, &server).await, 1);
    assert_eq!(served(&fleet, &key("east")).await.revision, first);
}

#[tokio::test]
async fn a_reconnect_exchanges_the_connection_under_the_same_handle() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let first = fleet.wait_connected(&key("east")).await.unwrap();
    let client = served(&fleet, &key("east")).await.client;
    let marker = server.marker();
    assert_eq!(fleet.reconnect(&key("east")).await.unwrap(), first);
    server.wait_for(Requests::under("/version").since(marker)).await;
    client.apiserver_version().await.unwrap();
    assert_eq!(served(&fleet, &key("east")).await.revision, first);
}

#[tokio::test]
async fn a_reset_gives_a_later_revision_and_fences_the_handle() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let first = fleet.wait_connected(&key("east")).await.unwrap();
    let old = served(&fleet, &key("east")).await.client;
    let second = fleet.reset(&key("east")).await.unwrap();
    assert!(first < second);

    let error = old.apiserver_version().await.unwrap_err();
    let revoked = Revoked::find(&error).expect("a Revoked");
    assert_eq!((&revoked.cluster, revoked.revision, revoked.reason), (&key("east"), first, RevokedReason::Reset));
    let connection = served(&fleet, &key("east")).await;
    assert_eq!(connection.revision, second);
    connection.client.apiserver_version().await.unwrap();
}

#[tokio::test]
async fn a_reconnect_of_a_dead_cluster_fails_and_the_cluster_is_unavailable_soon() {
    let server = server("east").await;
    let fast = Duration::from_millis(50);
    let fleet = add(builder().probe_interval(fast).failure_threshold(2).build(), &[&server]);
    let first = fleet.wait_connected(&key("east")).await.unwrap();
    server.stop().await;
    fleet.reconnect(&key("east")).await.unwrap_err();
    let down = until(&fleet, &key("east"), |snapshot| !snapshot.is_connected()).await;
    assert_eq!(unavailable(&fleet, &key("east")).await.kind(), ConnectErrorKind::Unreachable);
    assert_eq!(down.connected_at, Some(first), "it keeps its revision");
}

#[tokio::test]
async fn a_removed_cluster_is_not_found() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    fleet.wait_connected(&key("east")).await.unwrap();
    assert!(fleet.remove(key("east")));
    assert!(!fleet.remove(key("east")));
    assert_not_found(&fleet, &key("east")).await;
    assert!(fleet.snapshot(key("east")).is_none());
    let error = fleet.wait_connected(&key("east")).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::NotFound);
}

#[tokio::test]
async fn a_cluster_that_was_never_added_is_not_found() {
    assert_not_found(&Fleet::builder().build(), &NamespacedName::new("fleet", "east")).await;
}

async fn assert_not_found(fleet: &Fleet, key: &NamespacedName) {
    assert!(matches!(fleet.connection(key).await.map(|connection| connection.revision), Err(ProviderError::NotFound)));
}

#[tokio::test]
async fn a_configuration_of_another_cluster_is_served_without_a_gap() {
    let (blue, green) = (server("blue").await, server("green").await);
    let fleet = builder().build();
    fleet.upsert("shop", config(&blue, &blue.admin()));
    let first = fleet.wait_connected(&key("shop")).await.unwrap();

    fleet.upsert("shop", config(&green, &green.admin()));
    assert_eq!(served(&fleet, &key("shop")).await.revision, first, "until the other one is proven");
    let later = until(&fleet, &key("shop"), |snapshot| snapshot.connected_at > Some(first)).await;
    assert_eq!(later.identity.unwrap().to_string(), green.kube_system_uid());
    let marker = green.marker();
    let client = served(&fleet, &key("shop")).await.client;
    Api::<Namespace>::all(client).list(&ListParams::default()).await.unwrap();
    green.wait_for(Requests::to("namespaces").since(marker)).await;
}

#[tokio::test]
async fn a_configuration_may_be_a_ready_configuration() {
    let server = server("east").await;
    let config =
        kube::Config::from_custom_kubeconfig(server.kubeconfig(), &KubeConfigOptions::default()).await.unwrap();
    let fleet = builder().build();
    fleet.upsert("east", config);
    fleet.wait_connected(&key("east")).await.unwrap();
}

#[tokio::test]
async fn a_server_without_tls_is_connected() {
    let server = TestServer::builder().name("east").plain_http().start().await.unwrap();
    fleet_of(&[&server]).wait_connected(&key("east")).await.unwrap();
}

#[test]
fn a_client_outlives_the_thread_that_it_was_built_on() {
    // The client's worker must belong to the caller's runtime, not to the thread that built it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = server("east").await;
        let fleet = fleet_of(&[&server]);
        fleet.wait_connected(&key("east")).await.unwrap();
        let client = served(&fleet, &key("east")).await.client;
        client.apiserver_version().await.unwrap();
    });
}

#[tokio::test]
async fn a_fleet_may_have_deadlines_that_never_pass() {
    let server = server("east").await;
    let never = Duration::MAX;
    let fleet = builder().connect_deadline(never).request_deadline(never).retry_after(never).build();
    fleet.upsert("east", config(&server, &server.admin()));
    fleet.wait_connected(&key("east")).await.unwrap();
    fleet.probe(&key("east")).await.unwrap();
    fleet.reconnect(&key("east")).await.unwrap();
}
