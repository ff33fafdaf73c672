//! Compressed answers.

use std::io::Write;

use clientmgr_kube::ClusterConfig;
use clientmgr_kube::kube::Config;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{builder, key, snapshot};

const NAMESPACE: &str = r#"{"kind":"Namespace","metadata":{"name":"kube-system","uid":"u-1"}}"#;

/// Connects to a server that compresses its answer, and returns the head of the request.
async fn head_of_a_request(disable_compression: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    config.disable_compression = disable_compression;
    let answering = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            socket.read_buf(&mut head).await.unwrap();
        }
        let head = String::from_utf8(head).unwrap();
        let accepted = head.to_lowercase().contains("accept-encoding: gzip");
        let (encoding, body) = if accepted { ("gzip", compressed()) } else { ("identity", NAMESPACE.into()) };
        let answer =
            format!("HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: {}\r\n\r\n", body.len());
        socket.write_all(&[answer.into_bytes(), body].concat()).await.unwrap();
        (socket, head)
    };
    let fleet = builder().build();
    fleet.upsert("east", ClusterConfig::from_config(config));
    let east = key("east");
    let (connected, (_open, head)) = futures::future::join(fleet.wait_connected(&east), answering).await;
    connected.unwrap();
    assert_eq!(snapshot(&fleet, &east).identity.unwrap().to_string(), "u-1");
    head.to_lowercase()
}

fn compressed() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(NAMESPACE.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn an_answer_may_be_compressed_unless_the_configuration_says_no() {
    assert!(head_of_a_request(false).await.contains("accept-encoding: gzip"));
    assert!(!head_of_a_request(true).await.contains("accept-encoding"));
}
