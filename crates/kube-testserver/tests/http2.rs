//! HTTP/2 to the in-process API server, and what faults mean on a connection that many requests share.

use std::{collections::BTreeSet, error::Error, time::Duration};

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, future::join_all, stream::BoxStream};
use http::Version;
use http_body_util::BodyStream;
use hyper_util::{client::legacy, rt::TokioExecutor};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{ListParams, PostParams, WatchEvent, WatchParams},
    client::{Body, ConfigExt as _},
    config::{KubeConfigOptions, Kubeconfig},
};
use kube_testserver::{EndReason, Fault, Replacement, RequestRecord, Requests, TestServer, TestServerBuilder};
use tokio::time::error::Elapsed;
use tower::{BoxError, ServiceBuilder};

type Outcome = Result<(), Box<dyn Error>>;

const DEADLINE: Duration = Duration::from_secs(20);

/// A kube client that speaks the HTTP version that the server prefers, with one connection for HTTP/2.
async fn client_of(kubeconfig: Kubeconfig) -> Result<Client, Box<dyn Error>> {
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(config.rustls_client_config()?)
        .https_only()
        .enable_all_versions()
        .build();
    let transport = legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .map_err(BoxError::from)
        .service(transport);
    Ok(Client::new(service, config.default_namespace))
}

async fn start() -> Result<(TestServer, Client), Box<dyn Error>> {
    start_with(TestServer::builder()).await
}

async fn start_with(builder: TestServerBuilder) -> Result<(TestServer, Client), Box<dyn Error>> {
    let server = builder.start().await?;
    // Installs the crypto provider that the client below needs too.
    server.client().await?;
    let client = client_of(server.kubeconfig()).await?;
    Ok((server, client))
}

fn maps(client: &Client) -> Api<ConfigMap> {
    Api::default_namespaced(client.clone())
}

async fn list(client: &Client) -> kube::Result<()> {
    maps(client).list(&ListParams::default()).await.map(drop)
}

async fn create(client: &Client, name: &str) -> kube::Result<()> {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    maps(client).create(&PostParams::default(), &map).await.map(drop)
}

type Events = BoxStream<'static, kube::Result<WatchEvent<ConfigMap>>>;

/// An open watch of the config maps from the beginning.
async fn watch(client: &Client) -> kube::Result<Events> {
    Ok(maps(client).watch(&WatchParams::default(), "0").await?.boxed())
}

/// Waits until a watch shows another object.
async fn added(events: &mut Events) -> Outcome {
    while !matches!(events.try_next().await?.ok_or("the watch goes on")?, WatchEvent::Added(_)) {}
    Ok(())
}

/// Waits for the end of a watch.
async fn over(events: &mut Events) -> Result<(), Elapsed> {
    tokio::time::timeout(DEADLINE, async { while let Some(Ok(_)) = events.next().await {} }).await
}

fn connections(server: &TestServer) -> BTreeSet<u64> {
    server.requests().iter().map(|record| record.connection).collect()
}

async fn reason(server: &TestServer, verb: &str) -> Option<EndReason> {
    let ended = server.wait_for(Requests::any().verb(verb).ended()).await;
    ended.ended.map(|ended| ended.reason)
}

/// The bytes of an answer's body that arrive, and whether it breaks off.
async fn received(client: &Client, path: &str) -> Result<(usize, bool), Box<dyn Error>> {
    let response = client.send(http::Request::get(path).body(Body::empty())?).await?;
    assert_eq!(response.status(), 200);
    let mut body = BodyStream::new(response.into_body());
    let mut received = 0;
    while let Some(frame) = body.next().await {
        let Ok(frame) = frame else { return Ok((received, true)) };
        received += frame.into_data().map_or(0, |data| data.len());
    }
    Ok((received, false))
}

