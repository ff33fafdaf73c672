//! Cluster profiles, with a credential plugin.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clientmgr_fake::apiserver::TestServer;
use clientmgr_runtime::source::{AccessProviders, ClusterProfiles, SourceError};
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::fixture::{Fed, Hub, key, put, variables};

/// A plugin that writes down what it was started with, and issues the token in `TOKEN`.
fn plugin(directory: &Path) -> String {
    let path = directory.join("plugin");
    let script = format!(
        "#!/bin/sh\ncd '{}'\n{{ echo \"args=$*\"; echo \"info=$KUBERNETES_EXEC_INFO\"; }} > $NAME.new\n\
         mv $NAME.new $NAME\n\
         echo '{{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"kind\": \"ExecCredential\", \
         \"status\": {{\"token\": \"'$TOKEN'\"}}}}'\n",
        directory.display()
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn providers(command: &str) -> AccessProviders {
    AccessProviders::from_json(providers_file(command).as_bytes()).unwrap()
}

fn providers_file(command: &str) -> String {
    json!({"providers": [
        {"name": "not-offered", "execConfig": {"apiVersion": "client.authentication.k8s.io/v1", "command": "false"}},
        {
            "name": "tokens", "profileSourcedCLIArgsPolicy": "Append", "profileSourcedEnvVarsPolicy": "AppendIfNotExists",
            "execConfig": {
                "apiVersion": "client.authentication.k8s.io/v1", "command": command, "args": ["get"],
                "provideClusterInfo": true,
            },
        },
    ]})
    .to_string()
}

fn profile(version: &str, name: &str, member: &TestServer, user: &str) -> Value {
    let token = member.issue_token(user);
    let ca = STANDARD.encode(member.ca_pem().unwrap());
    json!({
        "apiVersion": format!("multicluster.x-k8s.io/{version}"), "kind": "ClusterProfile", "metadata": {"name": name},
        "status": {"accessProviders": [{"name": "tokens", "cluster": {
            "server": member.url(), "certificate-authority-data": ca, "tls-server-name": "localhost",
            "extensions": [
                {"name": "client.authentication.k8s.io/exec", "extension": {"clusterName": name}},
                {"name": "clusterprofiles.multicluster.x-k8s.io/exec/additional-args", "extension": ["--for", name]},
                {
                    "name": "clusterprofiles.multicluster.x-k8s.io/exec/additional-envs",
                    "extension": {"NAME": name, "TOKEN": token.token().unwrap()},
                },
            ],
        }}]},
    })
}

#[tokio::test]
async fn a_profile_connects_by_its_providers_plugin_and_none_reaches_another() {
    let hub = Hub::start().await;
    let member = TestServer::start_default().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let version = "v1alpha2";
    let profiles = hub.install("multicluster.x-k8s.io", version, "ClusterProfile", "clusterprofiles").await;
    for name in ["east", "west"] {
        put(&profiles, profile(version, name, &member, name)).await;
    }
    let source = ClusterProfiles::new(hub.client.clone(), providers(&plugin(directory.path())));
    let mut fed = Fed::by(|sources| sources.source("profiles", source.watch()));
    for name in ["east", "west"] {
        fed.connected(&key(name)).await;
        assert_eq!(fed.user(&key(name)).await, name);
        let written = fs::read_to_string(directory.path().join(name)).unwrap();
        let written = variables(&written);
        assert_eq!(written["args"], format!("get --for {name}"), "only its own arguments, once");
        let info: Value = serde_json::from_str(written["info"]).unwrap();
        let expected = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
            "spec": {"interactive": false, "cluster": {
                "server": member.url(), "tls-server-name": "localhost", "config": {"clusterName": name},
                "certificate-authority-data": STANDARD.encode(member.ca_pem().unwrap()),
            }},
        });
        assert_eq!(info, expected);
    }
    // Another token for the same cluster is a rotation.
    let revision = fed.revision(&key("east"));
    put(&profiles, profile(version, "east", &member, "new")).await;
    fed.until("the new credential is in use", |fleet, _| {
        fleet.snapshot(key("east")).unwrap().user.as_deref() == Some("new")
    })
    .await;
    assert_eq!(fed.revision(&key("east")), revision);
    let mut none = profile(version, "east", &member, "new");
    none["status"] = json!({"accessProviders": []});
    put(&profiles, none).await;
    fed.broken(&key("east"), "status.accessProviders: it is missing").await;
    profiles.delete("west", &DeleteParams::default()).await.unwrap();
    fed.gone(&key("west")).await;
    assert_eq!(fed.fleet.clusters(), [key("east")]);
    // Made again it is another incarnation.
    let before = fed.revision(&key("east"));
    profiles.delete("east", &DeleteParams::default()).await.unwrap();
    fed.gone(&key("east")).await;
    put(&profiles, profile(version, "east", &member, "new")).await;
    assert!(fed.connected(&key("east")).await > before);
    let mut denied = profile(version, "east", &member, "new");
    denied["status"]["accessProviders"][0]["cluster"]["server"] = json!(member.url().replace("https", "http"));
    put(&profiles, denied).await;
    fed.broken(&key("east"), "status.accessProviders[0].cluster.server").await;
}

