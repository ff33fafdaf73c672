//! The wall clock: renewal at 80 % of a credential's life, and jumps.
#![cfg(unix)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use clientmgr_fake::apiserver::{Requests, TestServer};
use clientmgr_kube::kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use clientmgr_kube::{ClusterConfig, Fleet};
use jiff::{SignedDuration, Timestamp};

use crate::support::{add, attempts, builder, key, kubeconfig_of, logged, served, server, snapshot, until};
use crate::traffic::{list, lists};

const V1: &str = "client.authentication.k8s.io/v1";

/// The system's clock, and how far a test set it ahead.
#[derive(Clone, Default)]
struct Wall(Arc<AtomicI64>);

impl Wall {
    fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_secs(self.0.load(Ordering::SeqCst))
    }

    fn jump(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    fn fleet(&self) -> Fleet {
        let wall = self.clone();
        builder().probe_interval(Duration::from_secs(3600)).wall_clock(move || wall.now()).build()
    }
}

/// A plugin that prints what is in its file.
struct Plugin(tempfile::TempDir);

impl Plugin {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn issues(&self, status: &str) {
        let text = format!(r#"{{"apiVersion":"{V1}","kind":"ExecCredential","status":{{{status}}}}}"#);
        let new = self.0.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.0.path().join("credential")).unwrap();
    }

    fn config(&self, server: &TestServer) -> ClusterConfig {
        let exec = ExecConfig {
            api_version: Some(V1.into()),
            command: Some("cat".into()),
            args: Some(vec![self.0.path().join("credential").to_str().unwrap().into()]),
            interactive_mode: Some(ExecInteractiveMode::Never),
            ..ExecConfig::default()
        };
        let user = AuthInfo { exec: Some(exec), ..AuthInfo::default() };
        ClusterConfig::from_kubeconfig(&kubeconfig_of(server, user), server.name())
    }
}

