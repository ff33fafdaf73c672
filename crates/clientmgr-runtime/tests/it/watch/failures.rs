//! A watch that cannot list, hangs, or whose mapper panics.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use clientmgr_fake::apiserver::Fault;
use clientmgr_kube::ClientError;
use clientmgr_runtime::watch::{NotReady, RemoteWatches, WatchError};
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::runtime::watcher;

use super::support::{World, holds, list_maps, names, object, watch_maps};
use crate::requeue::support::within;

#[tokio::test]
async fn a_list_that_is_forbidden_is_a_typed_error_that_triggers_and_is_tried_again() {
    let mut world = World::new().await;
    let forbidden = world.east.forbid("*", "list", "configmaps");
    let a = object("a");
    let watch = within(world.maps.get(&a, &world.cluster())).await.unwrap();
    match within(watch.ready()).await {
        Err(error @ NotReady::Failed { .. }) => {
            assert_eq!(error.to_string(), "the objects on cluster east cannot be listed");
            assert!(error.source().unwrap().to_string().contains("forbidden"), "{error:?}");
        }
        other => panic!("{other:?}"),
    }
    world.until_triggered(&a).await;
    let store = within(world.maps.store(&a, &world.cluster())).await;
    assert!(matches!(store, Err(WatchError::NotReady(NotReady::Failed { .. }))), "{store:?}");
    forbidden.lift();
    world.until_triggered(&a).await;
    within(world.maps.store(&a, &world.cluster())).await.unwrap();
}

#[tokio::test]
async fn a_list_that_hangs_holds_up_no_reconcile() {
    let world = World::new().await;
    let hanging = world.east.inject(Fault::NeverAnswer.on(list_maps()));
    let watch = within(world.maps.get(&object("a"), &world.cluster())).await.unwrap();
    assert!(matches!(watch.store(), Err(NotReady::Listing { .. })));
    assert!(watch.ready().now_or_never().is_none());
    hanging.lift();
    world.maps.forget(&object("a"));
    within(watch.ready()).await.unwrap_err();
}

#[tokio::test]
async fn a_cluster_that_is_unknown_or_unavailable_is_a_client_error() {
    let world = World::new().await;
    let mut unknown = world.cluster();
    unknown.cluster = "west".into();
    let error = within(world.maps.store(&object("a"), &unknown)).await.unwrap_err();
    assert!(matches!(error, WatchError::Client(ClientError::NotFound { .. })), "{error:?}");
    let known = world.cluster();
    world.east.stop().await;
    holds("the fleet sees the outage", || !world.cluster().is_connected()).await;
    let error = within(world.maps.store(&object("b"), &known)).await.unwrap_err();
    assert!(matches!(error, WatchError::Client(ClientError::Unavailable { .. })), "{error:?}");
    assert_eq!(world.maps.watches(), 0);
}

#[tokio::test]
async fn a_mapper_that_panics_ends_its_watch_and_the_next_reconcile_opens_another() {
    let world = World::new().await;
    let panics = Arc::new(AtomicBool::new(true));
    let mapper = {
        let panics = Arc::clone(&panics);
        move |_: &ConfigMap, _: &_| {
            assert!(!panics.load(SeqCst), "expected");
            []
        }
    };
    let (maps, _triggers) = RemoteWatches::<Secret, ConfigMap>::new(
        world.fleet.clone().into(),
        Api::default_namespaced,
        watcher::Config::default(),
        mapper,
    );
    let watch = within(maps.get(&object("a"), &world.cluster())).await.unwrap();
    within(watch.ready()).await.unwrap();
    world.request(watch_maps().answered()).await;
    world.create("m", "a").await;
    holds("the watch ends", || watch.has_ended()).await;
    panics.store(false, SeqCst);
    let next = within(maps.get(&object("a"), &world.cluster())).await.unwrap();
    within(next.ready()).await.unwrap();
    assert_eq!((names(&next), maps.watches()), (vec!["m".to_owned()], 1));
}
