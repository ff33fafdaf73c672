//! Tokens in files: cut to what is sent, and read again when the file changes.

use std::time::Duration;

use clientmgr_fake::apiserver::Requests;
use clientmgr_kube::kube::config::AuthInfo;

use crate::support::{fleet_with, kubeconfig_of, logged, served, server};

#[tokio::test]
async fn a_token_file_may_end_in_a_newline_and_is_read_again_in_place() {
    let server = server("east").await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let first = server.issue_token("alice");
    std::fs::write(&path, format!("{}\n", first.token().unwrap())).unwrap();
    let user = AuthInfo { token_file: Some(path.to_str().unwrap().into()), ..AuthInfo::default() };
    let (fleet, key) = fleet_with(&kubeconfig_of(&server, user));
    let revision = fleet.wait_connected(&key).await.unwrap();

    let second = server.rotate_token(&first, Duration::from_secs(3600));
    std::fs::write(&path, format!("{}\n", second.token().unwrap())).unwrap();
    // Nobody asks for it.
    logged(&server, Requests::any().with(second.fingerprint()).status(200)).await;
    assert_eq!(served(&fleet, &key).await.revision, revision);
}
