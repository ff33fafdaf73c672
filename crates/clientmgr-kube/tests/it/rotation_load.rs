//! Fifty clusters under load, each rotated ten times, the old credential refused at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clientmgr_core::ClientManager;
use clientmgr_fake::apiserver::{Credential, Requests, TestServer};
use clientmgr_kube::kube::Client;
use clientmgr_kube::kube::config::AuthInfo;
use clientmgr_kube::{ClusterConfig, ConnectedAt, Fleet};
use futures::future::join_all;

use crate::support::{builder, config, key, kubeconfig_of, logged, served, server, snapshot, within};
use crate::traffic::{Watch, assert_goes_on, list, lists, watch};

const CLUSTERS: usize = 50;
const ROTATIONS: usize = 10;

/// A user who sends one request after the other.
struct User {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<Result<(), String>>,
}

impl User {
    fn start(client: Client) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&sent));
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                list(&client).await.map_err(|error| format!("{error:?}"))?;
                counter.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        Self { stop, sent, task }
    }

    async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        within(self.task).await.unwrap().expect("no request fails");
        self.sent.load(Ordering::Relaxed)
    }
}

/// How a cluster gets its next credential: every other one by its token file.
struct Rotated {
    server: TestServer,
    file: Option<tempfile::TempDir>,
    credentials: Vec<Credential>,
    revision: ConnectedAt,
    watch: Watch,
    user: User,
}

impl Rotated {
    async fn new(fleet: &Fleet, number: usize) -> Self {
        let server = server(&format!("cluster-{number}")).await;
        let credential = server.issue_token("alice");
        let file = (number % 2 == 1).then(|| tempfile::tempdir().unwrap());
        put(file.as_ref(), &credential);
        fleet.upsert(server.name(), configuration(&server, file.as_ref(), &credential));
        let revision = fleet.wait_connected(&key(server.name())).await.unwrap();
        let client = served(fleet, &key(server.name())).await.client;
        let watch = watch(&server, &client).await;
        Self { file, credentials: vec![credential], revision, watch, user: User::start(client), server }
    }

    /// Rotates, and waits until the user's requests carry the new credential.
    async fn rotate(&mut self, fleet: &Fleet) {
        let (old, new) = (self.credentials.last().unwrap(), self.server.issue_token("alice"));
        put(self.file.as_ref(), &new);
        fleet.upsert(self.server.name(), configuration(&self.server, self.file.as_ref(), &new));
        self.server.revoke(old.fingerprint());
        logged(&self.server, lists().with(new.fingerprint()).status(200)).await;
        self.credentials.push(new);
    }
}

fn put(file: Option<&tempfile::TempDir>, credential: &Credential) {
    let Some(directory) = file else { return };
    let new = directory.path().join("new");
    std::fs::write(&new, credential.token().unwrap()).unwrap();
    std::fs::rename(new, directory.path().join("token")).unwrap();
}

fn configuration(server: &TestServer, file: Option<&tempfile::TempDir>, credential: &Credential) -> ClusterConfig {
    let Some(directory) = file else { return config(server, credential) };
    let path = directory.path().join("token");
    let user = AuthInfo { token_file: path.to_str().map(str::to_owned), ..AuthInfo::default() };
    ClusterConfig::from_kubeconfig(&kubeconfig_of(server, user), server.name())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_under_load_fails_no_request_and_resets_nothing() {
    let fleet = builder().build();
    let mut clusters = Vec::new();
    for number in 0..CLUSTERS {
        clusters.push(Rotated::new(&fleet, number).await);
    }
    let manager = ClientManager::<_, u8>::new(fleet.clone());
    for cluster in &clusters {
        manager.client(&0, &snapshot(&fleet, &key(cluster.server.name()))).await.unwrap();
    }

    for _ in 0..ROTATIONS {
        join_all(clusters.iter_mut().map(|cluster| cluster.rotate(&fleet))).await;
        for cluster in &clusters {
            let now = snapshot(&fleet, &key(cluster.server.name()));
            assert_eq!(now.connected_at, Some(cluster.revision));
            assert!(!manager.refresh(&0, &now).is_reset(), "{now:?}");
        }
    }

    for Rotated { server, credentials, mut watch, user, .. } in clusters {
        let answered = user.stop().await;
        let log = server.requests_matching(lists());
        assert_eq!(server.requests_lost(), 0);
        // A user's requests are one after the other: once one carried a credential, no later one carries an older one.
        let order: Vec<_> = log
            .iter()
            .map(|request| credentials.iter().position(|it| Some(it.fingerprint()) == request.fingerprint).unwrap())
            .collect();
        assert!(order.is_sorted(), "{order:?}");
        let refused = log.iter().filter(|request| request.status == Some(401)).count();
        // One is the list of which the watch begins.
        assert_eq!(log.len() - refused, usize::try_from(answered).unwrap() + 1);
        assert!(refused <= ROTATIONS, "{refused} requests were refused and sent again");
        assert_eq!(server.requests_matching(Requests::to("configmaps").verb("watch")).len(), 1);
        assert_goes_on(&server, &mut watch, "at-last").await;
    }
}
