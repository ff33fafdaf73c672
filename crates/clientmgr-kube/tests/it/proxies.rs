//! Connections through proxies: tunnels of HTTP, and SOCKS 5.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clientmgr_fake::apiserver::TestServer;
use clientmgr_kube::kube::config::Kubeconfig;
use clientmgr_kube::{ClusterConfig, ClusterSnapshot, ConnectErrorKind};
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::support::{builder, fleet_with, served, server, until, within};
use crate::traffic::{assert_goes_on, list, watch};

/// A proxy on loopback, and what it was asked for. It dies with all its tunnels when it is dropped.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _task: AbortOnDropHandle<()>,
}

/// Takes a client's wish off a connection, and answers it: where to, and what is noted of it.
trait Protocol: Send + 'static {
    fn greet(client: &mut TcpStream) -> impl Future<Output = (String, String)> + Send;
}

struct Http;
struct Socks5;

impl Protocol for Http {
    async fn greet(client: &mut TcpStream) -> (String, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert_ne!(client.read_buf(&mut head).await.unwrap(), 0);
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        (target, head)
    }
}

/// One that takes no login.
struct OpenSocks5;

impl Protocol for OpenSocks5 {
    async fn greet(client: &mut TcpStream) -> (String, String) {
        let mut offered = [0; 3];
        client.peek(&mut offered).await.unwrap();
        if offered[2] == 2 {
            client.read_exact(&mut offered).await.unwrap();
            client.write_all(&[5, 0xff]).await.unwrap();
            return ("none".to_owned(), "refused".to_owned());
        }
        Socks5::greet(client).await
    }
}

impl Protocol for Socks5 {
    async fn greet(client: &mut TcpStream) -> (String, String) {
        assert_eq!(client.read_u8().await.unwrap(), 5);
        let mut methods = vec![0; client.read_u8().await.unwrap().into()];
        client.read_exact(&mut methods).await.unwrap();
        let login = if methods.contains(&2) { login(client).await } else { String::new() };
        if login.is_empty() {
            client.write_all(&[5, 0]).await.unwrap();
        }
        let mut request = [0; 4];
        client.read_exact(&mut request).await.unwrap();
        assert_eq!(request[..3], [5, 1, 0]);
        let host = match request[3] {
            1 => {
                let mut address = [0; 4];
                client.read_exact(&mut address).await.unwrap();
                std::net::Ipv4Addr::from(address).to_string()
            }
            3 => {
                let mut name = vec![0; client.read_u8().await.unwrap().into()];
                client.read_exact(&mut name).await.unwrap();
                String::from_utf8(name).unwrap()
            }
            kind => panic!("an address of kind {kind}"),
        };
        let target = format!("{host}:{}", client.read_u16().await.unwrap());
        client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        (target.clone(), login + &target)
    }
}

/// Asks a client of a SOCKS proxy for its user and password (RFC 1929).
async fn login(client: &mut TcpStream) -> String {
    client.write_all(&[5, 2]).await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), 1);
    let mut text = String::new();
    for end in [':', '@'] {
        let mut part = vec![0; client.read_u8().await.unwrap().into()];
        client.read_exact(&mut part).await.unwrap();
        text += &String::from_utf8(part).unwrap();
        text.push(end);
    }
    client.write_all(&[1, 0]).await.unwrap();
    text
}

/// A proxy that answers each request for a tunnel, or each step of a client of SOCKS, with the next of `answers`.
async fn refusing(answers: &'static [&'static [u8]]) -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            for answer in answers {
                let mut asked = Vec::new();
                while client.read_buf(&mut asked).await.is_ok_and(|read| read > 0)
                    && asked.starts_with(b"CONNECT")
                    && !asked.ends_with(b"\r\n\r\n")
                {}
                // The client may be gone.
                let _ = client.write_all(answer).await;
            }
        }
    });
    (address, AbortOnDropHandle::new(task))
}

