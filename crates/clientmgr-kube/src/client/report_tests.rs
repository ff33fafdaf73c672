//! What a pool reports of its connections: that they broke, that there are several, that none is left.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use kube::Config;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::super::Transport;
use super::{PATIENCE, Server, get, reported, reports, text, upgrade, watch};
use crate::client::{Report, Settings};
use crate::config::{Credentials, Loaded};

/// What is reported of a transport, in order.
fn all_reports(transport: &Transport) -> tokio::sync::mpsc::UnboundedReceiver<Report> {
    let (sender, reports) = tokio::sync::mpsc::unbounded_channel();
    transport.on_report(move |report| _ = sender.send(report));
    reports
}

#[tokio::test]
async fn a_connection_that_breaks_beside_others_is_reported_as_both_and_the_last_one_empties_the_pool() {
    let server = Server::plain().await;
    let transport = server.transport();
    let mut reports = all_reports(&transport);
    let _watches = [watch(&transport).await, watch(&transport).await];
    assert_eq!(reports.recv().await, Some(Report::Widened));
    server.cut.notify_waiters();
    let mut after = Vec::new();
    for _ in 0..4 {
        after.push(timeout(PATIENCE, reports.recv()).await.unwrap().unwrap());
    }
    assert_eq!(after, [Report::Broken, Report::Widened, Report::Broken, Report::Emptied]);
}

#[tokio::test]
async fn a_pool_whose_idle_connection_is_closed_is_reported_as_empty() {
    let server = Server::plain().await;
    let transport = server.with(&Settings { idle_timeout: Duration::from_millis(1), ..Settings::default() });
    let mut reports = all_reports(&transport);
    text(&transport).await;
    assert_eq!(timeout(PATIENCE, reports.recv()).await.unwrap(), Some(Report::Emptied));
}

#[tokio::test]
async fn a_pool_that_lost_its_connection_before_anything_looked_is_reported_as_empty() {
    let server = Server::plain().await;
    let transport = server.with(&Settings { idle_timeout: Duration::from_millis(1), ..Settings::default() });
    let mut unused = all_reports(&transport);
    assert!(unused.try_recv().is_err(), "it had none");
    text(&transport).await;
    assert_eq!(timeout(PATIENCE, unused.recv()).await.unwrap(), Some(Report::Emptied));
    assert_eq!(all_reports(&transport).try_recv(), Ok(Report::Emptied));
}

#[tokio::test]
async fn a_connection_that_the_server_ends_before_it_answers_is_no_break_but_new_ones_may_lead_elsewhere() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    let loaded = Loaded::of(config, Credentials::None);
    let transport = Transport::build(&loaded, None, &Settings::default(), None).unwrap();
    let mut reports = all_reports(&transport);
    let ends = async { drop(listener.accept().await.unwrap()) };
    let (answer, ()) = tokio::join!(transport.send(get("/who")), ends);
    answer.unwrap_err();
    drop(transport);
    let mut all = Vec::new();
    while let Some(report) = timeout(PATIENCE, reports.recv()).await.unwrap() {
        all.push(report);
    }
    assert_eq!(all, [Report::Widened]);
}

#[tokio::test]
async fn reports_are_of_the_pool_whichever_transport_uses_it() {
    let server = Server::plain().await;
    let settings = Settings::default();
    let old = server.with(&settings);
    let new = Transport::build(&server.loaded("other"), None, &settings, Some(&old)).unwrap();
    let connections = old.connections().downgrade();
    assert!(connections.are(new.connections()), "a report that was sent before the exchange counts");
    assert!(!connections.are(old.fresh().connections()));
}

#[tokio::test]
async fn a_connection_beside_another_one_is_reported() {
    for (server, reported) in [(Server::tls(&["http/1.1"]).await, 2), (Server::tls(&["h2", "http/1.1"]).await, 0)] {
        let transport = server.transport();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        transport.on_report(move |it| _ = counted.fetch_add(usize::from(it == Report::Widened), Ordering::SeqCst));
        text(&transport).await;
        text(&transport).await;
        assert_eq!(count.load(Ordering::SeqCst), 0, "there is one");
        let _watches = [watch(&transport).await, watch(&transport).await, watch(&transport).await];
        assert_eq!(count.load(Ordering::SeqCst), reported);
        let _upgraded = upgrade(&transport).await;
        assert_eq!(count.load(Ordering::SeqCst), reported + 1, "an upgrade has one to itself");
    }
}

/// A client that has no connection yet opens one for each request, and drops all but the first where that is HTTP/2.
#[tokio::test]
async fn requests_that_race_for_the_first_connection_break_none() {
    let server = Server::tls(&["h2", "http/1.1"]).await;
    let transport = server.transport();
    let broken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&broken);
    transport.on_report(move |it| _ = counted.fetch_add(usize::from(it == Report::Broken), Ordering::SeqCst));
    let answers = futures::future::join_all((0..20).map(|_| text(&transport))).await;
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/2.0 ")));
    assert!(server.accepted() > 1, "there was a race");
    server.until_open(1).await;
    assert_eq!(broken.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_connection_that_the_server_cuts_is_reported() {
    for server in [Server::plain().await, Server::tls(&[]).await, Server::tls(&["h2"]).await] {
        let transport = server.transport();
        let broken = reports(&transport);
        text(&transport).await;
        server.cut.notify_waiters();
        reported(&broken).await;
    }
}

#[tokio::test]
async fn what_this_side_ends_is_not_reported() {
    for server in [Server::plain().await, Server::tls(&[]).await, Server::tls(&["h2"]).await] {
        let settings = Settings { idle_timeout: Duration::from_millis(1), ..Settings::default() };
        let transport = server.with(&settings);
        let count = Arc::new(Mutex::new(0_usize));
        let counted = Arc::clone(&count);
        transport.on_report(move |it| *counted.lock().unwrap() += usize::from(it == Report::Broken));
        drop(watch(&transport).await);
        text(&transport).await;
        drop(upgrade_if_possible(&server, &transport).await);
        drop(transport);
        server.until_open(0).await;
        assert_eq!(*count.lock().unwrap(), 0);
    }
}

async fn upgrade_if_possible(server: &Server, transport: &Transport) -> Option<TokioIo<hyper::upgrade::Upgraded>> {
    if server.url.starts_with("https") { None } else { Some(upgrade(transport).await) }
}
