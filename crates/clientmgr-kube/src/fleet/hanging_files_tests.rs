//! Two hundred clusters whose credentials are in files, a fifth of them on a file system that hangs: a thread that looks
//! at one does not come back. No file that a test can make does this, since pipes and devices are not read; so what reads
//! the files of these clusters waits for the test.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use clientmgr_fake::apiserver::{Credential, TestServer};
use futures::future::{join_all, try_join_all};
use kube::config::AuthInfo;
use tokio::time::timeout;

use super::connector::{KubeConnector, Load};
use super::{ConnectionState, Fleet, FleetBuilder};
use crate::{ClusterConfig, ConnectErrorKind, config};

const PATIENCE: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3_600);

/// What is in this directory hangs until the file system is repaired.
const HANGING: &str = "/hanging";

/// A file system that hangs.
#[derive(Clone, Default)]
struct FileSystem(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    is_well: bool,
    /// The threads that hang now, and the most there were.
    hang: usize,
    most: usize,
}

impl FileSystem {
    /// Blocks until it is well.
    fn look(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.hang += 1;
        state.most = state.most.max(state.hang);
        let mut state = changed.wait_while(state, |state| !state.is_well).unwrap();
        state.hang -= 1;
        changed.notify_all();
    }

    /// Ends what hangs, and waits until no thread is left.
    fn repair(&self) {
        let (state, changed) = &*self.0;
        state.lock().unwrap().is_well = true;
        changed.notify_all();
        drop(changed.wait_while(state.lock().unwrap(), |state| state.hang > 0).unwrap());
    }

    fn hang(&self) -> (usize, usize) {
        let state = self.0.0.lock().unwrap();
        (state.hang, state.most)
    }
}

fn fleet(builder: FleetBuilder, files: &FileSystem) -> Fleet {
    let files = files.clone();
    let load: Load = Arc::new(move |config| {
        if config::files(config).iter().any(|file| file.starts_with(HANGING)) {
            files.look();
        }
        config::load(config)
    });
    builder.build_on(|builder, settings| Box::new(KubeConnector { load, ..builder.connector(settings) }))
}

fn with_token_file(server: &TestServer, path: &Path) -> ClusterConfig {
    let mut kubeconfig = server.kubeconfig();
    let user = AuthInfo { token_file: path.to_str().map(str::to_owned), ..AuthInfo::default() };
    kubeconfig.auth_infos[0].auth_info = Some(user);
    ClusterConfig::from_kubeconfig(&kubeconfig, server.name())
}

fn write(path: &Path, token: &Credential) {
    let new = path.with_extension("new");
    std::fs::write(&new, token.token().unwrap()).unwrap();
    std::fs::rename(new, path).unwrap();
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "not in time: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_hang_hold_up_no_other_cluster_and_cost_a_thread_each() {
    let server = TestServer::builder().name("east").start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let first = server.issue_token("alice");
    write(&path, &first);
    let files = FileSystem::default();
    // What hangs does so for an hour, so a cluster that waited for it would not connect within the test.
    let builder = Fleet::builder().connect_deadline(HOUR).request_deadline(PATIENCE).concurrent_starts(4);
    let fleet = fleet(builder, &files);
    let hanging: Vec<_> = (0..40).map(|number| format!("hanging-{number}")).collect();
    for name in &hanging {
        fleet.upsert(name.as_str(), with_token_file(&server, &PathBuf::from(HANGING).join(name)));
    }
    let healthy: Vec<_> = (0..160).map(|number| format!("healthy-{number}")).collect();
    for name in &healthy {
        fleet.upsert(name.as_str(), with_token_file(&server, &path));
    }
    let connected = try_join_all(healthy.iter().map(|name| fleet.wait_connected(name.as_str())));
    timeout(PATIENCE, connected).await.expect("in time").unwrap();

    until("each hangs", || files.hang() == (40, 40)).await;
    let is_connecting = |name: &String| fleet.snapshot(name.as_str()).unwrap().state == ConnectionState::Connecting;
    assert!(hanging.iter().all(is_connecting));

    // The credentials of the others are exchanged: their files are read and watched as ever.
    let second = server.rotate_token(&first, Duration::ZERO);
    write(&path, &second);
    let use_it = join_all(healthy.iter().map(|name| async {
        let client = fleet.client(name.as_str()).await.unwrap();
        client.list_core_api_versions().await.unwrap();
    }));
    timeout(PATIENCE, use_it).await.expect("in time");

    // A configuration without files does not wait for one that hangs.
    for name in &hanging[..20] {
        let inline = ClusterConfig::from_kubeconfig(&server.kubeconfig(), "east");
        fleet.upsert(name.as_str(), inline);
    }
    let connected = try_join_all(hanging[..20].iter().map(|name| fleet.wait_connected(name.as_str())));
    timeout(PATIENCE, connected).await.expect("in time").unwrap();
    timeout(PATIENCE, fleet.shutdown()).await.expect("a shutdown does not wait for them");
    assert_eq!(files.hang(), (40, 40));
    files.repair();
}

#[tokio::test]
async fn a_file_that_hangs_costs_one_thread_however_often_it_is_read() {
    let server = TestServer::builder().name("east").start().await.unwrap();
    let files = FileSystem::default();
    let fleet = fleet(Fleet::builder().connect_deadline(Duration::from_millis(20)), &files);
    fleet.upsert("east", with_token_file(&server, &PathBuf::from(HANGING).join("token")));
    for _ in 0..10 {
        let error = timeout(PATIENCE, fleet.reconnect("east")).await.expect("in time").unwrap_err();
        assert_eq!(error.kind(), ConnectErrorKind::Timeout);
    }
    assert_eq!(files.hang(), (1, 1));
    fleet.shutdown().await;
    files.repair();
}
