//! The service account of a Pod: token and certificate authority in files, which the kubelet exchanges together.
#![cfg(unix)]

use clientmgr_fake::apiserver::{Credential, TestServer};
use clientmgr_kube::{ClusterConfig, ConnectErrorKind};

use crate::mounted::Mounted;
use crate::rotation::InUse;
use crate::support::{builder, key, server, until};
use crate::traffic::list;

fn account<'a>(token: &'a Credential, authorities: &'a str) -> [(&'static str, &'a str); 3] {
    [("token", token.token().unwrap()), ("ca.crt", authorities), ("namespace", "default")]
}

async fn in_use(server: TestServer, mounted: &Mounted) -> InUse {
    let fleet = builder().build();
    fleet.upsert("east", ClusterConfig::of_service_account(server.url(), mounted.directory()));
    InUse::new(server, fleet).await
}

#[tokio::test]
async fn token_and_authority_are_exchanged_under_the_client() {
    let (server, other) = (server("east").await, server("other").await);
    let (own, foreign) = (server.ca_pem().unwrap(), other.ca_pem().unwrap());
    let mut old = server.issue_token("alice");
    let mut mounted = Mounted::new(&account(&old, &own));
    let mut in_use = in_use(server, &mounted).await;
    // The authorities are those of before and after a rotation.
    for authorities in [format!("{foreign}{own}"), format!("{own}{foreign}"), own] {
        let new = in_use.server.issue_token("alice");
        mounted.swap(&account(&new, &authorities));
        in_use.server.revoke(old.fingerprint());
        in_use.assert_rotated_to(new.fingerprint()).await;
        old = new;
    }
}

#[tokio::test]
async fn an_authority_that_the_server_is_not_of_leaves_the_client_in_use() {
    let (server, other) = (server("east").await, server("other").await);
    let (own, foreign) = (server.ca_pem().unwrap(), other.ca_pem().unwrap());
    let first = server.issue_token("alice");
    let mut mounted = Mounted::new(&account(&first, &own));
    let mut in_use = in_use(server, &mounted).await;
    let second = in_use.server.issue_token("alice");
    mounted.swap(&account(&second, &foreign));
    let failed = until(&in_use.fleet, &key("east"), |now| now.error.is_some()).await;
    assert_eq!((failed.is_connected(), failed.error.unwrap().kind()), (true, ConnectErrorKind::Tls));
    list(&in_use.client).await.unwrap();

    mounted.swap(&account(&second, &own));
    until(&in_use.fleet, &key("east"), |now| now.error.is_none()).await;
    in_use.server.revoke(first.fingerprint());
    in_use.assert_rotated_to(second.fingerprint()).await;
}
