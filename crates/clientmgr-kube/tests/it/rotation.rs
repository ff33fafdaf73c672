//! Every kind of credential is exchanged under the handle: no request fails, open watches go on, nothing is reset.
#![cfg(unix)]

use std::path::Path;
use std::time::Duration;

use clientmgr_fake::apiserver::{Credential, Fingerprint, TestServer};
use clientmgr_kube::kube::config::{AuthInfo, Kubeconfig};
use clientmgr_kube::{ClusterConfig, Fleet};

use crate::mounted::Mounted;
use crate::support::{
    builder, config, fleet_with, key, kubeconfig_of, logged, served, server, snapshot, until, within,
};
use crate::traffic::{Watch, assert_goes_on, list, lists, watch};

/// A cluster whose client is in use.
pub(crate) struct InUse {
    pub(crate) server: TestServer,
    pub(crate) fleet: Fleet,
    pub(crate) client: kube::Client,
    revision: clientmgr_kube::ConnectedAt,
    watch: Watch,
}

impl InUse {
    pub(crate) async fn new(server: TestServer, fleet: Fleet) -> Self {
        let revision = fleet.wait_connected(&key("east")).await.unwrap();
        let client = served(&fleet, &key("east")).await.client;
        let watch = watch(&server, &client).await;
        Self { server, fleet, client, revision, watch }
    }

    /// Lists until the server sees `new`, and asserts that nothing failed and everything after it carried `new`.
    pub(crate) async fn assert_rotated_to(&mut self, new: Fingerprint) {
        within(async {
            while self.server.requests_matching(lists().with(new)).is_empty() {
                list(&self.client).await.expect("no request fails");
            }
        })
        .await;
        let marker = self.server.marker();
        for _ in 0..5 {
            list(&self.client).await.expect("no request fails");
        }
        let later = self.server.requests_matching(lists().since(marker));
        assert!(later.iter().all(|request| request.fingerprint == Some(new)), "{later:?}");
        assert_goes_on(&self.server, &mut self.watch, &format!("after-{new}")).await;
        let now = snapshot(&self.fleet, &key("east"));
        assert_eq!((now.connected_at, now.error.map(|error| error.to_string())), (Some(self.revision), None));
    }
}

#[tokio::test]
async fn an_inline_token_and_a_certificate_are_exchanged_through_upsert() {
    let server = server("east").await;
    let mut old = server.issue_token("alice");
    let fleet = builder().build();
    fleet.upsert("east", config(&server, &old));
    let mut in_use = InUse::new(server, fleet).await;
    let hour = Duration::from_secs(3600);
    let kinds: [fn(&TestServer, Duration) -> Credential; 4] = [
        |server, _| server.issue_token("alice"),
        |server, life| server.issue_certificate("alice", life).unwrap(),
        |server, life| server.issue_certificate("alice", life).unwrap(),
        |server, _| server.issue_token("alice"),
    ];
    for issue in kinds {
        let new = issue(&in_use.server, hour);
        in_use.fleet.upsert("east", config(&in_use.server, &new));
        // At once: nobody waits for the exchange.
        in_use.server.revoke(old.fingerprint());
        in_use.assert_rotated_to(new.fingerprint()).await;
        old = new;
    }
}

fn token_user(path: &Path) -> AuthInfo {
    AuthInfo { token_file: Some(path.to_str().unwrap().into()), ..AuthInfo::default() }
}

/// Replaces a file by a rename, as a rotation does.
fn put(path: &Path, content: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, content).unwrap();
    std::fs::rename(new, path).unwrap();
}

#[tokio::test]
async fn a_token_file_is_exchanged() {
    let server = server("east").await;
    let mut old = server.issue_token("alice");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    put(&path, old.token().unwrap());
    let (fleet, _) = fleet_with(&kubeconfig_of(&server, token_user(&path)));
    let mut in_use = InUse::new(server, fleet).await;
    for _ in 0..3 {
        let new = in_use.server.issue_token("alice");
        put(&path, new.token().unwrap());
        in_use.server.revoke(old.fingerprint());
        in_use.assert_rotated_to(new.fingerprint()).await;
        old = new;
    }
}

