//! Tokens that are renewed in place: when, for which requests, and what is left behind.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use clientmgr_fake::apiserver::{Credential, Requests, TestServer};
use clientmgr_kube::k8s_openapi::api::core::v1::ConfigMap;
use clientmgr_kube::kube::api::{ObjectMeta, PostParams};
use clientmgr_kube::kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use clientmgr_kube::kube::{Api, Client};
use clientmgr_kube::{ClusterConfig, ConnectErrorKind, ConnectedAt, Fleet, NamespacedName};
use futures::future::join_all;
use tokio::runtime::Handle;

use crate::support::{PATIENCE, fleet_with, kubeconfig_of, served, server, until};

const V1: &str = "client.authentication.k8s.io/v1";

/// A plugin that prints the token in a file, and hangs where there is another file.
struct Plugin {
    directory: tempfile::TempDir,
}

impl Plugin {
    fn new(token: &str) -> Self {
        let plugin = Self { directory: tempfile::tempdir().unwrap() };
        plugin.set(token);
        plugin
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn set(&self, token: &str) {
        std::fs::write(self.file("token"), token).unwrap();
    }

    /// From now on it hangs.
    fn hang(&self) {
        std::fs::write(self.file("hang"), "").unwrap();
    }

    /// The process that hangs, once there is one.
    async fn hanging(&self) -> PathBuf {
        let pid = self.file("pid");
        loop {
            match std::fs::read_to_string(&pid) {
                Ok(pid) if pid.ends_with('\n') => return Path::new("/proc").join(pid.trim()),
                _ => tokio::task::yield_now().await,
            }
        }
    }

    /// A user whose token is in the file, without the plugin.
    fn file_user(&self) -> AuthInfo {
        AuthInfo { token_file: Some(self.file("token").to_str().unwrap().into()), ..AuthInfo::default() }
    }

    fn runs(&self) -> usize {
        std::fs::read_to_string(self.file("runs")).unwrap_or_default().lines().count()
    }

    /// A user whose token the plugin prints.
    fn user(&self) -> AuthInfo {
        let text = format!(
            r#"cd '{}'; test -e hang && echo $$ > pid && exec sleep 3600; echo run >> runs
            printf '{{"apiVersion":"{V1}","kind":"ExecCredential","status":{{"token":"%s"}}}}' "$(cat token)""#,
            self.directory.path().display()
        );
        let exec = ExecConfig {
            api_version: Some(V1.into()),
            command: Some("/bin/sh".into()),
            args: Some(vec!["-c".into(), text]),
            interactive_mode: Some(ExecInteractiveMode::Never),
            ..ExecConfig::default()
        };
        AuthInfo { exec: Some(exec), ..AuthInfo::default() }
    }
}

#[tokio::test]
async fn a_renewal_that_hangs_ends_with_the_last_of_its_client() {
    let server = TestServer::builder().name("east").plain_http().start().await.unwrap();
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let token = server.issue_token("alice");
    let plugin = Plugin::new(token.token().unwrap());
    let (fleet, east) = fleet_with(&kubeconfig_of(&server, plugin.user()));
    fleet.wait_connected(&east).await.unwrap();
    plugin.hang();
    server.revoke(token.fingerprint());

    let client = served(&fleet, &east).await.client;
    let process = {
        // Whichever request it is that waits for the renewal.
        let asking = std::pin::pin!(async { while client.apiserver_version().await.is_err() {} });
        let hanging = std::pin::pin!(plugin.hanging());
        match futures::future::select(asking, hanging).await {
            futures::future::Either::Left(_) => panic!("the token is refused"),
            futures::future::Either::Right((process, _)) => process,
        }
    };
    drop((client, fleet));
    // Elsewhere there is no such file, whether the process goes on or not.
    let plugin_runs = || cfg!(target_os = "linux") && process.exists();
    let ends = async {
        while tasks() > before || plugin_runs() {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE / 2, ends).await.is_ok();
    assert!(in_time, "{} and not {before} tasks, and the plugin runs: {}", tasks(), plugin_runs());
}

/// A cluster that was connected with a token which is refused by now, and whose plugin or file has the next one.
struct Rotated {
    server: TestServer,
    fleet: Fleet,
    cluster: NamespacedName,
    revision: ConnectedAt,
    second: Credential,
    source: Plugin,
}

impl Rotated {
    async fn each(user: [fn(&Plugin) -> AuthInfo; 2]) -> Vec<Self> {
        join_all(user.map(Self::new)).await
    }

    async fn new(user: fn(&Plugin) -> AuthInfo) -> Self {
        let server = server("east").await;
        let first = server.issue_token("alice");
        let source = Plugin::new(first.token().unwrap());
        let (fleet, cluster) = fleet_with(&kubeconfig_of(&server, user(&source)));
        let revision = fleet.wait_connected(&cluster).await.unwrap();
        let second = server.rotate_token(&first, Duration::ZERO);
        source.set(second.token().unwrap());
        Self { server, fleet, cluster, revision, second, source }
    }

    async fn client(&self) -> Client {
        served(&self.fleet, &self.cluster).await.client
    }
}

#[tokio::test]
async fn a_probe_that_meets_a_refused_token_renews_it_and_keeps_the_connection_in_service() {
    for rotated in Rotated::each([Plugin::user, Plugin::file_user]).await {
        let Rotated { fleet, cluster, revision, .. } = &rotated;
        assert_eq!(fleet.probe(cluster).await.unwrap(), *revision);
        assert_eq!(fleet.wait_connected(cluster).await.unwrap(), *revision);
        assert_eq!(served(fleet, cluster).await.revision, *revision);
    }
}

#[tokio::test]
async fn a_request_whose_token_is_refused_is_sent_again_with_the_next_one() {
    for rotated in Rotated::each([Plugin::user, Plugin::file_user]).await {
        let client = rotated.client().await;
        let is_file = rotated.source.runs() == 0;
        if is_file {
            // A file is read when it changes, so that nothing is refused. This waits for it.
            rotated.fleet.reconnect(&rotated.cluster).await.unwrap();
        }
        let marker = rotated.server.marker();
        // With a body, which is to arrive as a whole.
        let map = ConfigMap {
            metadata: ObjectMeta { name: Some("settings".into()), ..ObjectMeta::default() },
            data: Some([("color".into(), "blue".into())].into()),
            ..ConfigMap::default()
        };
        let created = Api::<ConfigMap>::default_namespaced(client).create(&PostParams::default(), &map).await.unwrap();
        assert_eq!(created.data, map.data);
        let log = rotated.server.requests_matching(Requests::to("configmaps").since(marker));
        let statuses: Vec<_> = log.iter().map(|request| request.status.unwrap()).collect();
        assert_eq!(statuses, if is_file { vec![201] } else { vec![401, 201] });
    }
}

#[tokio::test]
async fn requests_that_are_refused_together_share_one_renewal() {
    let rotated = Rotated::new(Plugin::user).await;
    let client = rotated.client().await;
    let outcomes = join_all((0..8).map(|_| client.list_core_api_versions())).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(rotated.source.runs(), 2);
    rotated.server.wait_for(Requests::any().with(rotated.second.fingerprint()).status(200)).await;
}

#[tokio::test]
async fn a_token_that_is_refused_for_good_shows_and_its_plugin_does_not_run_for_every_probe() {
    let rotated = Rotated::new(Plugin::user).await;
    rotated.server.revoke(rotated.second.fingerprint());
    for _ in 0..5 {
        let error = rotated.fleet.probe(&rotated.cluster).await.unwrap_err();
        assert_eq!(error.kind(), ConnectErrorKind::Unauthorized, "{error:?}");
    }
    assert_eq!(rotated.source.runs(), 2, "once at the connect, once since");
}

#[tokio::test]
async fn while_another_configuration_fails_the_credentials_in_use_are_renewed() {
    for by_file in [false, true] {
        let server = server("east").await;
        let tokens = [server.issue_token("alice"), server.issue_token("alice"), server.issue_token("alice")];
        let plugin = Plugin::new(tokens[0].token().unwrap());
        let user = if by_file { plugin.file_user() } else { plugin.user() };
        let (fleet, east) = fleet_with(&kubeconfig_of(&server, user));
        let revision = fleet.wait_connected(&east).await.unwrap();
        let client = served(&fleet, &east).await.client;

        let mut elsewhere = server.kubeconfig();
        elsewhere.clusters[0].cluster.as_mut().unwrap().server = Some("https://127.0.0.1:1".into());
        fleet.upsert("east", ClusterConfig::from_kubeconfig(&elsewhere, "east"));
        until(&fleet, &east, |now| now.error.is_some()).await;
        for pair in tokens.windows(2) {
            plugin.set(pair[1].token().unwrap());
            server.revoke(pair[0].fingerprint());
            tokio::time::timeout(PATIENCE, client.apiserver_version()).await.expect("in time").unwrap();
        }
        let now = fleet.snapshot(&east).unwrap();
        assert!(now.is_connected() && now.connected_at == Some(revision) && now.error.is_some(), "{now:?}");
        fleet.shutdown().await;
    }
}
