//! A thousand rotations leave nothing behind: no task, no descriptor, no connection.

use tokio::runtime::Handle;

use crate::support::{builder, config, holds, key, served, server};
use crate::traffic::list;

const ROTATIONS: usize = 1_000;

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Open descriptors of this process; none where the system does not tell.
fn descriptors() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count())
}

/// Runs a test in a process of its own, where nobody else opens files. True within it.
pub(crate) fn alone(test: &str) -> bool {
    const INSIDE: &str = "CLIENTMGR_TEST_ALONE";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let alone = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "")
        .output()
        .unwrap();
    let said = [alone.stdout, alone.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(alone.status.success() && said.contains("1 passed"), "{said}");
    false
}

#[tokio::test]
async fn a_thousand_rotations_leave_tasks_and_descriptors_flat() {
    if !alone("flat::a_thousand_rotations_leave_tasks_and_descriptors_flat") {
        return;
    }
    let server = server("east").await;
    let fleet = builder().build();
    let east = key("east");
    let mut old = server.issue_token("alice");
    fleet.upsert("east", config(&server, &old));
    let revision = fleet.wait_connected(&east).await.unwrap();
    let client = served(&fleet, &east).await.client;
    let mut rotate = async |number: usize| {
        // Every tenth is a certificate, which takes a connection of its own.
        let new = match number % 10 {
            0 => server.issue_certificate("alice", std::time::Duration::from_secs(3600)).unwrap(),
            _ => server.issue_token("alice"),
        };
        fleet.upsert("east", config(&server, &new));
        server.revoke(old.fingerprint());
        list(&client).await.unwrap();
        old = new;
    };
    // The first ones fill pools and caches.
    for number in 1..50 {
        rotate(number).await;
    }
    let before = (tasks(), descriptors());
    for number in 0..ROTATIONS {
        rotate(number).await;
    }
    rotate(1).await;
    holds("as many tasks and descriptors as before", || {
        tasks() <= before.0 && descriptors().zip(before.1).is_none_or(|(now, before)| now <= before)
    })
    .await;
    assert_eq!(served(&fleet, &east).await.revision, revision);
}

#[tokio::test]
async fn clusters_that_come_and_go_leave_nothing() {
    if !alone("flat::clusters_that_come_and_go_leave_nothing") {
        return;
    }
    let server = server("east").await;
    let fleet = builder().build();
    let (east, config) = (key("east"), config(&server, &server.admin()));
    let cycle = async || {
        fleet.upsert("east", config.clone());
        fleet.wait_connected(&east).await.unwrap();
        list(&served(&fleet, &east).await.client).await.unwrap();
        assert!(fleet.remove(&east));
    };
    let idle = tasks();
    cycle().await;
    // The watch of the clock stays.
    holds("the first cluster is gone", || tasks() <= idle + 1).await;
    let before = (tasks(), descriptors());
    for _ in 0..100 {
        cycle().await;
    }
    holds("as many tasks and descriptors as before", || {
        tasks() <= before.0 && descriptors().zip(before.1).is_none_or(|(now, before)| now <= before)
    })
    .await;
}
