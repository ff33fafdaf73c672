//! Tokens that are renewed in place: when, for which requests, and what is left behind.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use clientmgr_fake::apiserver::ApiServer;
use clientmgr_kube::kube::config::{AuthInfo, ExecConfig};
use tokio::runtime::Handle;

use crate::support::{PATIENCE, fleet_with, kubeconfig_of, served, server};

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
            ..ExecConfig::default()
        };
        AuthInfo { exec: Some(exec), ..AuthInfo::default() }
    }
}

#[tokio::test]
async fn a_renewal_that_hangs_ends_with_the_last_of_its_client() {
    let server = ApiServer::builder().name("east").plain_http().start().await.unwrap();
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let token = server.issue_token("alice");
    let plugin = Plugin::new(token.token().unwrap());
    let (fleet, east) = fleet_with(&kubeconfig_of(&server, plugin.user()));
    fleet.connect(&east).await.unwrap();
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
    let ends = async {
        while tasks() > before || process.exists() {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE / 2, ends).await.is_ok();
    assert!(in_time, "{} and not {before} tasks, and the plugin is {:?}", tasks(), process.exists());
}

#[tokio::test]
async fn a_token_that_is_refused_soon_after_the_connect_is_renewed_at_once() {
    for with_plugin in [false, true] {
        let server = server("east").await;
        let first = server.issue_token("alice");
        let plugin = Plugin::new(first.token().unwrap());
        let (fleet, east) =
            fleet_with(&kubeconfig_of(&server, if with_plugin { plugin.user() } else { plugin.file_user() }));
        fleet.connect(&east).await.unwrap();
        let second = server.rotate_token(&first, Duration::ZERO);
        plugin.set(second.token().unwrap());

        let client = served(&fleet, &east).await.client;
        let _refused = client.list_core_api_versions().await;
        client.list_core_api_versions().await.unwrap();
    }
}