#[tokio::test]
async fn a_mounted_secret_is_exchanged_as_a_whole() {
    let server = server("east").await;
    let issue = |server: &TestServer| server.issue_certificate("alice", Duration::from_secs(3600)).unwrap();
    let mut old = issue(&server);
    let files = |credential: &Credential| {
        [
            ("tls.crt", credential.certificate_pem().unwrap().to_owned()),
            ("tls.key", credential.key_pem().unwrap().to_owned()),
        ]
    };
    let borrowed = |files: &[(&'static str, String); 2], use_them: &mut Mounted| {
        let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
        use_them.swap(&files);
    };
    let first = files(&old);
    let mut mounted = Mounted::new(&first.each_ref().map(|(name, text)| (*name, text.as_str())));
    let user = AuthInfo {
        client_certificate: mounted.path("tls.crt").to_str().map(str::to_owned),
        client_key: mounted.path("tls.key").to_str().map(str::to_owned),
        ..AuthInfo::default()
    };
    let (fleet, _) = fleet_with(&kubeconfig_of(&server, user));
    let mut in_use = InUse::new(server, fleet).await;
    for _ in 0..3 {
        let new = issue(&in_use.server);
        borrowed(&files(&new), &mut mounted);
        in_use.server.revoke(old.fingerprint());
        in_use.assert_rotated_to(new.fingerprint()).await;
        old = new;
    }
}

#[tokio::test]
async fn a_bundle_of_authorities_is_read_again_and_a_wrong_one_leaves_the_connection_in_use() {
    let (server, other) = (server("east").await, server("other").await);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.crt");
    let (own, foreign) = (server.ca_pem().unwrap(), other.ca_pem().unwrap());
    put(&path, &own);
    let mut kubeconfig: Kubeconfig = server.kubeconfig();
    let cluster = kubeconfig.clusters[0].cluster.as_mut().unwrap();
    cluster.certificate_authority_data = None;
    cluster.certificate_authority = path.to_str().map(str::to_owned);
    let (fleet, east) = fleet_with(&kubeconfig);
    let mut in_use = InUse::new(server, fleet).await;

    let marker = in_use.server.marker();
    put(&path, &format!("{foreign}{own}"));
    logged(&in_use.server, clientmgr_fake::apiserver::Requests::under("/version").since(marker).status(200)).await;

    put(&path, &foreign);
    let failed = until(&in_use.fleet, &east, |snapshot| snapshot.error.is_some()).await;
    assert!(failed.is_connected(), "{failed:?}");
    list(&in_use.client).await.unwrap();

    put(&path, &own);
    until(&in_use.fleet, &east, |snapshot| snapshot.error.is_none()).await;
    let admin = in_use.server.admin().fingerprint();
    in_use.assert_rotated_to(admin).await;
}

#[tokio::test]
async fn a_cluster_that_moves_keeps_its_revision_and_its_handle() {
    use tokio::io::copy_bidirectional;
    use tokio::net::{TcpListener, TcpStream};

    let server = server("east").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (door, behind) = (listener.local_addr().unwrap(), server.address());
    let forwarding = tokio::spawn(async move {
        while let Ok((mut visitor, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut host = TcpStream::connect(behind).await.unwrap();
                // An end by a reset is an end as well.
                let _ = copy_bidirectional(&mut visitor, &mut host).await;
            });
        }
    });
    let mut moved = server.kubeconfig();
    moved.clusters[0].cluster.as_mut().unwrap().server = Some(format!("https://{door}"));

    let fleet = crate::support::fleet_of(&[&server]);
    let in_use = InUse::new(server, fleet).await;
    let marker = in_use.server.marker();
    in_use.fleet.upsert("east", ClusterConfig::from_kubeconfig(&moved, "east"));
    logged(&in_use.server, clientmgr_fake::apiserver::Requests::under("/version").since(marker).status(200)).await;
    assert_eq!(in_use.fleet.reconnect(&key("east")).await.unwrap(), in_use.revision);
    list(&in_use.client).await.unwrap();
    forwarding.abort();
}