#[tokio::test]
async fn a_plugins_token_and_certificate_are_renewed_at_80_percent_of_their_life() {
    let server = server("east").await;
    let (wall, plugin) = (Wall::default(), Plugin::new());
    let ends = |seconds| (wall.now() + SignedDuration::from_secs(seconds)).to_string();
    let token = server.issue_token("alice");
    let first_end = ends(1_000);
    plugin.issues(&format!(r#""token":"{}","expirationTimestamp":"{first_end}""#, token.token().unwrap()));
    let fleet = wall.fleet();
    fleet.upsert("east", plugin.config(&server));
    let east = key("east");
    let revision = fleet.wait_connected(&east).await.unwrap();
    let client = served(&fleet, &east).await.client;
    assert_eq!(snapshot(&fleet, &east).credentials_expire_at, Some(first_end.parse().unwrap()));

    let hours = Duration::from_secs(36_000);
    let certificate = server.issue_certificate("alice", hours).unwrap();
    let quoted = |pem: &str| pem.replace('\n', "\\n");
    let (pem, key_pem) = (quoted(certificate.certificate_pem().unwrap()), quoted(certificate.key_pem().unwrap()));
    plugin.issues(&format!(
        r#""clientCertificateData":"{pem}","clientKeyData":"{key_pem}","expirationTimestamp":"{}""#,
        ends(10_000)
    ));
    wall.jump(700);
    fleet.probe(&east).await.unwrap();
    assert!(server.requests_matching(Requests::any().with(certificate.fingerprint())).is_empty(), "too early");
    wall.jump(150);
    logged(&server, Requests::under("/version").with(certificate.fingerprint()).status(200)).await;
    until(&fleet, &east, |now| now.credentials_expire_at > Some(first_end.parse().unwrap())).await;
    server.revoke(token.fingerprint());
    list(&client).await.unwrap();
    assert_eq!(server.requests_matching(lists()).last().unwrap().fingerprint, Some(certificate.fingerprint()));
    assert_eq!(served(&fleet, &east).await.revision, revision);
}

#[tokio::test]
async fn a_token_that_ended_while_it_lay_unused_is_not_sent() {
    let server = server("east").await;
    let (wall, plugin) = (Wall::default(), Plugin::new());
    let issue = || {
        let token = server.issue_token("alice");
        let ends = wall.now() + SignedDuration::from_secs(600);
        plugin.issues(&format!(r#""token":"{}","expirationTimestamp":"{ends}""#, token.token().unwrap()));
        token
    };
    let first = issue();
    let fleet = wall.fleet();
    fleet.upsert("east", plugin.config(&server));
    fleet.wait_connected(&key("east")).await.unwrap();
    let client = served(&fleet, &key("east")).await.client;
    wall.jump(3_600);
    let second = issue();
    let marker = server.marker();
    list(&client).await.unwrap();
    let log = server.requests_matching(lists().since(marker));
    assert!(log.iter().all(|request| request.fingerprint == Some(second.fingerprint())), "{first:?}: {log:?}");
}

#[tokio::test]
async fn a_renewal_that_fails_shows_and_leaves_the_client_in_use_until_it_succeeds() {
    let server = server("east").await;
    let (wall, plugin) = (Wall::default(), Plugin::new());
    let token = server.issue_token("alice");
    let issues = || {
        let ends = wall.now() + SignedDuration::from_secs(1_000);
        plugin.issues(&format!(r#""token":"{}","expirationTimestamp":"{ends}""#, token.token().unwrap()));
    };
    issues();
    let fleet = wall.fleet();
    fleet.upsert("east", plugin.config(&server));
    let east = key("east");
    fleet.wait_connected(&east).await.unwrap();
    let client = served(&fleet, &east).await.client;

    plugin.issues(r#""token":"two words""#);
    wall.jump(900);
    let failed = until(&fleet, &east, |now| now.error.is_some()).await;
    assert!(failed.is_connected(), "{failed:?}");
    assert!(failed.error.unwrap().to_string().contains("the token of the credential plugin \"cat\" cannot be used"));
    list(&client).await.unwrap();

    issues();
    fleet.reconnect(&east).await.unwrap();
    assert!(snapshot(&fleet, &east).error.is_none());
}

#[tokio::test]
async fn a_jump_of_the_clock_probes_at_once_and_a_jump_back_breaks_nothing() {
    let server = server("east").await;
    let wall = Wall::default();
    let fleet = add(wall.fleet(), &[&server]);
    let east = key("east");
    let revision = fleet.wait_connected(&east).await.unwrap();
    for jump in [86_400, -172_800, 86_400] {
        let marker = server.marker();
        wall.jump(jump);
        logged(&server, Requests::under("/readyz").since(marker).status(200)).await;
        assert_eq!(fleet.reconnect(&east).await.unwrap(), revision);
    }
    list(&served(&fleet, &east).await.client).await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_by_the_local_clock_is_used_as_long_as_the_server_takes_it() {
    let day = 86_400;
    // (how far the local clock is off, whether the certificate is in files)
    for (off, in_files) in [(-day, false), (-day, true), (day, false), (day, true)] {
        let server = server("east").await;
        let certificate = server.issue_certificate("alice", Duration::from_secs(3_600)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let config = if in_files {
            let file = |name: &str, text: Option<&str>| {
                let path = directory.path().join(name);
                std::fs::write(&path, text.unwrap()).unwrap();
                path.to_str().map(str::to_owned)
            };
            let client_certificate = file("crt", certificate.certificate_pem());
            let client_key = file("key", certificate.key_pem());
            let user = AuthInfo { client_certificate, client_key, ..AuthInfo::default() };
            ClusterConfig::from_kubeconfig(&kubeconfig_of(&server, user), "east")
        } else {
            crate::support::config(&server, &certificate)
        };
        let wall = Wall::default();
        wall.jump(off);
        let fleet = wall.fleet();
        fleet.upsert("east", config);
        let east = key("east");
        fleet.wait_connected(&east).await.unwrap();
        let client = served(&fleet, &east).await.client;
        for _ in 0..5 {
            list(&client).await.unwrap();
        }
        let shown = snapshot(&fleet, &east);
        assert!(shown.is_connected() && shown.error.is_none(), "{shown:?}");
        let is_over = shown.credentials_expire_at.unwrap() < wall.now();
        assert_eq!(is_over, off > 0, "the snapshot shows its end by the certificate");
        assert_eq!(attempts(&fleet, &server).await, 1, "off by {off} s: no request asks for another one");
    }
}
