//! How members begin and end: removal, shutdown, a runtime that ends, and what outlives them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clientmgr_kube::kube::config::AuthInfo;
use clientmgr_kube::{ConnectErrorKind, ConnectedAt, ConnectionState, Fleet, Incarnation, Revoked, RevokedReason};
use futures::StreamExt;
use tokio::runtime::{Builder, Handle};

use crate::support::{
    add, builder, config, fleet_of, fleet_with, key, kubeconfig_of, served, server, snapshot, until, within,
};
use crate::traffic::{list, lists, watch};

#[tokio::test]
async fn a_cluster_that_is_removed_is_fenced_when_remove_returns() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let east = key("east");
    fleet.wait_connected(&east).await.unwrap();
    let client = served(&fleet, &east).await.client;
    list(&client).await.unwrap();
    let marker = server.marker();
    // No task runs between these two: the test has one thread, and `remove` does not wait.
    assert!(fleet.remove(&east));
    let error = futures::poll!(Box::pin(list(&client)));
    let error = match error {
        std::task::Poll::Ready(done) => done.unwrap_err(),
        std::task::Poll::Pending => list(&client).await.unwrap_err(),
    };
    assert_eq!(Revoked::find(&error).map(|revoked| revoked.reason), Some(RevokedReason::Removed));
    assert!(server.requests_matching(lists().since(marker)).is_empty());
}

#[tokio::test]
async fn a_stale_incarnation_does_not_bring_back_what_a_reset_ended() {
    let server = server("east").await;
    let east = key("east");
    let fleet = fleet_of(&[&server]);
    let first = fleet.wait_connected(&east).await.unwrap();
    let identity = snapshot(&fleet, &east).identity.unwrap();
    let held = served(&fleet, &east).await.client;
    let reset = fleet.reset(&east).await.unwrap();
    assert!(reset > first);
    fleet.remove(&east);

    let stale = Incarnation { identity, revision: first };
    fleet.upsert("east", config(&server, &server.admin()).with_incarnation(stale));
    let again = fleet.wait_connected(&east).await.unwrap();
    assert!(again > reset, "{again} is not later than {reset}");
    let error = list(&held).await.unwrap_err();
    assert_eq!(Revoked::find(&error).map(|revoked| revoked.reason), Some(RevokedReason::Reset));
}

#[tokio::test]
async fn a_reset_before_the_first_connection_does_not_adopt_the_known_revision() {
    let server = server("east").await;
    let identity = server.kube_system_uid().parse().unwrap();
    let revision = ConnectedAt::from_timestamp("2100-01-01T00:00:00Z".parse().unwrap()).unwrap();
    let fleet = builder().build();
    let known = config(&server, &server.admin()).with_incarnation(Incarnation { identity, revision });
    fleet.upsert("east", known);
    assert!(fleet.reset(&key("east")).await.unwrap() > revision);
}

#[tokio::test]
async fn a_file_that_a_failed_attempt_read_is_taken_up_once_it_is_corrected() {
    let server = server("east").await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let user = AuthInfo { token_file: path.to_str().map(str::to_owned), ..AuthInfo::default() };
    for broken in [None, Some("b r o k e n"), Some("unknown")] {
        match broken {
            None => {}
            Some(text) => std::fs::write(&path, text).unwrap(),
        }
        let (fleet, east) = fleet_with(&kubeconfig_of(&server, user.clone()));
        let error = fleet.wait_connected(&east).await.unwrap_err();
        assert!(matches!(error.kind(), ConnectErrorKind::NoCredentials | ConnectErrorKind::Unauthorized), "{error:?}");
        let token = server.issue_token("alice");
        let new = path.with_extension("new");
        std::fs::write(&new, token.token().unwrap()).unwrap();
        std::fs::rename(new, &path).unwrap();
        // A file that is missing has a backoff of 30 s and more.
        let began = std::time::Instant::now();
        until(&fleet, &east, clientmgr_kube::ClusterSnapshot::is_connected).await;
        assert!(broken.is_some() || began.elapsed() < Duration::from_secs(20));
        std::fs::remove_file(&path).unwrap();
        fleet.shutdown().await;
    }
}

#[tokio::test]
async fn a_cluster_whose_task_panics_is_fenced_unavailable_and_can_be_added_again() {
    let server = server("east").await;
    let panics = Arc::new(AtomicBool::new(false));
    let clock = {
        let panics = Arc::clone(&panics);
        move || {
            assert!(!panics.swap(false, Ordering::Relaxed), "on purpose");
            jiff::Timestamp::now()
        }
    };
    let fleet = add(builder().wall_clock(clock).build(), &[&server]);
    let east = key("east");
    let first = fleet.wait_connected(&east).await.unwrap();
    let client = served(&fleet, &east).await.client;
    panics.store(true, Ordering::Relaxed);
    let error = fleet.probe(&east).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Internal, "{error}");
    assert_eq!(crate::support::unavailable(&fleet, &east).await.to_string(), error.to_string());
    assert_eq!(snapshot(&fleet, &east).state, ConnectionState::Unavailable);
    let error = list(&client).await.unwrap_err();
    assert_eq!(Revoked::find(&error).map(|revoked| revoked.reason), Some(RevokedReason::Panicked));

    fleet.upsert("east", config(&server, &server.admin()));
    assert!(fleet.wait_connected(&east).await.unwrap() > first);
}

