//! Every server refuses at once: many requests, few renewals.
#![cfg(unix)]

use clientmgr_fake::apiserver::{Credential, Requests, TestServer};
use clientmgr_kube::kube::config::AuthInfo;
use clientmgr_kube::{ClusterConfig, Fleet};
use futures::future::{join_all, try_join_all};

use crate::support::{builder, key, kubeconfig_of, proofs, served, server};
use crate::traffic::{list, lists};

const CLUSTERS: usize = 20;
const REQUESTS: usize = 25;

struct Stormed {
    server: TestServer,
    directory: tempfile::TempDir,
    credential: Credential,
}

impl Stormed {
    async fn new(fleet: &Fleet, number: usize) -> Self {
        let server = server(&format!("cluster-{number}")).await;
        let credential = server.issue_token("alice");
        let directory = tempfile::tempdir().unwrap();
        let stormed = Self { server, directory, credential };
        stormed.put(&stormed.credential);
        let path = stormed.directory.path().join("token");
        let user = AuthInfo { token_file: path.to_str().map(str::to_owned), ..AuthInfo::default() };
        let config = ClusterConfig::from_kubeconfig(&kubeconfig_of(&stormed.server, user), stormed.server.name());
        fleet.upsert(stormed.server.name(), config);
        stormed
    }

    fn put(&self, credential: &Credential) {
        let new = self.directory.path().join("new");
        std::fs::write(&new, credential.token().unwrap()).unwrap();
        std::fs::rename(new, self.directory.path().join("token")).unwrap();
    }

    fn connects(&self) -> usize {
        self.server.requests_matching(proofs().status(200)).len()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_401_on_all_clusters_is_few_renewals_and_no_failed_request() {
    let fleet = builder().build();
    let clusters = join_all((0..CLUSTERS).map(|number| Stormed::new(&fleet, number))).await;
    let keys: Vec<_> = clusters.iter().map(|cluster| key(cluster.server.name())).collect();
    try_join_all(keys.iter().map(|key| fleet.wait_connected(key))).await.unwrap();

    for cluster in &clusters {
        cluster.put(&cluster.server.rotate_token(&cluster.credential, std::time::Duration::ZERO));
    }
    let requests = keys.iter().flat_map(|key| {
        let fleet = &fleet;
        (0..REQUESTS).map(move |_| async move { list(&served(fleet, key).await.client).await })
    });
    try_join_all(requests).await.expect("no request fails");
    for cluster in &clusters {
        // One at first; after the change one for the file and one for those that were refused, at most. And probes.
        let probes = cluster.server.requests_matching(Requests::under("/readyz")).len();
        let connects = cluster.connects() - probes;
        assert!(connects <= 4, "{connects} connects");
        assert_eq!(cluster.server.requests_matching(lists().status(200)).len(), REQUESTS);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_whatever_it_is_given_is_not_stormed() {
    let fleet = builder().build();
    let cluster = Stormed::new(&fleet, 0).await;
    let east = key(cluster.server.name());
    fleet.wait_connected(&east).await.unwrap();
    cluster.server.revoke(cluster.credential.fingerprint());
    let client = served(&fleet, &east).await.client;
    let before = cluster.connects();
    let answers = join_all((0..200).map(|_| list(&client))).await;
    let refused = |answer: &kube::Result<()>| matches!(answer, Err(kube::Error::Api(status)) if status.code == 401);
    assert!(answers.iter().all(refused), "the server's own answer is handed on");
    let refused = cluster.server.requests_matching(proofs().status(401)).len();
    assert!(refused < 20, "{refused} attempts and probes for 200 requests");
    assert_eq!(cluster.connects(), before, "none of the attempts was let in");
}
