//! Credentials that change in the Secret.

use clientmgr_fake::apiserver::Requests;
use clientmgr_kube::ClientProvider as _;
use clientmgr_kube::kube::Api;
use clientmgr_kube::kube::api::ListParams;
use clientmgr_runtime::cluster::ConditionType;
use clientmgr_runtime::controller::SecretWatch;
use k8s_openapi::api::core::v1::ConfigMap;

use super::fixture::{Hub, condition, conditions, key, remote, within};

#[tokio::test]
async fn a_rotated_secret_is_in_use_without_a_reset_or_a_failed_request() {
    for watch in [SecretWatch::PerNamespace, SecretWatch::PerSecret] {
        let (hub, east) = (Hub::start().await, remote("east").await);
        let running = hub.run(|settings| settings.secret_watch(watch));
        let first = east.issue_token("alice");
        hub.kubeconfig("east", &east, &first).await;
        hub.create("east", super::fixture::by_secret("east")).await;
        let before = hub.until_ready("east").await;
        let connection = running.provider.connection(&key("east")).await.unwrap();
        let maps: Api<ConfigMap> = Api::default_namespaced(connection.client.clone());
        let object = ConfigMap::default();
        running.clients.client(&object, &before).await.unwrap();

        let (marker, hub_marker) = (east.marker(), hub.server.marker());
        let second = east.issue_token("alice");
        hub.kubeconfig("east", &east, &second).await;
        // Requests of the handle go on, first with the old credential and then with the new one.
        within(async {
            let new = Requests::list("configmaps").since(marker).with(second.fingerprint());
            while east.requests_matching(new.clone()).is_empty() {
                maps.list(&ListParams::default()).await.unwrap();
            }
        })
        .await;
        east.revoke(first.fingerprint());
        maps.list(&ListParams::default()).await.unwrap();

        let after = running.provider.connection(&key("east")).await.unwrap();
        assert_eq!(after.revision, connection.revision);
        assert!(!running.clients.refresh(&object, &before).is_reset());
        // One read for one event, and no status write.
        let reads = Requests::get("secrets").name("east").since(hub_marker);
        assert_eq!(hub.server.requests_matching(reads).len(), 1);
        assert_eq!(hub.status_writes("east").len(), 1);
        running.kill().await;
    }
}

#[tokio::test]
async fn refused_credentials_show_and_leave_the_old_ones_in_use() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let running = hub.run(|settings| settings);
    hub.declare("east", &east).await;
    let before = hub.until_ready("east").await;

    let revoked = east.issue_token("bob");
    east.revoke(revoked.fingerprint());
    hub.kubeconfig("east", &east, &revoked).await;
    let refused = hub.until("east", |it| condition(it, ConditionType::CredentialsValid).0 == "False").await;
    assert_eq!(
        conditions(&refused),
        ["Connected=True/Connected", "Ready=False/Unauthorized", "CredentialsValid=False/Unauthorized"]
    );
    let message = condition(&refused, ConditionType::Ready).2;
    assert!(message.ends_with("; the previous connection stays in use"), "{message}");
    let status = refused.status.unwrap();
    assert_eq!(status.connected_at, before.status.unwrap().connected_at);
    assert!(status.error.is_some());
    let client = running.provider.connection(&key("east")).await.unwrap().client;
    Api::<ConfigMap>::default_namespaced(client).list(&ListParams::default()).await.unwrap();

    hub.kubeconfig("east", &east, &east.admin()).await;
    let again = hub.until_ready("east").await;
    assert_eq!(again.status.unwrap().error, None);
    hub.until_events("east", &["Connected", "Unauthorized", "CredentialsAccepted"]).await;
    assert_eq!(hub.status_writes("east").len(), 3);
}
