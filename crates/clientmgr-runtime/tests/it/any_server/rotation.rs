//! New credentials in the Secret.

use clientmgr_kube::ClientProvider as _;
use clientmgr_kube::kube::api::{ListParams, WatchEvent, WatchParams};
use clientmgr_kube::kube::{Api, ResourceExt as _};
use clientmgr_runtime::cluster::ConditionType;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;

use super::fixture::{ALICE, BOB, Connected, Load, connected, user_of};
use crate::controller::fixture::{condition, conditions, key, within};
use crate::controller::reader::Reader;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_through_the_secret_resets_nothing_and_fails_no_request() {
    let Connected { hub, remote, running, east: before } = connected().await;
    let object = ConfigMap::default();
    let client = running.clients.client(&object, &before).await.unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let since = maps.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let mut open = maps.watch(&WatchParams::default(), &since).await.unwrap().boxed();
    let load = Load::start(&client);
    let reader = Reader::start(&hub.client, &running, "east");
    reader.has_a_client_of(before.status.as_ref().unwrap().connected_at).await;

    for (token, name) in [(BOB, "bob"), (ALICE, "alice"), (BOB, "bob")] {
        hub.secret("east", "kubeconfig", &remote.kubeconfig(token)).await;
        within(async { while user_of(&client).await.unwrap() != name {} }).await;
        load.goes_on().await;
    }
    load.stop().await;
    remote.create("after-all-rotations").await;
    match within(open.next()).await {
        Some(Ok(WatchEvent::Added(map))) => assert_eq!(map.name_any(), "after-all-rotations"),
        other => panic!("the watch does not go on: {other:?}"),
    }
    assert_eq!(reader.stop().await.resets, 0);
    let after = hub.clusters().get("east").await.unwrap();
    assert!(!running.clients.refresh(&object, &after).is_reset());
    assert_eq!(after.status, before.status);
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_are_refused_show_and_leave_the_old_ones_in_use() {
    let Connected { hub, remote, running, east } = connected().await;
    let before = east.status.unwrap();
    let load = Load::start(&running.provider.connection(&key("east")).await.unwrap().client);

    hub.secret("east", "kubeconfig", &remote.kubeconfig("no-server-issued-this")).await;
    let refused = hub.until("east", |it| condition(it, ConditionType::CredentialsValid).0 == "False").await;
    let reason = "False/Unauthorized";
    assert_eq!(
        conditions(&refused),
        ["Connected=True/Connected".to_owned(), format!("Ready={reason}"), format!("CredentialsValid={reason}")]
    );
    assert_eq!(refused.status.unwrap().connected_at, before.connected_at);
    load.goes_on().await;

    hub.secret("east", "kubeconfig", &remote.kubeconfig(BOB)).await;
    let after = hub.until_ready("east").await.status.unwrap();
    assert_eq!((after.connected_at, after.error), (before.connected_at, None));
    load.stop().await;
    running.kill().await;
}
