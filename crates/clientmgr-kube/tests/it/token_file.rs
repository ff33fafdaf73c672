//! Tokens in files: cut to what is sent, and read again.

use std::time::Duration;

use clientmgr_fake::apiserver::Requests;
use clientmgr_kube::kube::config::AuthInfo;

use crate::support::{fleet_with, kubeconfig_of, served, server};

#[tokio::test]
async fn a_token_file_may_end_in_a_newline_and_is_read_again_in_place() {
    let server = server("east").await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let first = server.issue_token("alice");
    std::fs::write(&path, format!("{}\n", first.token().unwrap())).unwrap();
    let user = AuthInfo { token_file: Some(path.to_str().unwrap().into()), ..AuthInfo::default() };
    let (fleet, key) = fleet_with(&kubeconfig_of(&server, user));
    let revision = fleet.connect(&key).await.unwrap();

    let second = server.rotate_token(&first, Duration::from_secs(3600));
    std::fs::write(&path, format!("{}\n", second.token().unwrap())).unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();

    // No request fails: the old token is good until the new one is read.
    let client = served(&fleet, &key).await.client;
    while server.requests_matching(Requests::any().with(second.fingerprint())).is_empty() {
        client.list_core_api_versions().await.unwrap();
    }
    assert_eq!(served(&fleet, &key).await.revision, revision);
}
