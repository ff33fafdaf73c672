//! Fifty clusters under load, each rotated ten times, the old credential refused at once: inline tokens, certificates,
//! token files, and tokens of plugins.
#![cfg(unix)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clientmgr_core::ClientManager;
use clientmgr_fake::apiserver::{Credential, Requests, TestServer};
use clientmgr_kube::k8s_openapi::api::core::v1::ConfigMap;
use clientmgr_kube::kube::api::{Patch, PatchParams};
use clientmgr_kube::kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use clientmgr_kube::kube::{self, Api, Client};
use clientmgr_kube::{ClusterConfig, ConnectedAt, Fleet};
use futures::future::join_all;

use crate::support::{PATIENCE, builder, config, key, kubeconfig_of, logged, served, server, snapshot, within};
use crate::traffic::{Watch, assert_goes_on, list, lists, watch};

const V1: &str = "client.authentication.k8s.io/v1";
const CLUSTERS: usize = 50;
const ROTATIONS: usize = 10;

/// A user who sends one request after the other, every second one a write.
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
                write(&client).await.map_err(|error| format!("{error:?}"))?;
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

/// Where a cluster's credential comes from.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Inline,
    Certificate,
    File,
    Plugin,
}

struct Rotated {
    server: TestServer,
    kind: Kind,
    directory: tempfile::TempDir,
    credentials: Vec<Credential>,
    revision: ConnectedAt,
    watch: Watch,
    user: User,
}

impl Rotated {
    async fn new(fleet: &Fleet, number: usize) -> Self {
        let server = server(&format!("cluster-{number}")).await;
        let kinds = [Kind::Inline, Kind::Certificate, Kind::File, Kind::Plugin];
        let (kind, directory) = (kinds[number % kinds.len()], tempfile::tempdir().unwrap());
        let credential = issue(&server, kind);
        put(&directory, &credential);
        fleet.upsert(server.name(), configuration(&server, kind, &directory, &credential));
        let revision = fleet.wait_connected(&key(server.name())).await.unwrap();
        let client = served(fleet, &key(server.name())).await.client;
        let watch = watch(&server, &client).await;
        let user = User::start(client);
        Self { kind, directory, credentials: vec![credential], revision, watch, user, server }
    }

    /// Rotates, and waits until the user's requests carry the new credential.
    async fn rotate(&mut self, fleet: &Fleet) {
        let (old, new) = (self.credentials.last().unwrap(), issue(&self.server, self.kind));
        put(&self.directory, &new);
        fleet.upsert(self.server.name(), configuration(&self.server, self.kind, &self.directory, &new));
        self.server.revoke(old.fingerprint());
        if self.kind == Kind::Plugin {
            // By itself a plugin runs again after its pause. A controller that knows of new credentials need not wait.
            within(fleet.reconnect(&key(self.server.name()))).await.unwrap();
        }
        logged(&self.server, lists().with(new.fingerprint()).status(200)).await;
        self.credentials.push(new);
    }
}

fn issue(server: &TestServer, kind: Kind) -> Credential {
    match kind {
        Kind::Certificate => server.issue_certificate("alice", PATIENCE * 60).unwrap(),
        _ => server.issue_token("alice"),
    }
}

/// Applies an object.
async fn write(client: &Client) -> kube::Result<()> {
    let map = serde_json::json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "written" } });
    let maps = Api::<ConfigMap>::namespaced(client.clone(), "kube-public");
    maps.patch("written", &PatchParams::apply("user"), &Patch::Apply(map)).await.map(drop)
}

/// Puts the credential into the file of a token and into that which a plugin prints.
fn put(directory: &tempfile::TempDir, credential: &Credential) {
    let Some(token) = credential.token() else { return };
    let printed = format!(r#"{{"apiVersion":"{V1}","kind":"ExecCredential","status":{{"token":"{token}"}}}}"#);
    for (name, text) in [("token", token), ("printed", &printed)] {
        let new = directory.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, directory.path().join(name)).unwrap();
    }
}

fn configuration(
    server: &TestServer,
    kind: Kind,
    directory: &tempfile::TempDir,
    credential: &Credential,
) -> ClusterConfig {
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let user = match kind {
        Kind::Inline | Kind::Certificate => return config(server, credential),
        Kind::File => AuthInfo { token_file: Some(path("token")), ..AuthInfo::default() },
        Kind::Plugin => {
            let exec = ExecConfig {
                api_version: Some(V1.into()),
                command: Some("cat".into()),
                args: Some(vec![path("printed")]),
                interactive_mode: Some(ExecInteractiveMode::Never),
                ..ExecConfig::default()
            };
            AuthInfo { exec: Some(exec), ..AuthInfo::default() }
        }
    };
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
        assert_eq!(server.requests_lost(), 0);
        let writes = server.requests_matching(Requests::to("configmaps").verb("patch").status(200)).len()
            + server.requests_matching(Requests::to("configmaps").verb("patch").status(201)).len();
        assert_eq!(writes, usize::try_from(answered).unwrap(), "a write was lost, or done twice");
        let log = server.requests_matching(lists());
        // A user's requests are one after the other: once one carried a credential, no later one carries an older one.
        let order: Vec<_> = log
            .iter()
            .map(|request| credentials.iter().position(|it| Some(it.fingerprint()) == request.fingerprint).unwrap())
            .collect();
        assert!(order.is_sorted(), "{order:?}");
        let refused = log.iter().filter(|request| request.status == Some(401)).count();
        // One is the list of which the watch begins.
        assert_eq!(log.len() - refused, usize::try_from(answered).unwrap() + 1);
        assert!(refused <= 2 * ROTATIONS, "{refused} requests were refused and sent again");
        assert_eq!(server.requests_matching(Requests::to("configmaps").verb("watch")).len(), 1);
        assert_goes_on(&server, &mut watch, "at-last").await;
    }
}
