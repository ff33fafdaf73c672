//! Connections through proxies: tunnels of HTTP, and SOCKS 5.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use clientmgr_fake::apiserver::TestServer;
use clientmgr_kube::kube::config::Kubeconfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{fleet_with, served, server};
use crate::traffic::{assert_goes_on, list, watch};

/// A proxy on loopback, and what it was asked for.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
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

impl Protocol for Socks5 {
    async fn greet(client: &mut TcpStream) -> (String, String) {
        assert_eq!(client.read_u8().await.unwrap(), 5);
        let methods = client.read_u8().await.unwrap();
        client.read_exact(&mut vec![0; methods.into()]).await.unwrap();
        client.write_all(&[5, 0]).await.unwrap();
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
        (target.clone(), target)
    }
}

impl Proxy {
    async fn start<P: Protocol>() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let notes = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let notes = Arc::clone(&notes);
                tokio::spawn(async move {
                    let (target, note) = P::greet(&mut client).await;
                    notes.lock().unwrap().push(note);
                    let mut host = TcpStream::connect(target).await.unwrap();
                    // An end by a reset is an end as well.
                    let _ = copy_bidirectional(&mut client, &mut host).await;
                });
            }
        });
        Self { address, asked }
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
    let (server, proxy) = (server("east").await, Proxy::start::<Http>().await);
    use_through(&server, format!("http://user:pa%40ss@{}", proxy.address)).await;
    let asked = proxy.asked();
    assert_eq!(asked.len(), 1, "one connection of HTTP/2: {asked:?}");
    assert!(asked[0].starts_with(&format!("CONNECT {} ", server.address())), "{asked:?}");
    assert!(asked[0].to_lowercase().contains("proxy-authorization: basic dxnlcjpwyubzcw=="), "{asked:?}");
}

#[tokio::test]
async fn a_cluster_is_reached_through_a_socks_proxy() {
    let (server, proxy) = (server("east").await, Proxy::start::<Socks5>().await);
    use_through(&server, format!("socks5://{}", proxy.address)).await;
    assert_eq!(proxy.asked(), [server.address().to_string()]);
}
