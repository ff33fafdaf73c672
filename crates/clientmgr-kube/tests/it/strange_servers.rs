//! What answers on the internet: redirects, pages, other protocols, answers without an end. Each is an error of its kind
//! within the deadline, and a cluster that answers so after it was connected comes back under its revision.

use std::time::Duration;

use clientmgr_kube::{ClusterConfig, ConnectErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{PATIENCE, SOON, Turn, builder, key, kubeconfig, server, snapshot, within};

/// What a server does with each connection, once a request has begun to arrive.
#[derive(Clone, Copy)]
enum Answer {
    Bytes(&'static [u8]),
    /// The same bytes again and again, many at a time.
    Endless(&'static [u8], &'static [u8]),
    Reset,
}

async fn strange(answer: Answer) -> ClusterConfig {
    let url = format!("http://{}", strange_at(answer).await);
    ClusterConfig::from_kubeconfig(&kubeconfig(|cluster, _| cluster.server = Some(url)), "east")
}

async fn strange_at(answer: Answer) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut visitor, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = visitor.read_u8().await;
                // The visitor may leave at any time.
                match answer {
                    Answer::Bytes(bytes) => {
                        let _ = visitor.write_all(bytes).await;
                        let _ = visitor.read_to_end(&mut Vec::new()).await;
                    }
                    Answer::Endless(head, again) => {
                        let _ = visitor.write_all(head).await;
                        let again = again.repeat(1_000);
                        while visitor.write_all(&again).await.is_ok() {
                            tokio::task::yield_now().await;
                        }
                    }
                    Answer::Reset => visitor.set_zero_linger().unwrap(),
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn whatever_answers_is_an_error_of_its_kind_within_the_deadline() {
    use Answer::{Bytes, Endless, Reset};
    use ConnectErrorKind::{NotKubernetes, Timeout, Unhealthy, Unreachable};
    const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>";
    const MOVED: &[u8] = b"HTTP/1.1 302 Found\r\nlocation: https://login.example.com/\r\ncontent-length: 0\r\n\r\n";
    const NUMBER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n42";
    const NOTHING: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
    const TEAPOT: &[u8] = b"HTTP/1.1 418 I'm a teapot\r\ncontent-length: 0\r\n\r\n";
    const LONG: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let table = [
        (Bytes(PAGE), NotKubernetes),
        (Bytes(MOVED), NotKubernetes),
        (Bytes(NUMBER), NotKubernetes),
        (Bytes(NOTHING), NotKubernetes),
        (Bytes(TEAPOT), Unhealthy),
        (Bytes(b"SSH-2.0-OpenSSH_9.9\r\n"), NotKubernetes),
        (Bytes(b"\x15\x03\x01\x00\x02\x02\x16"), NotKubernetes),
        (Bytes(b""), Timeout),
        (Bytes(b"HTTP/1.1 200 OK\r\ncontent-le"), Timeout),
        (Endless(LONG, b"                "), NotKubernetes),
        (Endless(CHUNKED, b"4\r\n    \r\n"), NotKubernetes),
        (Endless(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"), NotKubernetes),
        (Endless(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"), Timeout),
        (Reset, Unreachable),
    ];
    let mut wrong = Vec::new();
    for (number, (answer, kind)) in table.into_iter().enumerate() {
        let deadline = if kind == Timeout { SOON } else { PATIENCE };
        let fleet = builder().request_deadline(deadline).build();
        fleet.upsert("east", strange(answer).await);
        let error = within(fleet.wait_connected("east")).await.unwrap_err();
        if error.kind() != kind {
            wrong.push(format!("{number}: {:?} {error}", error.kind()));
        }
        within(fleet.shutdown()).await;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_server_at_an_address_of_ipv6_is_connected() {
    let server = server("east").await;
    let turn = Turn::start_at("[::1]:0", server.address()).await;
    let url = format!("https://{}", turn.address);
    let mut kubeconfig = server.kubeconfig();
    let cluster = kubeconfig.clusters[0].cluster.as_mut().unwrap();
    // Its certificate is for the other address.
    (cluster.server, cluster.tls_server_name) = (Some(url), Some("127.0.0.1".into()));
    let fleet = builder().build();
    fleet.upsert("east", ClusterConfig::from_kubeconfig(&kubeconfig, "east"));
    within(fleet.wait_connected("east")).await.unwrap();
    assert_eq!(snapshot(&fleet, &key("east")).identity.unwrap().to_string(), server.kube_system_uid());
}

#[tokio::test]
async fn a_proxy_that_answers_404_in_the_place_of_the_cluster_is_an_outage() {
    const NO_BACKEND: &[u8] = b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let server = clientmgr_fake::apiserver::TestServer::builder().name("east").plain_http().start().await.unwrap();
    let proxy = strange_at(Answer::Bytes(NO_BACKEND)).await;
    let turn = Turn::start(server.address()).await;
    let mut kubeconfig = server.kubeconfig();
    kubeconfig.clusters[0].cluster.as_mut().unwrap().server = Some(format!("http://{}", turn.address));
    let fleet = builder().probe_interval(Duration::from_millis(50)).build();
    fleet.upsert("east", ClusterConfig::from_kubeconfig(&kubeconfig, "east"));
    let first = within(fleet.wait_connected("east")).await.unwrap();
    turn.to(proxy);
    server.cut_connections();
    let down = crate::support::until(&fleet, &key("east"), |now| !now.is_connected()).await;
    assert_eq!((down.connected_at, down.error.unwrap().kind()), (Some(first), ConnectErrorKind::NotKubernetes));
    turn.to(server.address());
    let up = crate::support::until(&fleet, &key("east"), clientmgr_kube::ClusterSnapshot::is_connected).await;
    assert_eq!(up.connected_at, Some(first));
}

#[tokio::test]
async fn a_server_by_a_name_with_several_addresses_is_connected_and_reached_again_after_a_cut() {
    let server = server("east").await;
    let turn = Turn::start(server.address()).await;
    let mut kubeconfig = server.kubeconfig();
    let cluster = kubeconfig.clusters[0].cluster.as_mut().unwrap();
    // Its first address may be that of IPv6, where no server listens.
    let url = format!("https://localhost:{}", turn.address.port());
    (cluster.server, cluster.tls_server_name) = (Some(url), Some("127.0.0.1".into()));
    let fleet = builder().build();
    fleet.upsert("east", ClusterConfig::from_kubeconfig(&kubeconfig, "east"));
    let revision = within(fleet.wait_connected("east")).await.unwrap();
    server.cut_connections();
    within(fleet.probe("east")).await.unwrap();
    assert_eq!(within(fleet.wait_connected("east")).await.unwrap(), revision);
}

#[tokio::test]
async fn another_authority_at_the_same_address_is_an_error_of_tls_and_the_new_one_is_taken_up() {
    let (old, new) = (server("east").await, server("east").await);
    let fleet = builder().probe_interval(Duration::from_millis(50)).build();
    let turn = Turn::start(old.address()).await;
    let address = turn.address;
    let at_door = |server: &clientmgr_fake::apiserver::TestServer| {
        let mut kubeconfig = server.kubeconfig();
        kubeconfig.clusters[0].cluster.as_mut().unwrap().server = Some(format!("https://{address}"));
        ClusterConfig::from_kubeconfig(&kubeconfig, "east")
    };
    fleet.upsert("east", at_door(&old));
    let first = within(fleet.wait_connected("east")).await.unwrap();
    turn.to(new.address());
    old.cut_connections();
    let down = crate::support::until(&fleet, &key("east"), |now| !now.is_connected()).await;
    assert_eq!(down.error.unwrap().kind(), ConnectErrorKind::Tls);
    assert_eq!(down.connected_at, Some(first), "nothing proves yet that it is another cluster");

    fleet.upsert("east", at_door(&new));
    let now = crate::support::until(&fleet, &key("east"), clientmgr_kube::ClusterSnapshot::is_connected).await;
    assert!(now.connected_at > Some(first), "it is another one");
}
