//! The request log of the in-process API server: what is written down, and waiting for it.

use std::{error::Error, time::Duration};

use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{ListParams, WatchParams},
};
use kube_testserver::{EndReason, Fingerprint, Replacement, Requests, TestServer};

type Outcome = Result<(), Box<dyn Error>>;

fn maps(client: Client) -> Api<ConfigMap> {
    Api::default_namespaced(client)
}

#[tokio::test]
async fn a_record_has_the_user_the_request_and_its_end() -> Outcome {
    let server = TestServer::start_default().await?;
    let token = server.issue_token("alice");
    let alice = maps(server.client_for(&token).await?);
    assert!(alice.get("missing").await.is_err());

    let [record] = &server.requests()[..] else { return Err("one request was made".into()) };
    assert_eq!((record.user.as_deref(), record.fingerprint), (Some("alice"), Some(token.fingerprint())));
    assert_eq!((record.verb(), record.path()), ("get", "/api/v1/namespaces/default/configmaps/missing"));
    assert_eq!((record.group(), record.version(), record.resource()), ("", "v1", "configmaps"));
    assert_eq!((record.namespace(), record.name()), (Some("default"), Some("missing")));
    assert_eq!(record.status, Some(404));
    assert_eq!(record.ended.map(|ended| ended.reason), Some(EndReason::Complete));
    assert_eq!(*record.cluster_uid, *server.kube_system_uid());
    Ok(())
}

#[tokio::test]
async fn a_refused_credential_is_logged_by_fingerprint_and_without_a_user() -> Outcome {
    let server = TestServer::builder().start_without_socket()?;
    let foreign = TestServer::builder().token("x", "t0p-secret").start_without_socket()?;
    let stranger = foreign.accept_token("x", "t0p-secret");
    assert!(maps(Client::new(server.service(stranger), "default")).get("a").await.is_err());
    let record = server.wait_for(Requests::any().with(Fingerprint::of_token("t0p-secret"))).await;
    assert_eq!((record.user.as_deref(), record.status), (None, Some(401)));
    assert!(!format!("{record:?}").contains("t0p-secret"));
    Ok(())
}

#[tokio::test]
async fn requests_on_one_connection_share_its_number() -> Outcome {
    let server = TestServer::start_default().await?;
    let client = server.client().await?;
    client.apiserver_version().await?;
    client.apiserver_version().await?;
    server.cut_connections();
    if client.apiserver_version().await.is_err() {
        client.apiserver_version().await?; // the dead connection was found out by using it
    }
    let connections: Vec<u64> = server.requests().iter().map(|record| record.connection).collect();
    let [first, second, third] = connections[..] else { return Err(format!("{connections:?}").into()) };
    assert!(first == second && second != third, "{connections:?}");
    Ok(())
}

#[tokio::test]
async fn waiting_wakes_for_the_request_it_waits_for() -> Outcome {
    let server = TestServer::start_default().await?;
    let client = server.client().await?;
    client.apiserver_version().await?;
    let marker = server.marker();
    assert_eq!(server.wait_for(Requests::under("/version")).await.sequence, 0, "the past counts");
    let later = Requests::under("/version").since(marker).status(200);
    let (seen, outcome) = tokio::join!(server.wait_for(later), client.apiserver_version());
    outcome?;
    assert_eq!(seen.sequence, 1);
    let mut never = std::pin::pin!(server.wait_for(Requests::under("/never")));
    assert!(never.as_mut().now_or_never().is_none());
    client.apiserver_version().await?;
    assert!(never.now_or_never().is_none(), "another request does not complete it");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_wait_without_success_shows_the_last_requests() -> Outcome {
    let server = TestServer::builder().start_without_socket()?;
    server.client().apiserver_version().await?;
    let watch = Requests::watch("configmaps/status").name("a").user("alice").status(200);
    let shown =
        server.wait_for_within(Duration::from_secs(5), watch).await.err().ok_or("no watch was opened")?.to_string();
    let expected = "no request within 5s: watch configmaps/status named a by alice with status 200; ";
    assert!(shown.starts_with(expected), "{shown}");
    assert!(shown.ends_with("the last requests were:\n  GET /version 200"), "{shown}");
    server.wait_for_within(Duration::from_secs(5), Requests::any()).await?;
    Ok(())
}

#[tokio::test]
async fn a_watch_is_answered_when_it_opens_and_ended_when_its_client_leaves() -> Outcome {
    let server = TestServer::start_default().await?;
    let client = server.client().await?;
    let events = maps(client).watch(&WatchParams::default(), "0").await?.boxed();
    let watching = Requests::watch("configmaps");
    let open = server.wait_for(watching.clone().answered()).await;
    assert_eq!((open.status, open.ended), (Some(200), None));
    drop(events);
    let over = server.wait_for(watching.ended()).await;
    assert_eq!(over.ended.map(|ended| ended.reason), Some(EndReason::ClientGone));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_times_out_is_complete_and_its_times_follow_the_clock() -> Outcome {
    let server = TestServer::builder().start_without_socket()?;
    let mut events = maps(server.client()).watch(&WatchParams::default().timeout(60), "0").await?.boxed();
    while events.next().await.is_some() {}
    let watch = server.wait_for(Requests::any().verb("watch").ended()).await;
    let ended = watch.ended.ok_or("it has ended")?;
    let lasted = ended.after.saturating_sub(watch.after);
    assert_eq!((ended.reason, lasted.as_secs()), (EndReason::Complete, 60));
    Ok(())
}

#[tokio::test]
async fn a_record_has_the_uid_of_the_cluster() -> Outcome {
    let server = TestServer::start_default().await?;
    let client = server.client().await?;
    let before = server.kube_system_uid();
    client.apiserver_version().await?;
    server.replace(Replacement::SameCa)?;
    if client.apiserver_version().await.is_err() {
        client.apiserver_version().await?; // the dead connection was found out by using it
    }
    let clusters: Vec<_> = server.requests().iter().map(|record| record.cluster_uid.to_string()).collect();
    assert_eq!(clusters, [before, server.kube_system_uid()]);
    Ok(())
}

#[tokio::test]
async fn the_log_is_bounded_and_says_what_it_lost() -> Outcome {
    let server = TestServer::builder().log_capacity(3).start_without_socket()?;
    for _ in 0..5 {
        maps(server.client()).list(&ListParams::default()).await?;
    }
    let sequences: Vec<u64> = server.requests().iter().map(|record| record.sequence).collect();
    assert_eq!((sequences, server.requests_lost()), (vec![2, 3, 4], 2));
    Ok(())
}
