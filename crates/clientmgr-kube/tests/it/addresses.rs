//! Servers and proxies that would be spoken to somewhere else, or shown where requests are traced.

use clientmgr_kube::kube::Config;
use clientmgr_kube::{ClusterConfig, ConnectErrorKind};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::support::{assert_refused, builder, everything, failure, key, kubeconfig};

const SERVER: &str = "clusters[0].cluster.server";
const PROXY: &str = "clusters[0].cluster.proxy-url";

/// Asserts what is wrong with a server, in a kubeconfig and in a ready configuration alike.
async fn assert_server_refused(server: &str, text: &str) {
    let fleet = builder().build();
    fleet.upsert("east", ClusterConfig::from_config(Config::new(server.parse().unwrap())));
    let error = fleet.wait_connected(&key("east")).await.unwrap_err();
    let of_kubeconfig = kubeconfig(|cluster, _| cluster.server = Some(server.into()));
    let told = [everything(&error), everything(&failure(&of_kubeconfig).await)].concat();
    assert!(!told.contains("sesame"), "{told}");
    assert!(error.needs_other_config());
    assert_eq!(error.kind(), ConnectErrorKind::InvalidConfig);
    assert_eq!(error.to_string(), format!("cluster east: {text}"));
    assert_refused(&of_kubeconfig, ConnectErrorKind::InvalidConfig, SERVER, text).await;
}

#[tokio::test]
async fn a_password_in_the_server_is_refused_before_anything_is_sent() {
    for server in ["https://me:sesame@127.0.0.1:1", "http://sesame@127.0.0.1:1"] {
        let text = "the server's URL holds a user or a password: use a token or a certificate";
        assert_server_refused(server, text).await;
    }
}

#[tokio::test]
async fn a_query_of_the_server_is_not_dropped() {
    let text = "the server's URL holds a query or a fragment";
    assert_server_refused("https://127.0.0.1:1?key=sesame", text).await;
    let fragment = kubeconfig(|cluster, _| cluster.server = Some("https://127.0.0.1:1/#sesame".into()));
    assert_refused(&fragment, ConnectErrorKind::InvalidConfig, SERVER, text).await;
}

#[tokio::test]
async fn a_port_beyond_the_last_is_an_error_and_not_the_usual_port() {
    let text = "the server is not a URL with a scheme, a host and, if any, a port from 1 to 65535";
    for server in ["https://127.0.0.1:65536", "https://127.0.0.1:99999999999", "http://127.0.0.1:0"] {
        assert_server_refused(server, text).await;
    }
    // Without the feature no proxy is looked at.
    let text = if cfg!(feature = "http-proxy") {
        "the proxy is not a URL with a host and, if any, a port from 1 to 65535"
    } else {
        "the proxy needs the feature http-proxy"
    };
    for proxy in ["http://127.0.0.1:65536", "http://me:sesame@127.0.0.1:99999999999"] {
        let with_proxy = kubeconfig(|cluster, _| cluster.proxy_url = Some(proxy.into()));
        assert_refused(&with_proxy, ConnectErrorKind::InvalidConfig, PROXY, text).await;
    }
}

#[tokio::test]
async fn a_host_that_is_no_name_needs_another_configuration() {
    for server in ["https://a..b:1", "http://a..b:1"] {
        assert_server_refused(server, "the server's host is neither a host name nor an IP address").await;
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_without_an_answer_cuts_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let kubeconfig = kubeconfig(|cluster, _| cluster.server = Some(server));
    let hanging_up = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        // All of it: a server that leaves something unread resets the connection.
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "the request was cut");
        }
    };
    let (error, ()) = futures::future::join(failure(&kubeconfig), hanging_up).await;
    assert_eq!(error.kind(), ConnectErrorKind::Unreachable);
    assert_eq!(error.to_string(), "cluster east: the server was not reached: the connection was cut");
}
