//! Every fault of the in-process API server, as kube's own client meets it.

use std::{error::Error, time::Duration};

use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{ListParams, PostParams, WatchEvent, WatchParams},
};
use kube_testserver::{ConnectionFault, EndReason, Fault, NeedsTls, Requests, TestServer};

type Outcome = Result<(), Box<dyn Error>>;

const DEADLINE: Duration = Duration::from_secs(20);

async fn list(client: &Client) -> Result<(), kube::Error> {
    Api::<ConfigMap>::default_namespaced(client.clone()).list(&ListParams::default()).await.map(drop)
}

async fn create(client: &Client, name: &str) -> Result<(), kube::Error> {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    Api::default_namespaced(client.clone()).create(&PostParams::default(), &map).await.map(drop)
}

async fn readyz(client: &Client) -> Result<String, Box<dyn Error>> {
    Ok(client.request_text(http::Request::get("/readyz").body(Vec::new())?).await?)
}

async fn reason(server: &TestServer<impl Sized>, verb: &str) -> Option<EndReason> {
    let ended = server.wait_for(Requests::any().verb(verb).ended()).await;
    ended.ended.map(|ended| ended.reason)
}

fn code(outcome: Result<(), kube::Error>) -> Option<u16> {
    match outcome {
        Err(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

#[tokio::test]
async fn a_fault_for_a_count_passes_with_and_without_a_socket() -> Outcome {
    let (socket, bare) = (TestServer::start_default().await?, TestServer::builder().start_without_socket()?);
    for client in [socket.client().await?, bare.client()] {
        for (fault, expected) in [
            (Fault::Unauthorized, 401),
            (Fault::Forbidden, 403),
            (Fault::TooManyRequests { retry_after: Duration::from_secs(7) }, 429),
            (Fault::Conflict, 409),
            (Fault::status(422, "Invalid", "refused by a webhook"), 422),
            (Fault::InternalError, 500),
            (Fault::Unavailable, 503),
            (Fault::ExpiredResourceVersion, 410),
        ] {
            socket.inject(fault.clone().times(2));
            bare.inject(fault.clone().times(2));
            for _ in 0..2 {
                assert_eq!(code(list(&client).await), Some(expected), "{fault:?}");
            }
            list(&client).await?;
            // Whichever server this client is not on still has its two; use them up.
            for other in [socket.client().await?, bare.client()] {
                for _ in 0..2 {
                    _ = list(&other).await;
                }
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_503_comes_in_the_three_forms_found_in_the_wild() -> Outcome {
    let server = TestServer::start_default().await?;
    let client = server.client().await?;
    for fault in [Fault::Unavailable, Fault::UnavailablePlainText, Fault::UnavailableBrokenJson] {
        server.inject(fault.clone().times(1));
        let request = http::Request::get("/version").body(kube::client::Body::empty())?;
        assert_eq!(client.send(request).await?.status(), 503, "{fault:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_fault_meets_only_whom_it_is_for_until_lifted() -> Outcome {
    let server = TestServer::start_default().await?;
    let admin = server.client().await?;
    let alice = server.client_for(&server.issue_token("alice")).await?;
    let fault = server.inject(Fault::InternalError.on(Requests::to("configmaps").user("alice")));
    assert_eq!(code(list(&alice).await), Some(500));
    alice.apiserver_version().await?;
    list(&admin).await?;
    fault.lift();
    list(&alice).await?;
    assert_eq!(fault.hits(), 1);
    Ok(())
}

#[tokio::test]
async fn a_fault_for_everybody_meets_a_refused_credential_first() -> Outcome {
    let server = TestServer::start_default().await?;
    let token = server.issue_token("alice");
    let alice = server.client_for(&token).await?;
    server.revoke(token.fingerprint());
    server.inject(Fault::Unavailable.times(1));
    assert_eq!(code(list(&alice).await), Some(503));
    assert_eq!(code(list(&alice).await), Some(401));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_delay_lasts_as_long_as_it_says() -> Outcome {
    let server = TestServer::builder().start_without_socket()?;
    server.inject(Fault::Delay(Duration::from_secs(30)));
    let before = tokio::time::Instant::now();
    list(&server.client()).await?;
    assert_eq!(before.elapsed().as_secs(), 30);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_never_comes() -> Outcome {
    let server = TestServer::builder().start_without_socket()?;
    let fault = server.inject(Fault::NeverAnswer);
    let client = server.client();
    let year = Duration::from_secs(365 * 24 * 3600);
    assert!(tokio::time::timeout(year, list(&client)).await.is_err());
    assert_eq!(reason(&server, "list").await, Some(EndReason::ClientGone));
    fault.lift();
    list(&client).await?;
    Ok(())
}

#[tokio::test]
async fn an_unanswered_request_ends_with_the_connection() -> Outcome {
    let server = TestServer::start_default().await?;
    let client = server.client().await?;
    server.inject(Fault::NeverAnswer.on(Requests::any().verb("list")).times(1));
    let (outcome, ()) = tokio::join!(list(&client), async {
        server.wait_for(Requests::any().verb("list")).await;
        server.cut_connections();
    });
    assert!(matches!(outcome, Err(kube::Error::HyperError(_) | kube::Error::Service(_))), "{outcome:?}");
    assert_eq!(reason(&server, "list").await, Some(EndReason::ServerCut));
    list(&client).await?;
    Ok(())
}

#[tokio::test]
async fn a_reset_is_no_answer_at_all() -> Outcome {
    let (socket, bare) = (TestServer::start_default().await?, TestServer::builder().start_without_socket()?);
    // A client may try again by itself on a connection that broke before an answer: let every request meet it.
    let (first, second) = (socket.inject(Fault::Reset), bare.inject(Fault::Reset));
    for client in [socket.client().await?, bare.client()] {
        let outcome = list(&client).await;
        assert!(outcome.is_err() && code(outcome).is_none());
    }
    first.lift();
    second.lift();
    assert_eq!(reason(&socket, "list").await, Some(EndReason::Fault));
    list(&socket.client().await?).await?;
    list(&bare.client()).await?;
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_cut_arrives_in_part() -> Outcome {
    let server = TestServer::builder().plain_http().start().await?;
    let client = server.client().await?;
    server.inject(Fault::CutBody.times(1));
    let request = http::Request::get("/api/v1/namespaces").body(kube::client::Body::empty())?;
    let response = client.send(request).await?;
    assert_eq!(response.status(), 200);
    let mut body = http_body_util::BodyStream::new(response.into_body());
    let (mut received, mut broken) = (0, false);
    while let Some(frame) = body.next().await {
        broken = frame.is_err();
        received += frame.ok().and_then(|frame| frame.into_data().ok()).map_or(0, |data| data.len());
        if broken {
            break;
        }
    }
    assert!(broken && received > 0, "{received} bytes, broken: {broken}");
    Ok(())
}

#[tokio::test]
async fn a_cut_watch_breaks_within_an_event() -> Outcome {
    let server = TestServer::start_default().await?;
    let client = server.client().await?;
    create(&client, "a").await?;
    server.inject(Fault::CutBody.on(Requests::any().verb("watch")).times(1));
    let maps = Api::<ConfigMap>::default_namespaced(client);
    let mut events = maps.watch(&WatchParams::default(), "0").await?.boxed();
    assert!(events.next().await.is_none_or(|event| event.is_err()));
    assert_eq!(reason(&server, "watch").await, Some(EndReason::Fault));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_opens_and_delivers_nothing() -> Outcome {
    let server = TestServer::builder().start_without_socket()?;
    let client = server.client();
    create(&client, "a").await?;
    server.inject(Fault::SilentWatch.times(1));
    let maps = Api::<ConfigMap>::default_namespaced(client.clone());
    let mut events = maps.watch(&WatchParams::default().timeout(290), "0").await?.boxed();
    create(&client, "b").await?;
    let hour = Duration::from_secs(3600);
    assert!(tokio::time::timeout(hour, events.next()).await.is_err(), "no event, no bookmark, no end");
    drop(events);
    assert_eq!(reason(&server, "watch").await, Some(EndReason::ClientGone));
    Ok(())
}

#[tokio::test]
async fn an_ended_watch_ends_at_once_and_the_next_one_does_not() -> Outcome {
    let server = TestServer::start_default().await?;
    let client = server.client().await?;
    create(&client, "a").await?;
    server.inject(Fault::EndedWatch.times(1));
    let maps = Api::<ConfigMap>::default_namespaced(client);
    let mut ended = maps.watch(&WatchParams::default(), "0").await?.boxed();
    assert!(ended.next().await.is_none());
    let mut next = maps.watch(&WatchParams::default(), "0").await?.boxed();
    assert!(matches!(next.next().await, Some(Ok(WatchEvent::Added(_)))));
    Ok(())
}

#[tokio::test]
async fn open_watches_are_ended_on_demand() -> Outcome {
    let server = TestServer::start_default().await?;
    let client = server.client().await?;
    create(&client, "a").await?;
    let maps = Api::<ConfigMap>::default_namespaced(client);
    let mut events = maps.watch(&WatchParams::default(), "0").await?.boxed();
    assert!(matches!(events.next().await, Some(Ok(WatchEvent::Added(_)))));
    assert_eq!(server.end_watches(&Requests::to("secrets")), 0);
    assert_eq!(server.end_watches(&Requests::to("configmaps")), 1);
    while events.next().await.is_some() {}
    assert_eq!(reason(&server, "watch").await, Some(EndReason::EndedOnDemand));
    assert_eq!(server.end_watches(&Requests::any()), 0);
    Ok(())
}

#[tokio::test]
async fn an_expired_resource_version_is_an_error_event_of_the_watch() -> Outcome {
    let server = TestServer::start_default().await?;
    server.inject(Fault::ExpiredResourceVersion.times(1));
    let maps = Api::<ConfigMap>::default_namespaced(server.client().await?);
    let mut events = maps.watch(&WatchParams::default(), "1").await?.boxed();
    let event = events.next().await;
    assert!(matches!(&event, Some(Ok(WatchEvent::Error(status))) if status.code == 410), "{event:?}");
    Ok(())
}

#[tokio::test]
async fn a_compacted_history_is_too_old_to_watch_from() -> Outcome {
    let server = TestServer::start_default().await?;
    let client = server.client().await?;
    let maps = Api::<ConfigMap>::default_namespaced(client.clone());
    create(&client, "a").await?;
    let old = maps.list(&ListParams::default()).await?.metadata.resource_version.unwrap_or_default();
    create(&client, "b").await?;
    server.compact();
    let mut events = maps.watch(&WatchParams::default(), &old).await?.boxed();
    let event = events.next().await;
    assert!(matches!(&event, Some(Ok(WatchEvent::Error(status))) if status.code == 410), "{event:?}");
    Ok(())
}

#[tokio::test]
async fn readiness_is_a_switch() -> Outcome {
    let server = TestServer::start_default().await?;
    let client = server.client().await?;
    assert_eq!(readyz(&client).await?, "ok");
    server.set_ready(false);
    let response = client.send(http::Request::get("/readyz").body(kube::client::Body::empty())?).await?;
    assert_eq!(response.status(), 500);
    let body = String::from_utf8(response.into_body().collect_bytes().await?.to_vec())?;
    assert!(body.contains("[-]shutdown failed: reason withheld\nreadyz check failed\n"), "{body}");
    list(&client).await?;
    server.set_ready(true);
    assert_eq!(readyz(&client).await?, "ok");
    Ok(())
}

#[tokio::test]
async fn a_server_that_never_speaks_tls_is_left_waiting_for() -> Outcome {
    let server = TestServer::start_default().await?;
    let fault = server.inject_on_connect(ConnectionFault::Silent)?;
    let client = server.client().await?;
    let mut waiting = std::pin::pin!(list(&client));
    let accepted = async {
        while fault.hits() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        outcome = &mut waiting => panic!("the server is silent, and the request ended: {outcome:?}"),
        accepted = tokio::time::timeout(DEADLINE, accepted) => accepted?,
    }
    assert_eq!(server.requests().len(), 0);
    assert!(waiting.now_or_never().is_none(), "it waits for the handshake");
    fault.lift();
    tokio::time::timeout(DEADLINE, list(&server.client().await?)).await??;
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn a_connection_closed_at_once_is_an_error_of_the_connection() -> Outcome {
    let server = TestServer::start_default().await?;
    let client = server.client().await?;
    server.inject_on_connect(ConnectionFault::Closed.times(1))?;
    let outcome = list(&client).await;
    assert!(outcome.is_err() && code(outcome).is_none());
    list(&client).await?;
    Ok(())
}

#[tokio::test]
async fn an_expired_server_certificate_is_the_clients_to_refuse() -> Outcome {
    let server = TestServer::start_default().await?;
    let client = server.client().await?;
    list(&client).await?;
    let fault = server.inject_on_connect(ConnectionFault::ExpiredCertificate)?;
    list(&client).await?; // the open connection is none the worse
    server.cut_connections();
    // A cut connection may be found out only by the next request: the second error is the handshake's.
    let outcomes = [list(&client).await, list(&client).await];
    assert!(outcomes.iter().all(Result::is_err), "an expired certificate was accepted");
    let shown = format!("{:?}", outcomes[1]);
    assert!(shown.contains("Expired"), "{shown}");
    fault.lift();
    list(&client).await?;
    Ok(())
}

#[tokio::test]
async fn plain_http_has_no_certificate_to_expire() -> Outcome {
    let server = TestServer::builder().plain_http().start().await?;
    let refused = server.inject_on_connect(ConnectionFault::ExpiredCertificate);
    assert!(matches!(refused, Err(NeedsTls { .. })));
    Ok(())
}
