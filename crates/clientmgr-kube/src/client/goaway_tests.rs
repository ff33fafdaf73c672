//! Requests of every method on a connection that the server ends with GOAWAY: the frames are written by hand, so that the
//! last stream that the server took is the test's to choose.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, Request};
use kube::Config;
use kube::client::Body;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::auth::testing;
use crate::client::body::BoxError;
use crate::client::{Settings, Transport};
use crate::config::{Credentials, Loaded};

const PATIENCE: Duration = Duration::from_secs(20);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const END_STREAM: u8 = 1;

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

/// What the server does with the second request of its first connection. It answers all others.
#[derive(Clone, Copy)]
enum Second {
    /// GOAWAY with this code, with `last` as the last stream that it took, and the end of the connection.
    GoAway { last: u32, code: u32 },
    /// The stream is reset with this code.
    Reset(u32),
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Starts a server, and returns a transport to it and the number of requests that arrived in full.
async fn start(second: Second) -> (Transport, Arc<AtomicUsize>) {
    let (certificate, key) = testing::certificate("2020-01-01", "2120-01-01");
    let der = |pem: &str| x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents;
    let (certificate, key) = (der(&certificate), der(&key));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key).into();
    let mut tls = tls.with_no_client_auth().with_single_cert(vec![certificate.clone().into()], key).unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::new(format!("https://{}", listener.local_addr().unwrap()).parse().unwrap());
    config.root_cert = Some(vec![certificate]);
    let arrived = Arc::new(AtomicUsize::new(0));
    let arrivals = Arc::clone(&arrived);
    tokio::spawn(async move {
        let mut connections = 0;
        while let Ok((tcp, _)) = listener.accept().await {
            connections += 1;
            let second = (connections == 1).then_some(second);
            // Its error is how the client left.
            let tls = acceptor.accept(tcp).await.unwrap();
            tokio::spawn(serve(tls, second, Arc::clone(&arrivals)));
        }
    });
    let loaded = Loaded::of(config, Credentials::None);
    (Transport::build(&loaded, None, &Settings::default(), None).unwrap(), arrived)
}

async fn serve(
    mut io: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    second: Option<Second>,
    arrivals: Arc<AtomicUsize>,
) -> std::io::Result<()> {
    io.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    let mut preface = [0; 24];
    io.read_exact(&mut preface).await?;
    loop {
        let mut head = [0; 9];
        io.read_exact(&mut head).await?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        io.read_exact(&mut payload).await?;
        let (kind, flags, stream) = (head[3], head[4], u32::from_be_bytes(head[5..9].try_into().unwrap()));
        let answer = match kind {
            SETTINGS if flags == 0 => frame(SETTINGS, 1, 0, &[]),
            HEADERS | DATA if flags & END_STREAM != 0 => {
                arrivals.fetch_add(1, Ordering::SeqCst);
                match second.filter(|_| stream == 3) {
                    Some(Second::GoAway { last, code }) => {
                        let ends = frame(GO_AWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat());
                        io.write_all(&ends).await?;
                        return io.shutdown().await;
                    }
                    Some(Second::Reset(code)) => frame(RESET, 0, stream, &code.to_be_bytes()),
                    // HPACK's index of `:status: 200`, and the end of the headers.
                    None => frame(HEADERS, 4 | END_STREAM, stream, &[0x88]),
                }
            }
            _ => continue,
        };
        io.write_all(&answer).await?;
    }
}

async fn send(transport: &Transport, method: &Method) -> Result<u16, BoxError> {
    let request = Request::builder().method(method).uri("/api").body(Body::from(b"text".to_vec())).unwrap();
    let answer = tokio::time::timeout(PATIENCE, transport.send(request)).await.expect("in time");
    Ok(answer?.status().as_u16())
}

#[tokio::test]
async fn a_request_that_the_server_says_it_did_not_take_is_sent_again_whatever_its_method() {
    for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        for second in [Second::GoAway { last: 1, code: NO_ERROR }, Second::Reset(REFUSED_STREAM)] {
            let (transport, arrived) = start(second).await;
            assert_eq!(send(&transport, &method).await.unwrap(), 200);
            assert_eq!(send(&transport, &method).await.unwrap(), 200, "{method}");
            assert_eq!(arrived.load(Ordering::SeqCst), 3, "{method}: one was sent twice");
        }
    }
}

#[tokio::test]
async fn a_request_that_the_server_may_have_taken_is_not_sent_again() {
    let go_away = |last| Second::GoAway { last, code: NO_ERROR };
    for second in [go_away(3), go_away(u32::MAX >> 1), Second::Reset(CANCEL)] {
        let (transport, arrived) = start(second).await;
        assert_eq!(send(&transport, &Method::POST).await.unwrap(), 200);
        send(&transport, &Method::POST).await.unwrap_err();
        assert_eq!(arrived.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn a_request_on_a_connection_that_ends_with_an_error_of_the_server_is_not_sent_again() {
    let (transport, arrived) = start(Second::GoAway { last: 1, code: INTERNAL_ERROR }).await;
    assert_eq!(send(&transport, &Method::GET).await.unwrap(), 200);
    send(&transport, &Method::GET).await.unwrap_err();
    assert_eq!(arrived.load(Ordering::SeqCst), 2);
}
