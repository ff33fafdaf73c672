//! Fields that are there and empty, as templates leave them behind: the same as fields that are not there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clientmgr_fake::apiserver::TestServer;
use clientmgr_kube::ConnectErrorKind;
use clientmgr_kube::kube::config::{AuthInfo, Cluster, Kubeconfig};

use crate::support::{assert_refused, fleet_with, kubeconfig, kubeconfig_of, server, snapshot};

/// As which user the server sees that of `kubeconfig`.
async fn user_of(kubeconfig: &Kubeconfig) -> String {
    let (fleet, key) = fleet_with(kubeconfig);
    fleet.wait_connected(&key).await.unwrap();
    fleet.probe(&key).await.unwrap();
    snapshot(&fleet, &key).user.expect("the server names the user")
}

fn with_cluster(server: &TestServer, edit: impl FnOnce(&mut Cluster)) -> Kubeconfig {
    let mut kubeconfig = server.kubeconfig();
    edit(kubeconfig.clusters[0].cluster.as_mut().unwrap());
    kubeconfig
}

#[tokio::test]
async fn an_empty_token_gives_way_to_other_credentials() {
    let server = server("east").await;
    let alice = server.issue_certificate("alice", std::time::Duration::from_secs(3600)).unwrap();
    let user = AuthInfo {
        token: Some("".into()),
        token_file: Some(String::new()),
        username: Some(String::new()),
        password: Some("".into()),
        impersonate: Some(String::new()),
        client_certificate: Some(String::new()),
        client_certificate_data: Some(STANDARD.encode(alice.certificate_pem().unwrap())),
        client_key_data: Some(STANDARD.encode(alice.key_pem().unwrap()).into()),
        ..AuthInfo::default()
    };
    assert_eq!(user_of(&kubeconfig_of(&server, user)).await, "alice");
}

#[tokio::test]
async fn an_empty_certificate_gives_way_to_a_token() {
    let server = server("east").await;
    let bob = server.issue_token("bob");
    let user = AuthInfo {
        token: Some(bob.token().unwrap().into()),
        client_certificate_data: Some(String::new()),
        client_key_data: Some("".into()),
        client_key: Some(String::new()),
        ..AuthInfo::default()
    };
    assert_eq!(user_of(&kubeconfig_of(&server, user)).await, "bob");
}

#[tokio::test]
async fn empty_embedded_material_gives_way_to_a_file() {
    let server = server("east").await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca");
    std::fs::write(&path, server.ca_pem().unwrap()).unwrap();
    let kubeconfig = with_cluster(&server, |cluster| {
        cluster.certificate_authority_data = Some(String::new());
        cluster.certificate_authority = Some(path.to_str().unwrap().into());
    });
    user_of(&kubeconfig).await;
}

#[tokio::test]
async fn an_empty_server_name_or_proxy_is_none() {
    let server = server("east").await;
    let kubeconfig = with_cluster(&server, |cluster| {
        cluster.tls_server_name = Some(String::new());
        cluster.proxy_url = Some(String::new());
        cluster.certificate_authority = Some(String::new());
    });
    user_of(&kubeconfig).await;
}

#[tokio::test]
async fn an_empty_token_that_is_all_there_is_makes_no_anonymous_request() {
    let empty = kubeconfig(|_, user| user.token = Some("".into()));
    assert_refused(&empty, ConnectErrorKind::NoCredentials, "users[0].user.token", "the token cannot be used").await;
}
