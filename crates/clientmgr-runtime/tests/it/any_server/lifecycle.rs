//! Outages and replaced clusters.

use clientmgr_kube::kube::Api;
use clientmgr_kube::kube::api::ListParams;
use clientmgr_kube::{Policy, Revoked, RevokedReason};
use clientmgr_runtime::cluster::{ClusterStatus, ConditionType};
use k8s_openapi::api::core::v1::ConfigMap;

use super::fixture::{ALICE, Connected, Remote, connected, hub, server};
use crate::controller::fixture::{by_secret, condition};
use crate::controller::reader::Reader;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn during_an_outage_the_revision_stays_and_the_cluster_is_not_ready() {
    let Connected { hub, remote, running, east: before } = connected().await;
    let object = ConfigMap::default();
    let client = running.clients.client(&object, &before).await.unwrap();
    let accepted = remote.forwarder.connections();

    remote.forwarder.close();
    let down = hub.until("east", |it| condition(it, ConditionType::Ready).0 == "False").await;
    assert_eq!(condition(&down, ConditionType::Connected).0, "False");
    assert_eq!(condition(&down, ConditionType::CredentialsValid).0, "True");
    let status = down.status.clone().unwrap();
    let known = before.status.clone().unwrap();
    assert_eq!((status.connected_at, &status.identity), (known.connected_at, &known.identity));
    assert!(status.error.is_some());
    assert!(!running.clients.refresh(&object, &down).is_reset());

    remote.forwarder.lead_to(remote.address);
    let after = hub.until_ready("east").await;
    assert_eq!(after.status.clone().unwrap().connected_at, known.connected_at);
    assert!(!running.clients.refresh(&object, &after).is_reset());
    Api::<ConfigMap>::default_namespaced(client).list(&ListParams::default()).await.unwrap();
    assert!(remote.forwarder.connections() > accepted);
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cluster_behind_the_address_is_another_revision_and_exactly_one_reset() {
    let (hub, green) = tokio::join!(hub(), server());
    let (remote, other) = (Remote::to(&hub.server).await, Remote::to(&green).await);
    let policy = Policy::for_secrets().allow_skip_tls_verify(true);
    let running = hub.run(|settings| settings.secret_policy(policy));
    hub.secret("east", "kubeconfig", &remote.kubeconfig_of_any_server(ALICE)).await;
    hub.create("east", by_secret("east")).await;
    let before = hub.until_ready("east").await;
    let object = ConfigMap::default();
    let old = running.clients.client(&object, &before).await.unwrap();

    let named = before.status.unwrap();
    let reader = Reader::start(&hub.client, &running, "east");
    reader.has_a_client_of(named.connected_at).await;
    remote.forwarder.lead_to(other.address);
    let is_renamed = |status: &ClusterStatus| status.connected_at > named.connected_at;
    let after = hub.until("east", |it| it.status.as_ref().is_some_and(is_renamed)).await;
    reader.has_a_client_of(after.status.as_ref().unwrap().connected_at).await;
    assert_eq!(reader.stop().await.resets, 1);
    assert!(running.clients.refresh(&object, &after).is_reset());
    running.clients.client(&object, &after).await.unwrap();
    assert!(!running.clients.refresh(&object, &after).is_reset());
    let status = after.status.unwrap();
    assert_eq!(status.identity, Some(other.identity().await));
    let error = Api::<ConfigMap>::default_namespaced(old).list(&ListParams::default()).await.unwrap_err();
    assert_eq!(Revoked::find(&error).map(|revoked| revoked.reason), Some(RevokedReason::Replaced));
    running.kill().await;
    green.shutdown().await;
}
