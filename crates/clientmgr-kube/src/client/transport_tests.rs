//! Transports against a small server over loopback: HTTP/1.1 and HTTP/2, with TLS and without.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clientmgr_fake::apiserver::TestServer;
use futures::stream::{self, StreamExt};
use http::header::{AUTHORIZATION, CONNECTION, UPGRADE, USER_AGENT};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::Config;
use kube::client::Body;
use rustls::server::WebPkiClientVerifier;
use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use super::Transport;
use crate::ClusterConfig;
use crate::auth::{Token, testing};
use crate::client::body::{BoxError, ResponseBody};
use crate::client::connections::Closed;
use crate::client::{Report, Settings};
use crate::config::{Credentials, Loaded, load};
use crate::error::{Handshake, TransportError, Unreachable, chain};

#[path = "report_tests.rs"]
mod report_tests;

const PATIENCE: Duration = Duration::from_secs(20);

/// What a server demands in the handshake.
enum WantedOfClients {
    Nothing,
    Certificate,
}

/// A server that speaks what ALPN settled.
struct Server {
    url: String,
    ca: Option<Vec<u8>>,
    accepted: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    cut: Arc<Notify>,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    async fn plain() -> Self {
        Self::start(None).await
    }

    async fn tls(alpn: &[&str]) -> Self {
        Self::tls_that_wants(alpn, WantedOfClients::Nothing).await
    }