#[tokio::test]
async fn requests_and_watches_share_one_connection() -> Outcome {
    let (server, client) = start().await?;
    let mut events = watch(&client).await?;
    let names: Vec<_> = (0..20).map(|index| format!("map-{index}")).collect();
    for created in join_all(names.iter().map(|name| create(&client, name))).await {
        created?;
    }
    let mut seen = BTreeSet::new();
    while seen.len() < names.len() {
        if let Some(WatchEvent::Added(map)) = events.try_next().await? {
            seen.extend(map.metadata.name);
        }
    }
    assert_eq!(seen, names.into_iter().collect());
    assert_eq!(connections(&server).len(), 1);
    assert!(server.requests().iter().all(|record| record.http_version == Version::HTTP_2));
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn a_server_set_to_http1_speaks_nothing_else() -> Outcome {
    let (server, client) = start_with(TestServer::builder().http1_only()).await?;
    list(&client).await?;
    assert_eq!(server.requests()[0].http_version, Version::HTTP_11);
    Ok(())
}

#[tokio::test]
async fn a_client_that_offers_only_http1_is_served_beside_one_that_prefers_http2() -> Outcome {
    let (server, client) = start().await?;
    list(&client).await?;
    list(&server.client().await?).await?;
    let versions: Vec<_> = server.requests().iter().map(|record| record.http_version).collect();
    assert_eq!(versions, [Version::HTTP_2, Version::HTTP_11]);
    Ok(())
}

#[tokio::test]
async fn a_client_certificate_is_that_of_every_request_on_the_connection() -> Outcome {
    let (server, _) = start().await?;
    let certificate = server.issue_certificate("alice", DEADLINE)?;
    let alice = client_of(server.kubeconfig_for(&certificate)).await?;
    for _ in 0..2 {
        list(&alice).await?;
    }
    let users: Vec<_> = server.requests().iter().map(|record| record.user.clone()).collect();
    assert_eq!(users, [Some("alice".to_owned()), Some("alice".to_owned())]);
    assert_eq!(connections(&server).len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_reset_ends_one_request_and_no_other() -> Outcome {
    let (server, client) = start().await?;
    create(&client, "a").await?;
    let mut events = watch(&client).await?;
    added(&mut events).await?;
    server.inject(Fault::Reset.on(Requests::any().verb("list")).times(1));
    let outcome = list(&client).await;
    assert!(matches!(outcome, Err(kube::Error::HyperError(_) | kube::Error::Service(_))), "{outcome:?}");
    assert_eq!(reason(&server, "list").await, Some(EndReason::Fault));

    create(&client, "b").await?;
    added(&mut events).await?;
    assert_eq!(connections(&server).len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_closed_connection_ends_every_request_on_it() -> Outcome {
    let (server, client) = start().await?;
    let mut events = watch(&client).await?;
    server.inject(Fault::CloseConnection.on(Requests::any().verb("list")).times(1));
    assert!(list(&client).await.is_err());
    assert_eq!(reason(&server, "list").await, Some(EndReason::Fault));
    over(&mut events).await?;
    assert_eq!(reason(&server, "watch").await, Some(EndReason::ServerCut));

    list(&client).await?;
    assert_eq!(connections(&server).len(), 2, "the client has connected anew");
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_cut_arrives_in_part_and_its_connection_goes_on() -> Outcome {
    let (server, client) = start().await?;
    let whole = received(&client, "/api/v1/namespaces").await?;
    server.inject(Fault::CutBody.times(1));
    assert_eq!(received(&client, "/api/v1/namespaces").await?, (whole.0 / 2, true));
    assert_eq!(received(&client, "/api/v1/namespaces").await?, whole);
    assert_eq!(connections(&server).len(), 1);
    Ok(())
}

#[tokio::test]
async fn an_unanswered_request_holds_up_no_other() -> Outcome {
    let (server, client) = start().await?;
    server.inject(Fault::NeverAnswer.on(Requests::any().verb("list")).times(1));
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { list(&client).await }
    });
    server.wait_for(Requests::any().verb("list")).await;
    create(&client, "a").await?;
    assert!(!waiting.is_finished());
    assert_eq!(connections(&server).len(), 1);

    waiting.abort();
    assert_eq!(reason(&server, "list").await, Some(EndReason::ClientGone), "the client has reset the stream");
    Ok(())
}

#[tokio::test]
async fn a_watch_that_its_client_drops_ends_though_the_connection_stays() -> Outcome {
    let (server, client) = start().await?;
    drop(watch(&client).await?);
    assert_eq!(reason(&server, "watch").await, Some(EndReason::ClientGone));
    list(&client).await?;
    assert_eq!(connections(&server).len(), 1);
    Ok(())
}

#[tokio::test]
async fn watches_are_ended_and_cut_short_one_by_one() -> Outcome {
    let (server, client) = start().await?;
    create(&client, "a").await?;
    let mut ended = watch(&client).await?;
    added(&mut ended).await?;
    assert_eq!(server.end_watches(&Requests::to("configmaps")), 1);
    while ended.try_next().await?.is_some() {}

    server.inject(Fault::CutBody.on(Requests::any().verb("watch")).times(1));
    assert!(!matches!(watch(&client).await?.next().await, Some(Ok(_))), "half an event is none");
    list(&client).await?;
    assert_eq!(connections(&server).len(), 1);
    Ok(())
}

#[tokio::test]
async fn cutting_the_connections_ends_all_that_is_under_way() -> Outcome {
    let (server, client) = start().await?;
    let mut events = [watch(&client).await?, watch(&client).await?];
    server.cut_connections();
    for events in &mut events {
        over(events).await?;
    }
    list(&client).await?;
    let watches = server.requests_matching(Requests::any().verb("watch").ended());
    let reasons: Vec<_> = watches.iter().filter_map(|watch| watch.ended).map(|ended| ended.reason).collect();
    assert_eq!(reasons, [EndReason::ServerCut; 2]);
    assert_eq!(connections(&server).len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_replaced_cluster_is_reached_on_a_new_connection_only() -> Outcome {
    let (server, client) = start().await?;
    let old = server.kube_system_uid();
    let mut events = watch(&client).await?;
    server.replace(Replacement::SameCa)?;
    over(&mut events).await?;
    list(&client).await?;
    let uids: Vec<_> = server.requests().iter().map(|record| record.cluster_uid.to_string()).collect();
    assert_eq!(uids, [old, server.kube_system_uid()]);
    assert_eq!(connections(&server).len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_stopped_server_has_no_task_of_a_connection_left() -> Outcome {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let (server, client) = start().await?;
    server.inject(Fault::NeverAnswer.on(Requests::any().verb("list")));
    let mut events = watch(&client).await?;
    let (outcome, ()) = tokio::join!(list(&client), async {
        server.wait_for(Requests::any().verb("list")).await;
        server.stop().await;
    });
    assert!(outcome.is_err());
    over(&mut events).await?;
    drop((events, client));
    // The client's own tasks end a little later; the server's have ended.
    while tasks() > 0 {
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// A connection that goes silent, over either version: nothing that is sent on it is answered or logged, it stays open, and
/// a new connection is served.
async fn goes_silent(server: TestServer, old: Client, new: Client) -> Outcome {
    let mut events = watch(&old).await?;
    create(&old, "a").await?;
    added(&mut events).await?;
    server.silence_connections();
    let marker = server.marker();
    let lost = tokio::spawn({
        let client = old.clone();
        async move { list(&client).await }
    });
    create(&new, "b").await?;
    list(&new).await?;
    assert!(!lost.is_finished(), "neither an answer nor an error");
    assert!(events.next().now_or_never().is_none(), "neither an event nor an end");
    let verbs: Vec<_> =
        server.requests_matching(Requests::any().since(marker)).iter().map(RequestRecord::verb).collect();
    assert_eq!(verbs, ["create", "list"], "the requests of the new connection");

    server.cut_connections();
    over(&mut events).await?;
    assert_eq!(reason(&server, "watch").await, Some(EndReason::ServerCut));
    lost.abort();
    list(&old).await?;
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn an_http2_connection_goes_silent_with_all_its_requests() -> Outcome {
    let (server, client) = start().await?;
    let new = client_of(server.kubeconfig()).await?;
    goes_silent(server, client, new).await
}

/// Kube's own client keeps a connection for each request under way. The watch holds the one that goes silent, and so does
/// the idle one behind the list.
#[tokio::test]
async fn an_http1_connection_goes_silent() -> Outcome {
    for builder in [TestServer::builder(), TestServer::builder().plain_http()] {
        let server = builder.start().await?;
        let (old, new) = (server.client().await?, server.client().await?);
        goes_silent(server, old, new).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_a_silent_connection_is_noticed() -> Outcome {
    let (server, client) = start().await?;
    let events = watch(&client).await?;
    server.silence_connections();
    drop((events, client));
    assert_eq!(reason(&server, "watch").await, Some(EndReason::ClientGone));
    Ok(())
}
