//! The in-process API server's life: started, stopped, started again, replaced, shut down, with and without a
//! socket, and whatever is thrown at its port.

use std::{collections::BTreeMap, error::Error, net::SocketAddr, time::Duration};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, Client, CustomResourceExt as _,
    api::{ListParams, PostParams, WatchParams},
};
use kube_testserver::{EndReason, InstallError, Replacement, Requests, StartError, TestServer};
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

type Outcome = Result<(), Box<dyn Error>>;

fn map(name: &str) -> ConfigMap {
    let mut map = ConfigMap { data: Some(BTreeMap::from([("k".to_owned(), "v".to_owned())])), ..ConfigMap::default() };
    map.metadata.name = Some(name.to_owned());
    map
}

async fn create(client: &Client, name: &str) -> Result<(), kube::Error> {
    Api::default_namespaced(client.clone()).create(&PostParams::default(), &map(name)).await.map(drop)
}

async fn names(client: &Client) -> Result<Vec<String>, kube::Error> {
    let maps = Api::<ConfigMap>::default_namespaced(client.clone()).list(&ListParams::default()).await?;
    Ok(maps.items.into_iter().filter_map(|map| map.metadata.name).collect())
}

async fn uid(client: &Client) -> Result<Option<String>, kube::Error> {
    let system = Api::<Namespace>::all(client.clone()).get("kube-system").await?;
    Ok(system.metadata.uid)
}

/// What the client does once it has said everything.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Wait,
    HangUp,
}

/// Sends bytes and reads whatever comes back until the server closes.
async fn exchange(address: SocketAddr, bytes: &[u8], then: Then) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(bytes).await?;
    if then == Then::HangUp {
        _ = stream.shutdown().await; // the server may have closed first
    }
    let mut answer = Vec::new();
    _ = stream.read_to_end(&mut answer).await; // a reset is as good an end as another
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn it_starts_with_tls_and_serves_with_no_configuration() -> Outcome {
    let server = TestServer::start_default().await?;
    assert!(server.url().starts_with("https://127.0.0.1:"), "{}", server.url());
    let client = server.client().await?;
    client.apiserver_version().await?;
    create(&client, "a").await?;
    assert_eq!(names(&client).await?, ["a"]);
    assert_eq!(uid(&client).await?, Some(server.kube_system_uid()));
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn it_speaks_plain_http_when_set_to() -> Outcome {
    let server = TestServer::builder().plain_http().start().await?;
    assert!(server.url().starts_with("http://127.0.0.1:"), "{}", server.url());
    create(&server.client().await?, "a").await?;
    let answer =
        exchange(server.address(), b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", Then::Wait).await?;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok"), "{answer}");
    assert!(answer.contains("\r\naudit-id: "), "{answer}");
    server.shutdown().await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_time_of_day_starts_as_set_and_passes_with_tokios_clock() -> Outcome {
    let start: jiff::Timestamp = "2026-01-02T03:04:05Z".parse()?;
    let server = TestServer::builder().time_of_day(start).start_without_socket()?;
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client());
    for (name, hours) in [("a", 0), ("b", 1)] {
        let made = maps.create(&PostParams::default(), &map(name)).await?;
        let now = start + jiff::SignedDuration::from_hours(hours);
        assert_eq!(made.metadata.creation_timestamp.map(|time| time.0), Some(now), "{name}");
        assert_eq!(server.requests().last().map(|request| request.time), Some(now), "{name}");
        tokio::time::advance(Duration::from_secs(3600)).await;
    }
    Ok(())
}

#[tokio::test]
async fn several_servers_are_strangers_to_each_other() -> Outcome {
    let (one, two) = (TestServer::start_default().await?, TestServer::start_default().await?);
    create(&one.client().await?, "a").await?;
    assert!(names(&two.client().await?).await?.is_empty());
    assert_ne!(one.kube_system_uid(), two.kube_system_uid());
    assert_ne!(one.ca_pem(), two.ca_pem());
    Ok(())
}

#[tokio::test]
async fn a_stopped_server_refuses_and_comes_back_as_it_was() -> Outcome {
    let server = TestServer::start_default().await?;
    let (client, url, ca) = (server.client().await?, server.url(), server.ca_pem());
    create(&client, "a").await?;

    server.stop().await;
    server.stop().await;
    assert!(TcpStream::connect(server.address()).await.is_err());
    assert!(names(&client).await.is_err());

    server.start().await?;
    assert!(server.start().await.is_err(), "it runs already");
    assert_eq!((server.url(), server.ca_pem()), (url, ca));
    assert_eq!(names(&client).await?, ["a"], "the same client works again");
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn stopping_cuts_open_watches_and_says_so() -> Outcome {
    let server = TestServer::start_default().await?;
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client().await?);
    let mut events = maps.watch(&WatchParams::default(), "0").await?.boxed();
    server.stop().await;
    while let Some(Ok(_)) = events.next().await {}
    let watch = server.wait_for(Requests::any().verb("watch").ended()).await;
    assert_eq!(watch.ended.map(|ended| ended.reason), Some(EndReason::ServerCut));
    Ok(())
}

