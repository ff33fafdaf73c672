//! Sixty-four clusters whose credential plugins hang, or whose token is in a pipe, beside a healthy one: it waits for none of
//! them, and each costs one process at most and no thread that stays.
#![cfg(target_os = "linux")]

use std::time::Duration;

use clientmgr_kube::kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use clientmgr_kube::{ClusterConfig, ConnectErrorKind, ConnectionState, Fleet};
use futures::future::join_all;

use crate::flat::alone;
use crate::support::{builder, config, holds, key, kubeconfig, server, within};

const CROWD: usize = 64;
const HOUR: Duration = Duration::from_secs(3_600);

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// The processes that this one started and that run.
fn children() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    // A thread may end meanwhile.
    let of_thread =
        |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    threads.map(|thread| of_thread(thread.unwrap()).split_whitespace().count()).sum()
}

fn configuration(user: AuthInfo) -> ClusterConfig {
    ClusterConfig::from_kubeconfig(&kubeconfig(|_, of_kubeconfig| *of_kubeconfig = user), "east")
}

fn hanging_plugin() -> ClusterConfig {
    let exec = ExecConfig {
        api_version: Some("client.authentication.k8s.io/v1".into()),
        command: Some("sleep".into()),
        args: Some(vec!["3600".into()]),
        interactive_mode: Some(ExecInteractiveMode::Never),
        ..ExecConfig::default()
    };
    configuration(AuthInfo { exec: Some(exec), ..AuthInfo::default() })
}

fn patient() -> Fleet {
    builder().connect_deadline(HOUR).request_deadline(HOUR).probe_interval(HOUR).concurrent_starts(2).build()
}

#[tokio::test]
async fn plugins_that_hang_cost_a_process_each_and_delay_no_healthy_cluster() {
    if !alone("crowd_of_plugins::plugins_that_hang_cost_a_process_each_and_delay_no_healthy_cluster") {
        return;
    }
    let healthy = server("healthy").await;
    let (fleet, before) = (patient(), (threads(), children()));
    let names: Vec<_> = (0..CROWD).map(|number| key(&format!("hanging-{number}"))).collect();
    for name in &names {
        fleet.upsert(name.clone(), hanging_plugin());
    }
    holds("all plugins run", || children() == before.1 + CROWD).await;
    // Whatever is called, and how often.
    for _ in 0..5 {
        for name in &names {
            fleet.upsert(name.clone(), hanging_plugin());
            let calls = async { futures::future::join(fleet.probe(name), fleet.wait_connected(name)).await };
            assert!(futures::poll!(Box::pin(calls)).is_pending());
        }
        tokio::task::yield_now().await;
    }
    fleet.upsert("healthy", config(&healthy, &healthy.admin()));
    within(fleet.wait_connected(&key("healthy"))).await.unwrap();
    assert_eq!(children(), before.1 + CROWD);
    // What a runtime has for signals and for files, and no thread for each of them.
    assert!(threads() <= before.0 + 4, "{} threads, and {} before", threads(), before.0);
    assert_eq!(fleet.snapshots().iter().filter(|now| now.state == ConnectionState::Connecting).count(), CROWD);

    within(fleet.shutdown()).await;
    holds("all plugins are gone", || children() == before.1).await;
}

#[tokio::test]
async fn a_pipe_for_a_token_file_is_an_error_at_once_and_nothing_waits_for_it() {
    if !alone("crowd_of_plugins::a_pipe_for_a_token_file_is_an_error_at_once_and_nothing_waits_for_it") {
        return;
    }
    let (healthy, directory) = (server("healthy").await, tempfile::tempdir().unwrap());
    let pipe = directory.path().join("token");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let token_file = pipe.to_str().map(str::to_owned);
    let config_of_pipe = configuration(AuthInfo { token_file, ..AuthInfo::default() });
    let (fleet, before) = (patient(), threads());
    let names: Vec<_> = (0..CROWD).map(|number| key(&format!("pipe-{number}"))).collect();
    for name in &names {
        fleet.upsert(name.clone(), config_of_pipe.clone());
    }
    for outcome in within(join_all(names.iter().map(|name| fleet.wait_connected(name)))).await {
        assert_eq!(outcome.unwrap_err().kind(), ConnectErrorKind::InvalidConfig);
    }
    fleet.upsert("healthy", config(&healthy, &healthy.admin()));
    within(fleet.wait_connected(&key("healthy"))).await.unwrap();
    holds("no thread is left but those for files", || threads() <= before + 4).await;
    within(fleet.shutdown()).await;
}
