//! From applied to connected, and gone again.

use clientmgr_kube::kube::Api;
use clientmgr_kube::kube::api::ListParams;
use clientmgr_kube::{ClientProvider as _, ProviderError, Revoked, RevokedReason};
use k8s_openapi::api::core::v1::ConfigMap;

use super::fixture::{Connected, connected, user_of};
use crate::controller::fixture::{by_secret, conditions, holds, key, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_applied_cluster_connects_and_serves_a_client() {
    let Connected { hub, remote, running, east: cluster } = connected().await;
    assert_eq!(
        conditions(&cluster),
        ["Connected=True/Connected", "Ready=True/Ready", "CredentialsValid=True/Accepted"]
    );
    let status = cluster.status.clone().unwrap();
    assert_eq!(status.identity, Some(remote.identity().await));
    assert_eq!((status.observed_generation, status.observed_epoch, status.error), (Some(1), Some(0), None));
    let version = hub.client.apiserver_version().await.unwrap().git_version;
    assert_eq!(status.version, Some(version));

    let object = ConfigMap::default();
    let client = running.clients.client(&object, &cluster).await.unwrap();
    assert_eq!(user_of(&client).await.unwrap(), "alice");
    hub.until_events("east", &["Connected"]).await;
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_cluster_is_fenced_and_forgotten_and_comes_back_as_another_incarnation() {
    let Connected { hub, remote: _remote, running, east: cluster } = connected().await;
    let object = ConfigMap::default();
    let client = running.clients.client(&object, &cluster).await.unwrap();

    hub.delete("east").await;
    holds("the manager forgets", || running.clients.objects() == 0).await;
    assert!(matches!(running.provider.connection(&key("east")).await, Err(ProviderError::NotFound)));
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let refused = async {
        loop {
            if let Err(error) = maps.list(&ListParams::default()).await {
                return error;
            }
        }
    };
    let error = within(refused).await;
    assert_eq!(Revoked::find(&error).map(|revoked| revoked.reason), Some(RevokedReason::Removed));

    hub.create("east", by_secret("east")).await;
    let again = hub.until_ready("east").await;
    assert!(again.status.unwrap().connected_at > cluster.status.unwrap().connected_at);
    running.kill().await;
}
