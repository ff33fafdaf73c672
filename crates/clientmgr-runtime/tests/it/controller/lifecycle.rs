//! Outages, replaced clusters, resets, pause and deletion.

use clientmgr_fake::apiserver::{Replacement, Requests};
use clientmgr_kube::kube::Api;
use clientmgr_kube::kube::api::ListParams;
use clientmgr_kube::{ClientProvider as _, ProviderError, Revoked, RevokedReason};
use clientmgr_runtime::cluster::{Cluster, ConditionType};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use super::fixture::{Hub, condition, holds, key, remote};

fn is_ready(cluster: &Cluster, status: &str) -> bool {
    condition(cluster, ConditionType::Ready).0 == status
}

#[tokio::test]
async fn during_an_outage_the_revision_stays_and_the_cluster_is_not_ready() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let running = hub.run(|settings| settings);
    hub.declare("east", &east).await;
    let before = hub.until_ready("east").await.status.unwrap();
    let object = ConfigMap::default();
    running.clients.client(&object, &hub.until_ready("east").await).await.unwrap();

    east.stop().await;
    let down = hub.until("east", |cluster| is_ready(cluster, "False")).await;
    assert_eq!(condition(&down, ConditionType::Connected).0, "False");
    assert_eq!(condition(&down, ConditionType::CredentialsValid).0, "True");
    let status = down.status.clone().unwrap();
    assert_eq!((status.connected_at, &status.identity), (before.connected_at, &before.identity));
    assert!(status.error.is_some());

    east.start().await.unwrap();
    let after = hub.until_ready("east").await;
    assert_eq!(after.status.clone().unwrap().connected_at, before.connected_at);
    assert!(!running.clients.refresh(&object, &after).is_reset());
    assert_eq!(hub.status_writes("east").len(), 3);
    let reason = condition(&down, ConditionType::Connected).1;
    hub.until_events("east", &["Connected", &reason, "Recovered"]).await;
}

#[tokio::test]
async fn another_cluster_is_another_revision_and_one_reset() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let running = hub.run(|settings| settings);
    hub.declare("east", &east).await;
    let before = hub.until_ready("east").await;
    let object = ConfigMap::default();
    let old = running.clients.client(&object, &before).await.unwrap();

    east.replace(Replacement::SameCa).unwrap();
    let identity = east.kube_system_uid();
    let after = hub
        .until("east", |it| is_ready(it, "True") && it.status.as_ref().unwrap().identity.as_ref() == Some(&identity))
        .await;
    assert!(after.status.as_ref().unwrap().connected_at > before.status.unwrap().connected_at);
    let error = Api::<ConfigMap>::default_namespaced(old).list(&ListParams::default()).await.unwrap_err();
    assert_eq!(Revoked::find(&error).map(|revoked| revoked.reason), Some(RevokedReason::Replaced));
    assert!(running.clients.refresh(&object, &after).is_reset());
    running.clients.client(&object, &after).await.unwrap();
    assert!(!running.clients.refresh(&object, &after).is_reset());
    let events = async {
        while !hub.events("east").await.contains(&"Replaced".to_owned()) {
            tokio::task::yield_now().await;
        }
    };
    super::fixture::within(events).await;
}

#[tokio::test]
async fn a_raised_epoch_resets_once() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let running = hub.run(|settings| settings);
    hub.declare("east", &east).await;
    let before = hub.until_ready("east").await;
    let object = ConfigMap::default();
    let old = running.clients.client(&object, &before).await.unwrap();

    hub.change("east", json!({ "epoch": 3 })).await;
    let after = hub.until("east", |it| it.status.as_ref().unwrap().observed_epoch == Some(3)).await;
    let (old_status, new_status) = (before.status.unwrap(), after.status.clone().unwrap());
    assert!(new_status.connected_at > old_status.connected_at);
    assert_eq!(new_status.identity, old_status.identity);
    let error = Api::<ConfigMap>::default_namespaced(old).list(&ListParams::default()).await.unwrap_err();
    assert_eq!(Revoked::find(&error).map(|revoked| revoked.reason), Some(RevokedReason::Reset));
    assert!(running.clients.refresh(&object, &after).is_reset());
    running.clients.client(&object, &after).await.unwrap();
    hub.until_events("east", &["Connected", "Reset"]).await;
    assert_eq!(hub.status_writes("east").len(), 2);

    // A restart does not reset it again.
    running.kill().await;
    let again = hub.run(|settings| settings);
    holds("connected again", || {
        again.provider.fleet().snapshot(key("east")).is_some_and(|snapshot| snapshot.is_connected())
    })
    .await;
    let revision = again.provider.connection(&key("east")).await.unwrap().revision;
    assert_eq!(Some(revision), new_status.connected_at);
}

#[tokio::test]
async fn while_paused_nothing_changes_and_the_connection_stays() {
    let (hub, east, west) = (Hub::start().await, remote("east").await, remote("west").await);
    let running = hub.run(|settings| settings);
    hub.declare("east", &east).await;
    let before = hub.until_ready("east").await;
    hub.change("east", json!({ "paused": true, "epoch": 1 })).await;
    holds("the pause is seen", || running.cluster("east").is_some_and(|cluster| cluster.spec.paused)).await;

    let marker = hub.server.marker();
    hub.kubeconfig("east", &west, &west.admin()).await;
    hub.logged(Requests::get("secrets").name("east").since(marker).answered()).await;
    let connection = running.provider.connection(&key("east")).await.unwrap();
    Api::<ConfigMap>::default_namespaced(connection.client).list(&ListParams::default()).await.unwrap();
    assert_eq!(Some(connection.revision), before.status.as_ref().unwrap().connected_at);
    assert!(west.requests().is_empty());
    assert_eq!(hub.status_writes("east").len(), 1);

    hub.change("east", json!({ "paused": false })).await;
    let identity = west.kube_system_uid();
    let after = hub.until("east", |it| it.status.as_ref().unwrap().identity.as_ref() == Some(&identity)).await;
    assert_eq!(after.status.unwrap().observed_epoch, Some(1));
}

#[tokio::test]
async fn a_deleted_cluster_is_fenced_and_forgotten_without_a_finalizer() {
    let (hub, east) = (Hub::start().await, remote("east").await);
    let running = hub.run(|settings| settings);
    hub.declare("east", &east).await;
    let cluster = hub.until_ready("east").await;
    assert!(cluster.metadata.finalizers.is_none());
    let object = ConfigMap::default();
    let client = running.clients.client(&object, &cluster).await.unwrap();
    assert_eq!(running.clients.objects(), 1);

    hub.delete("east").await;
    holds("the manager forgets", || running.clients.objects() == 0).await;
    assert!(matches!(running.provider.connection(&key("east")).await, Err(ProviderError::NotFound)));
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let error = super::fixture::within(async {
        loop {
            if let Err(error) = maps.list(&ListParams::default()).await {
                return error;
            }
        }
    })
    .await;
    assert_eq!(Revoked::find(&error).map(|revoked| revoked.reason), Some(RevokedReason::Removed));
    // The watch of its Secret ends with the last Cluster that refers to one.
    hub.logged(Requests::watch("secrets").ended()).await;

    // Made again, it is another incarnation.
    hub.create("east", super::fixture::by_secret("east")).await;
    let again = hub.until_ready("east").await;
    assert!(again.status.unwrap().connected_at > cluster.status.unwrap().connected_at);
}