impl Proxy {
    fn start<P: Protocol>() -> Self {
        Self::start_at::<P>(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    fn start_at<P: Protocol>(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(64).unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let notes = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut tunnels = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let notes = Arc::clone(&notes);
                tunnels.spawn(async move {
                    let (target, note) = P::greet(&mut client).await;
                    notes.lock().unwrap().push(note);
                    let Ok(mut host) = TcpStream::connect(target).await else { return };
                    // An end by a reset is an end as well.
                    let _ = copy_bidirectional(&mut client, &mut host).await;
                });
            }
        });
        Self { address, asked, _task: AbortOnDropHandle::new(task) }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn behind(server: &TestServer, proxy: String) -> Kubeconfig {
    let mut kubeconfig = server.kubeconfig();
    kubeconfig.clusters[0].cluster.as_mut().unwrap().proxy_url = Some(proxy);
    kubeconfig
}

/// Connects through the proxy, sends a request and opens a watch.
async fn use_through(server: &TestServer, proxy: String) {
    let (fleet, east) = fleet_with(&behind(server, proxy));
    fleet.wait_connected(&east).await.unwrap();
    let client = served(&fleet, &east).await.client;
    list(&client).await.unwrap();
    let mut open = watch(server, &client).await;
    assert_goes_on(server, &mut open, "through-the-proxy").await;
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_cluster_is_reached_through_a_tunnel_of_http_with_the_user_of_the_proxy() {
    let (server, proxy) = (server("east").await, Proxy::start::<Http>());
    use_through(&server, format!("http://user:pa%40ss@{}", proxy.address)).await;
    let asked = proxy.asked();
    assert_eq!(asked.len(), 1, "one connection of HTTP/2: {asked:?}");
    assert!(asked[0].starts_with(&format!("CONNECT {} ", server.address())), "{asked:?}");
    assert!(asked[0].to_lowercase().contains("proxy-authorization: basic dxnlcjpwyubzcw=="), "{asked:?}");
}

#[tokio::test]
async fn a_cluster_is_reached_through_a_socks_proxy() {
    let (server, proxy) = (server("east").await, Proxy::start::<Socks5>());
    use_through(&server, format!("socks5://{}", proxy.address)).await;
    assert_eq!(proxy.asked(), [server.address().to_string()]);
}

#[tokio::test]
async fn a_socks_proxy_gets_the_user_and_password_of_its_url() {
    let (server, proxy) = (server("east").await, Proxy::start::<Socks5>());
    use_through(&server, format!("socks5://user:pa%40ss@{}", proxy.address)).await;
    assert_eq!(proxy.asked(), [format!("user:pa@ss@{}", server.address())]);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_in_the_error() {
    let server = server("east").await;
    let answers: [(&str, &[&[u8]], &str); 5] = [
        (
            "http://",
            &[b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"],
            "the proxy refused the user and password",
        ),
        ("http://", &[b"HTTP/1.1 502 Bad Gateway\r\n\r\n"], "the proxy refused or failed the connection"),
        ("socks5://user:password@", &[b"\x05\xff"], "the proxy refused the user and password"),
        ("socks5://user:password@", &[b"\x05\x02", b"\x01\x01"], "the proxy refused the user and password"),
        ("socks5://", &[b"\x05\x00", b"\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00"], "the proxy refused or failed"),
    ];
    for (url, answers, expected) in answers {
        let (address, _proxy) = refusing(answers).await;
        let (fleet, east) = fleet_with(&behind(&server, format!("{url}{address}")));
        let error = within(fleet.wait_connected(&east)).await.unwrap_err();
        assert_eq!(error.kind(), ConnectErrorKind::Unreachable);
        assert!(error.to_string().contains(expected), "{error}");
        fleet.shutdown().await;
    }
}

#[tokio::test]
async fn a_socks_proxy_that_takes_no_login_is_used_without() {
    let (server, proxy) = (server("east").await, Proxy::start::<OpenSocks5>());
    use_through(&server, format!("socks5://user:password@{}", proxy.address)).await;
    assert_eq!(proxy.asked().last(), Some(&server.address().to_string()));
}

#[tokio::test]
async fn a_proxy_that_is_not_reached_is_told_from_a_server_that_is_not() {
    let (server, other) = (server("east").await, server("west").await);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let table = [
        (format!("https://{}", other.address()), ConnectErrorKind::Tls, "the proxy was not reached: the TLS handshake"),
        (format!("http://{closed}"), ConnectErrorKind::Unreachable, "the proxy was not reached: connection refused"),
    ];
    for (proxy, kind, expected) in table {
        let (fleet, east) = fleet_with(&behind(&server, proxy));
        let error = within(fleet.wait_connected(&east)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        fleet.shutdown().await;
    }
}

#[tokio::test]
async fn a_proxy_that_dies_under_open_connections_is_an_outage_and_resets_nothing() {
    let (server, proxy) = (server("east").await, Proxy::start::<Http>());
    let address = proxy.address;
    let fleet = builder().probe_interval(Duration::from_millis(50)).build();
    let kubeconfig = behind(&server, format!("http://{address}"));
    fleet.upsert("east", ClusterConfig::from_kubeconfig(&kubeconfig, "east"));
    let revision = within(fleet.wait_connected("east")).await.unwrap();
    let east = crate::support::key("east");
    let client = served(&fleet, &east).await.client;
    let mut open = watch(&server, &client).await;

    drop(proxy);
    let end = within(open.next()).await;
    assert!(end.is_none_or(|event| event.is_err()), "the watch ends with its tunnel");
    let down = until(&fleet, &east, |now| !now.is_connected()).await;
    assert_eq!((down.connected_at, down.error.unwrap().kind()), (Some(revision), ConnectErrorKind::Unreachable));
    within(list(&client)).await.unwrap_err();

    let _proxy = Proxy::start_at::<Http>(address);
    let up = until(&fleet, &east, ClusterSnapshot::is_connected).await;
    assert_eq!(up.connected_at, Some(revision));
    within(list(&client)).await.unwrap();
    let mut again = watch(&server, &client).await;
    assert_goes_on(&server, &mut again, "after-the-proxy").await;
}