#[test]
fn a_runtime_that_is_dropped_by_a_panic_of_the_program_is_no_panic_of_the_task() {
    let servers = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = servers.block_on(server("east"));
    let fleet = builder().build();
    let program = std::panic::AssertUnwindSafe(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            add(fleet.clone(), &[&server]).wait_connected("east").await.unwrap();
            std::panic::resume_unwind(Box::new("on purpose"));
        });
    });
    std::panic::catch_unwind(program).unwrap_err();
    let error = snapshot(&fleet, &key("east")).error.unwrap().to_string();
    assert!(error.contains("needs a Tokio runtime"), "{error}");
}

#[tokio::test]
async fn a_cluster_whose_task_always_panics_is_started_ever_less_often_and_shows_it() {
    let server = server("east").await;
    // Each time the task that looks for jumps of the clock panics too.
    let panics = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let clock = {
        let panics = Arc::clone(&panics);
        move || {
            if !std::thread::panicking()
                && tokio::task::try_id().is_some()
                && panics.fetch_add(1, Ordering::Relaxed) < 6
            {
                std::panic::resume_unwind(Box::new("on purpose"));
            }
            jiff::Timestamp::now()
        }
    };
    let (fleet, east) = (builder().wall_clock(clock).build(), key("east"));
    let config = config(&server, &server.admin());
    let began = std::time::Instant::now();
    let waiting = async {
        while !fleet.snapshot(&east).is_some_and(|now| now.is_connected()) {
            // As a source does that lists its clusters again and again.
            fleet.upsert("east", config.clone());
            if panics.load(Ordering::Relaxed) >= 4 && began.elapsed() < Duration::from_millis(500) {
                let error = crate::support::unavailable(&fleet, &east).await;
                assert_eq!(error.kind(), ConnectErrorKind::Internal, "{error}");
            }
            tokio::task::yield_now().await;
        }
    };
    within(waiting).await;
    // Once at once, then after one and after two seconds.
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
    within(fleet.shutdown()).await;
}

/// Tasks of the API server run elsewhere, so that all that are counted are the fleet's.
#[test]
fn after_a_shutdown_no_task_is_left_and_every_caller_has_waited_for_it() {
    let servers = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let (server, kubeconfig) = servers.block_on(async {
        let server = server("east").await;
        std::fs::write(&path, server.issue_token("alice").token().unwrap()).unwrap();
        let user = AuthInfo { token_file: path.to_str().map(str::to_owned), ..AuthInfo::default() };
        let kubeconfig = kubeconfig_of(&server, user);
        (server, kubeconfig)
    });
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for _ in 0..10 {
            let (fleet, east) = fleet_with(&kubeconfig);
            fleet.upsert("hangs", config(&server, &server.admin()));
            fleet.wait_connected(&east).await.unwrap();
            let client = served(&fleet, &east).await.client;
            let mut open = watch(&server, &client).await;
            assert!(Handle::current().metrics().num_alive_tasks() > 2);
            let second = tokio::spawn({
                let fleet = fleet.clone();
                async move { fleet.shutdown().await }
            });
            let error = async { open.next().await.expect("an error").unwrap_err() };
            let (error, ()) = futures::join!(error, async { fleet.shutdown().await });
            let reason = Revoked::find(&error).map(|revoked| revoked.reason);
            assert_eq!(reason, Some(RevokedReason::ShutDown), "{error:?}");
            drop((open, client));
            within(second).await.unwrap();
            fleet.shutdown().await;
            // A task is counted until its thread has let go of it.
            crate::support::holds("no task", || Handle::current().metrics().num_alive_tasks() == 0).await;
            fleet.upsert("late", config(&server, &server.admin()));
            assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
        }
    });
}

#[test]
fn an_upsert_after_the_runtime_ended_changes_nothing_until_there_is_another() {
    let servers = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = servers.block_on(server("east"));
    let first = Builder::new_current_thread().enable_all().build().unwrap();
    let fleet: Fleet = first.block_on(async { add(builder().build(), &[&server]) });
    first.block_on(fleet.wait_connected(&key("east"))).unwrap();
    drop(first);
    let mut events = fleet.events();
    futures::executor::block_on(events.next());
    let east = config(&server, &server.admin());
    for _ in 0..3 {
        fleet.upsert("east", east.clone());
    }
    let nothing = futures::executor::block_on(async { futures::poll!(events.next()).is_pending() });
    assert!(nothing, "each call added it again");
    let ended = snapshot(&fleet, &key("east"));
    assert_eq!(ended.state, ConnectionState::Unavailable);
    assert_eq!(ended.error.unwrap().kind(), ConnectErrorKind::Environment);

    let second = Builder::new_current_thread().enable_all().build().unwrap();
    second.block_on(async {
        fleet.upsert("east", east);
        fleet.wait_connected(&key("east")).await.unwrap();
    });
}