    async fn tls_that_wants(alpn: &[&str], wanted: WantedOfClients) -> Self {
        let (certificate, key) = testing::certificate("2020-01-01", "2120-01-01");
        let der = |pem: &str| x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents;
        let (certificate, key) = (der(&certificate), der(&key));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match wanted {
            WantedOfClients::Nothing => builder.with_no_client_auth(),
            WantedOfClients::Certificate => {
                let mut authorities = rustls::RootCertStore::empty();
                authorities.add(certificate.clone().into()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(authorities.into(), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let mut config = builder
            .with_single_cert(vec![certificate.clone().into()], rustls::pki_types::PrivatePkcs8KeyDer::from(key).into())
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self::start(Some((TlsAcceptor::from(Arc::new(config)), certificate))).await
    }

    async fn start(tls: Option<(TlsAcceptor, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/prefix", listener.local_addr().unwrap());
        let (acceptor, ca) = tls.unzip();
        let (accepted, open, cut) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<Notify>)>::default();
        let (accepts, opens, cuts) = (Arc::clone(&accepted), Arc::clone(&open), Arc::clone(&cut));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (acceptor, opens, cuts) = (acceptor.clone(), Arc::clone(&opens), Arc::clone(&cuts));
                accepts.fetch_add(1, Ordering::SeqCst);
                opens.fetch_add(1, Ordering::SeqCst);
                connections.spawn(async move {
                    let serving = async {
                        match acceptor {
                            None => serve(tcp, false).await,
                            Some(acceptor) => {
                                let Ok(tls) = acceptor.accept(tcp).await else { return };
                                let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
                                serve(tls, http2).await;
                            }
                        }
                    };
                    tokio::select! { () = serving => {}, () = cuts.notified() => {} }
                    opens.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { url, ca, accepted, open, cut, _task: AbortOnDropHandle::new(task) }
    }

    fn loaded(&self, token: &str) -> Loaded {
        let mut config = Config::new(self.url.parse().unwrap());
        config.root_cert = self.ca.clone().map(|ca| vec![ca]);
        let token = Token::new(&SecretString::from(token)).unwrap();
        Loaded::of(config, Credentials::Token(token))
    }

    fn transport(&self) -> Transport {
        self.with(&Settings::default())
    }

    fn with(&self, settings: &Settings) -> Transport {
        Transport::build(&self.loaded("secret"), None, settings, None).unwrap()
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Waits until `count` connections are open.
    async fn until_open(&self, count: usize) {
        let settled = async {
            while self.open.load(Ordering::SeqCst) != count {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, settled).await.unwrap_or_else(|_| panic!("{} are open", self.open.load(Ordering::SeqCst)));
    }
}

async fn serve(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, http2: bool) {
    let io = TokioIo::new(io);
    // How a connection ends is what the tests look at from the other side.
    if http2 {
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(100)
            .serve_connection(io, service_fn(answer))
            .await;
    } else {
        let serving = hyper::server::conn::http1::Builder::new().serve_connection(io, service_fn(answer));
        let _ = serving.with_upgrades().await;
    }
}

/// What was sent of large answers.
static SENT: AtomicUsize = AtomicUsize::new(0);

type Answer = Response<ResponseBody>;

async fn answer(mut request: Request<Incoming>) -> Result<Answer, Infallible> {
    let full = |text: String| Full::new(Bytes::from(text)).map_err(BoxError::from).boxed_unsync();
    let header = |name| request.headers().get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
    Ok(match request.uri().path() {
        "/prefix/watch" => {
            let first = stream::once(async { Ok(Frame::data(Bytes::from_static(b"event"))) });
            Response::new(StreamBody::new(first.chain(stream::pending())).boxed_unsync())
        }
        "/prefix/large" => {
            let chunk = || async { Ok::<_, BoxError>(Frame::data(Bytes::from(vec![0; 64 * 1024]))) };
            let counted = move || {
                SENT.fetch_add(64 * 1024, Ordering::SeqCst);
                chunk()
            };
            Response::new(StreamBody::new(stream::repeat_with(counted).then(|chunk| chunk)).boxed_unsync())
        }
        "/prefix/silent" => std::future::pending().await,
        "/prefix/upgrade" => {
            let upgrading = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut io = TokioIo::new(upgrading.await.unwrap());
                let mut byte = [0];
                while io.read_exact(&mut byte).await.is_ok() {
                    io.write_all(&byte).await.unwrap();
                }
            });
            let answer = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
            answer.header(CONNECTION, "upgrade").header(UPGRADE, "echo").body(full(String::new())).unwrap()
        }
        path => {
            let text = format!("{:?} {path} {} {}", request.version(), header(AUTHORIZATION), header(USER_AGENT));
            Response::new(full(text))
        }
    })
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

async fn text(transport: &Transport) -> String {
    let answer = transport.send(get("/who")).await.unwrap();
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// A watch of which the first event has arrived.
async fn watch(transport: &Transport) -> ResponseBody {
    let mut body = transport.send(get("/watch")).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "event");
    body
}

fn reports(transport: &Transport) -> Arc<Notify> {
    let broken = Arc::new(Notify::new());
    let report = Arc::clone(&broken);
    transport.on_report(move |it| {
        if it == Report::Broken {
            report.notify_one();
        }
    });
    broken
}

async fn reported(broken: &Notify) {
    timeout(PATIENCE, broken.notified()).await.expect("the broken connection was not reported");
}

#[tokio::test]
async fn requests_carry_the_prefix_the_token_and_the_user_agent() {
    let expected = |version: &str| format!("{version} /prefix/who Bearer secret {}", agent());
    assert_eq!(text(&Server::plain().await.transport()).await, expected("HTTP/1.1"));
    assert_eq!(text(&Server::tls(&[]).await.transport()).await, expected("HTTP/1.1"));
    assert_eq!(text(&Server::tls(&["http/1.1"]).await.transport()).await, expected("HTTP/1.1"));
    assert_eq!(text(&Server::tls(&["h2", "http/1.1"]).await.transport()).await, expected("HTTP/2.0"));
}

fn agent() -> String {
    Settings::default().user_agent.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn http2_can_be_turned_off() {
    let server = Server::tls(&["h2", "http/1.1"]).await;
    let transport = server.with(&Settings { http2: false, ..Settings::default() });
    assert!(text(&transport).await.starts_with("HTTP/1.1 "));
    let mut loaded = server.loaded("secret");
    loaded.config.read_timeout = Some(PATIENCE);
    let transport = Transport::build(&loaded, None, &Settings::default(), None).unwrap();
    assert!(text(&transport).await.starts_with("HTTP/1.1 "), "a timeout on reading would end quiet watches");
}

#[tokio::test]
async fn ten_watches_share_one_connection_of_http2() {
    let server = Server::tls(&["h2"]).await;
    let transport = server.transport();
    text(&transport).await;
    let mut watches = Vec::new();
    for _ in 0..10 {
        watches.push(watch(&transport).await);
    }
    assert_eq!(server.accepted(), 1);
    drop((watches, transport));
    server.until_open(0).await;
}

#[tokio::test]
async fn more_watches_than_a_connection_carries_hold_up_no_request() {
    let server = Server::tls(&["h2"]).await;
    let transport = server.transport();
    let mut watches = Vec::new();
    for _ in 0..300 {
        watches.push(timeout(PATIENCE, watch(&transport)).await.expect("a watch is opened"));
    }
    timeout(PATIENCE, text(&transport)).await.expect("a request is answered");
    assert_eq!(server.accepted(), 4);
    watches.clear();
    text(&transport).await;
    assert_eq!(server.accepted(), 4, "a place that is free is taken");
}

#[tokio::test]
async fn answers_that_are_not_read_hold_up_no_other() {
    let server = Server::tls(&["h2"]).await;
    let transport = server.transport();
    let mut unread = Vec::new();
    for _ in 0..3 {
        unread.push(transport.send(get("/large")).await.unwrap());
    }
    // More than hyper's own window of a connection.
    let filled = async {
        while SENT.load(Ordering::SeqCst) < 10 << 20 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, filled).await.expect("the server sends on");
    timeout(PATIENCE, text(&transport)).await.expect("a request is answered");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_new_token_uses_the_connections_there_are_and_open_watches_go_on() {
    for server in [Server::plain().await, Server::tls(&["h2"]).await] {
        let settings = Settings::default();
        let old = server.with(&settings);
        text(&old).await;
        let accepted = server.accepted();
        let new = Transport::build(&server.loaded("other"), None, &settings, Some(&old)).unwrap();
        assert!(text(&new).await.contains(" Bearer other "));
        assert_eq!(server.accepted(), accepted);

        let mut open = watch(&old).await;
        let mut elsewhere = server.loaded("other");
        elsewhere.config.accept_invalid_certs = true;
        let other = Transport::build(&elsewhere, None, &settings, Some(&new)).unwrap();
        drop((old, new));
        text(&other).await;
        assert!(futures::poll!(std::pin::pin!(open.frame())).is_pending(), "the watch goes on");
        drop(open);
        server.until_open(1).await;
    }
}

#[tokio::test]
async fn a_transport_is_the_same_only_with_the_same_token_and_connections() {
    let server = Server::plain().await;
    let settings = Settings::default();
    let current = server.with(&settings);
    let with = |token| Transport::build(&server.loaded(token), None, &settings, Some(&current)).unwrap();
    assert!(current.is_same(&with("secret")));
    assert!(!current.is_same(&with("other")), "another token on the same connections");
    assert!(!current.is_same(&server.with(&settings)), "the same token on other connections");
}

#[tokio::test]
async fn fresh_means_a_new_connection() {
    let server = Server::tls(&["h2"]).await;
    let transport = server.transport();
    let first = text(&transport).await;
    assert_eq!(text(&transport.fresh()).await, first);
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn closing_ends_watches_requests_and_upgraded_streams_at_once() {
    for server in [Server::plain().await, Server::tls(&["h2", "http/1.1"]).await] {
        let transport = server.transport();
        let broken = reports(&transport);
        let mut open = watch(&transport).await;
        let mut upgraded = upgrade(&transport).await;
        let waiting = tokio::spawn(transport.send(get("/silent")));
        tokio::task::yield_now().await;

        transport.close();
        assert!(timeout(PATIENCE, open.frame()).await.unwrap().unwrap().is_err());
        let error = timeout(PATIENCE, upgraded.read_u8()).await.unwrap().unwrap_err();
        assert!(error.get_ref().unwrap().is::<Closed>(), "{error:?}");
        assert!(waiting.await.unwrap().unwrap_err().is::<Closed>());
        assert!(transport.send(get("/who")).await.unwrap_err().is::<Closed>());
        drop((open, upgraded));
        server.until_open(0).await;
        assert!(futures::poll!(std::pin::pin!(broken.notified())).is_pending(), "closing is no break");
    }
}

async fn upgrade(transport: &Transport) -> TokioIo<hyper::upgrade::Upgraded> {
    let request = Request::get("/upgrade").header(CONNECTION, "upgrade").header(UPGRADE, "echo");
    let answer = transport.send(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut io = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    io.write_all(b"x").await.unwrap();
    assert_eq!(io.read_u8().await.unwrap(), b'x');
    io
}

#[tokio::test]
async fn unused_connections_are_closed_after_the_idle_timeout() {
    let server = Server::plain().await;
    let transport = server.with(&Settings { idle_timeout: Duration::from_millis(100), ..Settings::default() });
    text(&transport).await;
    server.until_open(0).await;
    text(&transport).await;
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_handshake_that_never_ends_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::new(format!("https://{}", listener.local_addr().unwrap()).parse().unwrap());
    config.root_cert = Some(vec![]);
    let loaded = Loaded::of(config, Credentials::None);
    let settings = Settings { connect_timeout: Duration::from_millis(50), ..Settings::default() };
    let transport = Transport::build(&loaded, None, &settings, None).unwrap();
    let error = transport.send(get("/who")).await.unwrap_err();
    assert_eq!(TransportError::new(error).unreached, Unreachable::TimedOut);
}

#[tokio::test]
async fn a_connection_whose_pings_are_not_answered_is_lost_with_its_watches() {
    let server = TestServer::builder().name("east").start().await.unwrap();
    let Ok(loaded) = load(&ClusterConfig::from_kubeconfig(&server.kubeconfig(), "east")) else {
        panic!("a kubeconfig")
    };
    let often = Duration::from_millis(50);
    let settings = Settings { ping_interval: often, ping_timeout: often, ..Settings::default() };
    let transport = Transport::build(&loaded, None, &settings, None).unwrap();
    let broken = reports(&transport);
    let path = "/api/v1/namespaces/default/configmaps?watch=true";
    let mut open = transport.send(get(path)).await.unwrap().into_body();
    server.silence_connections();
    reported(&broken).await;
    let end = timeout(PATIENCE, open.frame()).await.unwrap().expect("an error ends it");
    assert!(end.is_err(), "{end:?}");
    transport.send(get(path)).await.unwrap();
}

#[tokio::test]
async fn errors_keep_their_causes() {
    let server = Server::tls(&["h2"]).await;
    let unreached = |loaded: Loaded| async move {
        let transport = Transport::build(&loaded, None, &Settings::default(), None).unwrap();
        TransportError::new(transport.send(get("/who")).await.unwrap_err()).unreached
    };
    let mut distrusted = server.loaded("secret");
    distrusted.config.root_cert = Some(vec![]);
    assert_eq!(unreached(distrusted).await, Unreachable::Tls(Handshake::UnknownAuthority));
    let mut refused = server.loaded("secret");
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    refused.config.cluster_url = format!("https://{closed}").parse().unwrap();
    assert_eq!(unreached(refused).await, Unreachable::Refused);
}

/// With TLS 1.3 the refusal comes after the handshake of this side.
#[tokio::test]
async fn a_server_that_refuses_the_client_certificate_is_understood_over_http_1_and_2() {
    for alpn in [["http/1.1"], ["h2"]] {
        let server = Server::tls_that_wants(&alpn, WantedOfClients::Certificate).await;
        // It may reach the request in several ways, by chance.
        for _ in 0..50 {
            let error = server.transport().send(get("/who")).await.unwrap_err();
            let texts: Vec<_> = chain(&*error).map(ToString::to_string).collect();
            let expected = Unreachable::Tls(Handshake::ClientCertificate);
            assert_eq!(TransportError::new(error).unreached, expected, "{alpn:?}: {texts:?}");
        }
    }
}

#[tokio::test]
async fn connections_run_on_the_runtime_that_built_the_transport() {
    let server = Server::plain().await;
    let transport = server.transport();
    let sender = transport.clone();
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(text(&sender))
    });
    let first = tokio::task::spawn_blocking(move || elsewhere.join().unwrap()).await.unwrap();
    assert_eq!(text(&transport).await, first);
    assert_eq!(server.accepted(), 1, "the connection outlives the runtime that asked for it");
}

#[test]
fn outside_a_runtime_there_is_no_transport() {
    let config = Config::new("http://127.0.0.1:1".parse().unwrap());
    let loaded = Loaded::of(config, Credentials::None);
    let built = Transport::build(&loaded, None, &Settings::default(), None);
    assert!(matches!(built, Err(crate::error::Failure::NoRuntime)));
}
