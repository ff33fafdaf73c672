//! Two hundred clusters whose credentials are in files, a fifth of them on a file system that hangs: a thread that looks
//! at one does not come back. No file that a test can make does this, since pipes and devices are not read; so the
//! blocking work of these clusters waits for the test.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use clientmgr_core::async_trait;
use clientmgr_fake::apiserver::{Credential, TestServer};
use futures::FutureExt;
use futures::future::{join_all, try_join_all};
use kube::config::AuthInfo;
use tokio::time::timeout;

use super::connector::{Connector, Established, KubeConnector, Opening};
use super::{ConnectionState, Fleet, FleetBuilder};
use crate::ClusterConfig;
use crate::config;
use crate::error::Failure;
use crate::work::Deadline;

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

/// The real connector, on a system where some files hang.
struct Hanging {
    real: KubeConnector,
    files: FileSystem,
}

#[async_trait]
impl Connector for Hanging {
    async fn open(&self, opening: Opening) -> Result<Established, Failure> {
        if config::files(&opening.config).iter().any(|file| file.starts_with(HANGING)) {
            let (files, steps) = (self.files.clone(), Deadline::within(self.real.deadline));
            let looking = opening.worker.run(steps, move || files.look()).boxed();
            self.real.admission.run(&opening.record, looking).await?;
        }
        self.real.open(opening).await
    }

    fn request_deadline(&self) -> Duration {
        self.real.request_deadline()
    }
}

fn fleet(builder: FleetBuilder, files: &FileSystem) -> Fleet {
    let files = files.clone();
    builder.build_on(|builder, settings| Box::new(Hanging { real: builder.connector(settings), files }))
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

    // However often it is asked for.
    for _ in 0..5 {
        for name in &hanging {
            assert!(fleet.reconnect(name.as_str()).now_or_never().is_none());
        }
    }
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