#[tokio::test]
async fn a_hub_without_the_inventory_says_so_until_it_is_installed() {
    let hub = Hub::start().await;
    let member = TestServer::start_default().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let source = ClusterProfiles::new(hub.client.clone(), providers(&plugin(directory.path())));
    let mut fed = Fed::by(|sources| sources.source("profiles", source.watch()));
    fed.source("the kind is not served", |source| {
        matches!(source.error, Some(SourceError::NotServed { kind: "ClusterProfile", .. }))
    })
    .await;
    let profiles = hub.install("multicluster.x-k8s.io", "v1alpha2", "ClusterProfile", "clusterprofiles").await;
    put(&profiles, profile("v1alpha2", "east", &member, "east")).await;
    fed.connected(&key("east")).await;
    fed.source("the source works", |source| source.error.is_none()).await;
}

#[tokio::test]
async fn an_older_hub_offers_access_under_the_older_name() {
    let hub = Hub::start().await;
    let member = TestServer::start_default().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let profiles = hub.install("multicluster.x-k8s.io", "v1alpha1", "ClusterProfile", "clusterprofiles").await;
    let mut older = profile("v1alpha1", "east", &member, "east");
    let accesses = older["status"].as_object_mut().unwrap().remove("accessProviders").unwrap();
    older["status"]["credentialProviders"] = accesses;
    put(&profiles, older).await;
    let source = ClusterProfiles::new(hub.client.clone(), providers(&plugin(directory.path())));
    let mut fed = Fed::by(|sources| sources.source("profiles", source.watch()));
    fed.connected(&key("east")).await;
    assert_eq!(fed.user(&key("east")).await, "east");
}

#[tokio::test]
async fn the_providers_file_is_read_again_when_it_changes_and_the_last_valid_one_counts() {
    let (hub, member) = (Hub::start().await, TestServer::start_default().await.unwrap());
    let directory = tempfile::tempdir().unwrap();
    let profiles = hub.install("multicluster.x-k8s.io", "v1alpha2", "ClusterProfile", "clusterprofiles").await;
    put(&profiles, profile("v1alpha2", "east", &member, "east")).await;
    let path = directory.path().join("providers.json");
    let replace = |text: &str| {
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, &path).unwrap();
    };
    let source = ClusterProfiles::from_file(hub.client.clone(), &path);
    let mut fed = Fed::by(|sources| sources.source("profiles", source.watch()));
    fed.source("there is no file", |source| matches!(source.error, Some(SourceError::File { .. }))).await;
    assert!(fed.fleet.clusters().is_empty());

    let command = plugin(directory.path());
    replace(&providers_file(&command));
    let revision = fed.connected(&key("east")).await;
    fed.source("the source works", |source| source.synced && source.error.is_none()).await;
    replace("{");
    fed.source("the file is broken", |source| matches!(source.error, Some(SourceError::Malformed { .. }))).await;
    put(&profiles, profile("v1alpha2", "west", &member, "west")).await;
    fed.connected(&key("west")).await;
    assert_eq!(fed.user(&key("east")).await, "east");

    // Another plugin for the same clusters: a rotation.
    let other = directory.path().join("other");
    fs::create_dir(&other).unwrap();
    replace(&providers_file(&plugin(&other)));
    fed.source("the source works again", |source| source.error.is_none()).await;
    fed.until("the other plugin runs", |_, _| other.join("east").exists() && other.join("west").exists()).await;
    assert_eq!(fed.connected(&key("east")).await, revision);
}