#[tokio::test]
async fn shutdown_leaves_no_task_and_no_socket() -> Outcome {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let server = TestServer::builder().plain_http().start().await?;
    let address = server.address();
    let mut idle = TcpStream::connect(address).await?;
    let mut half = TcpStream::connect(address).await?;
    half.write_all(b"GET /livez HT").await?;
    let mut watch = TcpStream::connect(address).await?;
    let token = server.admin().token().unwrap_or_default().to_owned();
    let head = format!("GET /api/v1/configmaps?watch=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    watch.write_all(head.as_bytes()).await?;
    server.wait_for(Requests::any().verb("watch").answered()).await;
    assert!(tasks() > before);

    server.shutdown().await;
    assert_eq!(tasks(), before);
    assert!(TcpStream::connect(address).await.is_err());
    for stream in [&mut idle, &mut half, &mut watch] {
        let mut rest = Vec::new();
        _ = stream.read_to_end(&mut rest).await; // ends: the other side is dropped
    }
    Ok(())
}

#[tokio::test]
async fn dropping_the_server_ends_it() -> Outcome {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let server = TestServer::builder().plain_http().start().await?;
    let service = server.service(server.admin());
    let mut stream = TcpStream::connect(server.address()).await?;
    drop(server);
    let mut rest = Vec::new();
    _ = stream.read_to_end(&mut rest).await;
    while tasks() > before {
        tokio::task::yield_now().await;
    }
    assert!(names(&Client::new(service, "default")).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_replacement_with_the_same_authority_differs_by_identity_and_content_only() -> Outcome {
    let server = TestServer::start_default().await?;
    let client = server.client().await?;
    create(&client, "a").await?;
    let (old_uid, ca) = (server.kube_system_uid(), server.ca_pem());

    server.replace(Replacement::SameCa)?;
    assert_ne!(server.kube_system_uid(), old_uid);
    assert_eq!(server.ca_pem(), ca);
    assert_eq!(uid(&client).await?, Some(server.kube_system_uid()), "the old client gets in");
    assert!(names(&client).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_replacement_with_a_new_authority_accepts_no_old_credential() -> Outcome {
    let server = TestServer::start_default().await?;
    let (old, old_token) = (server.client().await?, server.admin());
    let old_service = Client::new(server.service(old_token), "default");
    create(&old, "a").await?;

    server.replace(Replacement::NewCa)?;
    let refused = names(&old).await.expect_err("another authority signed the certificate");
    assert!(!matches!(refused, kube::Error::Api(_)), "{refused:?}");
    let refused = names(&old_service).await.expect_err("the token is unknown");
    assert!(matches!(&refused, kube::Error::Api(status) if status.code == 401), "{refused:?}");
    assert!(names(&server.client().await?).await?.is_empty());
    Ok(())
}

#[derive(kube::CustomResource, schemars::JsonSchema, serde::Serialize, serde::Deserialize, Clone, Debug)]
#[kube(group = "example.com", version = "v1", kind = "Widget", namespaced)]
struct WidgetSpec {
    size: u32,
}

#[tokio::test]
async fn declared_resources_are_served_and_outlive_a_replacement_without_their_objects() -> Outcome {
    let server = TestServer::builder().install(Widget::crd()).start_without_socket()?;
    let widgets: Api<Widget> = Api::default_namespaced(server.client());
    widgets.create(&PostParams::default(), &Widget::new("w", WidgetSpec { size: 1 })).await?;
    server.replace(Replacement::SameCa)?;
    assert!(widgets.list(&ListParams::default()).await?.items.is_empty());
    server.replace(Replacement::NewCa)?;
    let widgets: Api<Widget> = Api::default_namespaced(server.client());
    assert!(widgets.list(&ListParams::default()).await?.items.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_definition_the_api_refuses_is_an_error_with_its_code() -> Outcome {
    let server = TestServer::builder().start_without_socket()?;
    server.install(Widget::crd())?;
    let twice = server.install(Widget::crd());
    assert!(matches!(twice, Err(InstallError::Refused { code: 409, .. })), "{twice:?}");
    let shapeless = TestServer::builder().install("no definition").start_without_socket();
    assert!(matches!(shapeless, Err(StartError::Install(InstallError::Refused { .. }))), "{shapeless:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn without_a_socket_everything_works_under_a_paused_clock() -> Outcome {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let server = TestServer::builder().start_without_socket()?;
    assert_eq!(tasks(), 0);
    let client = server.client();
    create(&client, "a").await?;
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let mut events = maps.watch(&WatchParams::default(), "0").await?.boxed();
    assert!(events.next().await.is_some_and(|event| event.is_ok()));

    let expiring = server.issue_expiring_token("alice", Duration::from_secs(3600));
    let alice = Client::new(server.service(expiring), "default");
    names(&alice).await?;
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert!(names(&alice).await.is_err(), "the token has expired by the paused clock");

    server.stop();
    assert!(names(&client).await.is_err());
    let ended = server.wait_for(Requests::any().verb("watch").ended());
    let (watch, ()) = tokio::join!(ended, async { while let Some(Ok(_)) = events.next().await {} });
    assert_eq!(watch.ended.map(|ended| ended.reason), Some(EndReason::ServerCut));
    server.start();
    assert_eq!(names(&client).await?, ["a"]);
    Ok(())
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() -> Outcome {
    let timeout = Duration::from_millis(50);
    for builder in [TestServer::builder(), TestServer::builder().plain_http()] {
        let server = builder.head_timeout(timeout).start().await?;
        for bytes in [&b""[..], b"GET /livez HTTP/1.1\r\nHost:", b"\x16\x03\x01"] {
            exchange(server.address(), bytes, Then::Wait).await?; // returns, because the server closes
        }
        server.shutdown().await;
    }
    Ok(())
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_a_bad_request() -> Outcome {
    let server = TestServer::start_default().await?;
    let answer = exchange(server.address(), b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", Then::Wait).await?;
    assert!(answer.starts_with("HTTP/1.0 400 Bad Request\r\n"), "{answer}");
    assert!(answer.ends_with("Client sent an HTTP request to an HTTPS server.\n"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_the_server_lives() -> Outcome {
    let server = TestServer::start_default().await?;
    let client = server.client().await?;
    let mut huge = map("huge");
    huge.data = Some(BTreeMap::from([("k".to_owned(), "x".repeat(3 * 1024 * 1024))]));
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let refused = maps.create(&PostParams::default(), &huge).await.expect_err("too large");
    assert!(
        matches!(&refused, kube::Error::Api(status)
            if status.code == 413 && status.message == "Request entity too large: limit is 3145728"),
        "{refused:?}"
    );
    assert!(names(&client).await?.is_empty());
    Ok(())
}

#[test]
fn garbage_on_the_socket_never_stops_the_server() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let servers = runtime.block_on(async {
        let tls = TestServer::start_default().await.expect("it starts");
        let plain = TestServer::builder().plain_http().start().await.expect("it starts");
        [tls, plain]
    });
    let garbage = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..2048),
        "[A-Z]{1,9} /[ -~]{0,60} HTTP/1\\.[01]\r\n([A-Za-z-]{1,12}: [ -~]{0,30}\r\n){0,5}\r\n[ -~]{0,99}"
            .prop_map(String::into_bytes),
        "(GET|POST|PUT|PATCH|DELETE) /api(s/[a-z.]{1,9})?/v1/[a-z/%?&=]{0,40} HTTP/1.1\r\nHost: x\r\n\r\n"
            .prop_map(String::into_bytes),
    ];
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&garbage, |bytes| {
            runtime.block_on(async {
                for server in &servers {
                    exchange(server.address(), &bytes, Then::HangUp)
                        .await
                        .map_err(|e| TestCaseError::fail(e.to_string()))?;
                }
                Ok(())
            })
        })
        .expect("no bytes keep the server from accepting and closing");
    runtime.block_on(async {
        for server in servers {
            server.client().await.expect("a client").apiserver_version().await.expect("it still serves");
            server.shutdown().await;
        }
    });
}

#[tokio::test]
async fn a_request_names_one_host() -> Outcome {
    let server = TestServer::builder().plain_http().start().await?;
    for (head, expected) in [
        ("HTTP/1.1\r\n", "HTTP/1.1 400 Bad Request"),
        ("HTTP/1.1\r\nHost: x\r\nHost: y\r\n", "HTTP/1.1 400 Bad Request"),
        ("HTTP/1.1\r\nHost:\r\nConnection: close\r\n", "HTTP/1.1 200 OK"),
        ("HTTP/1.0\r\n", "HTTP/1.0 200 OK"),
    ] {
        let bytes = format!("GET /livez {head}\r\n");
        let answer = exchange(server.address(), bytes.as_bytes(), Then::Wait).await?;
        assert!(answer.starts_with(expected), "{head:?}: {answer}");
    }
    Ok(())
}
