//! How long a watch goes on: over a rotation, an outage and a compaction, to a replacement, while objects use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clientmgr_fake::apiserver::{Fault, Replacement};
use clientmgr_kube::{ClientError, ClusterConfig, Incarnation, RevokedReason};
use clientmgr_runtime::watch::{NotReady, RemoteWatch};
use futures::StreamExt as _;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::DeleteParams;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;

use super::support::{Maps, World, holds, list_maps, names, object, watch_maps};
use crate::requeue::support::{config, within};

#[tokio::test]
async fn the_objects_of_a_cluster_share_one_watch_and_the_last_ends_it() {
    let world = World::new().await;
    world.create("m", "1").await;
    let objects: Vec<_> = (0..100).map(|number| object(&number.to_string())).collect();
    let watches = join_all(objects.iter().map(|object| world.ready(object))).await;
    assert!(watches.iter().all(|watch| names(watch) == ["m"]));
    world.request(watch_maps().answered()).await;
    assert_eq!((world.lists(), world.watches(), world.maps.watches()), (1, 1, 1));

    let (last, others) = objects.split_first().unwrap();
    for object in others {
        world.maps.forget(object);
    }
    assert!(!watches[0].has_ended() && world.maps.watches() == 1);
    world.maps.retain(last, |cluster| cluster.name() == "east");
    assert!(!watches[0].has_ended());
    world.maps.forget(last);
    world.request(watch_maps().ended()).await;
    assert_eq!((world.maps.watches(), world.maps.objects()), (0, 0));
    holds("the handles see the end", || watches.iter().all(RemoteWatch::has_ended)).await;
    assert!(matches!(watches[0].store(), Err(NotReady::Ended { source: None, .. })));

    // The next object begins anew.
    world.ready(last).await;
    assert_eq!(world.lists(), 2);
}

#[tokio::test]
async fn only_the_object_that_opens_a_watch_has_its_requests_made() {
    let world = World::new().await;
    let made = Arc::new(AtomicUsize::new(0));
    let api = {
        let made = Arc::clone(&made);
        move |client| {
            made.fetch_add(1, Ordering::Relaxed);
            Api::all(client)
        }
    };
    let (maps, _triggers) =
        Maps::new(world.fleet.clone().into(), api, watcher::Config::default(), |_, _| None::<ObjectRef<Secret>>);
    for number in 0..10 {
        within(maps.get(&object(&number.to_string()), &world.cluster())).await.unwrap();
    }
    assert_eq!((made.load(Ordering::Relaxed), maps.watches(), maps.objects()), (1, 1, 10));
}

#[tokio::test]
async fn a_rotation_under_an_open_watch_causes_no_relist() {
    let mut world = World::new().await;
    let watch = world.ready(&object("a")).await;
    world.request(watch_maps().answered()).await;
    world.until_triggered(&object("a")).await;

    let admin = world.east.rotate_token(&world.east.admin(), Duration::ZERO);
    world.fleet.upsert("east", ClusterConfig::from_kubeconfig(&world.east.kubeconfig_for(&admin), "east"));
    within(world.fleet.reconnect("east")).await.unwrap();
    world.create("m", "a").await;
    world.until_triggered(&object("a")).await;
    assert_eq!((names(&watch), world.watches()), (vec!["m".to_owned()], 1), "the same watch went on");

    // When the server ends it, it resumes with the new credential.
    assert_eq!(world.east.end_watches(&watch_maps()), 1);
    world.request(watch_maps().with(admin.fingerprint()).answered()).await;
    world.create("n", "a").await;
    world.until_triggered(&object("a")).await;
    assert_eq!(names(&watch), ["m", "n"]);
    assert_eq!((world.lists(), world.maps.watches()), (1, 1));
}

#[tokio::test]
async fn another_incarnation_gets_a_new_store_by_exactly_one_restart() {
    let mut world = World::new().await;
    world.create("old", "a").await;
    let (a, before) = (object("a"), world.cluster());
    let old = world.ready(&a).await;
    world.until_triggered(&a).await;
    let mark = world.east.marker();

    world.east.replace(Replacement::SameCa).unwrap();
    world.until_triggered(&a).await;
    // Until the cluster object names the new incarnation there is no watch to read.
    within(world.fleet.wait_connected("east")).await.unwrap();
    holds("the fleet serves another revision", || world.cluster().connected_at > before.connected_at).await;
    let outdated = within(world.maps.get(&a, &before)).await.unwrap_err();
    assert!(matches!(outdated, ClientError::ClusterOutdated { .. }), "{outdated:?}");

    let new = world.ready(&a).await;
    assert!(new.revision() > old.revision() && names(&new).is_empty());
    match old.store() {
        Err(NotReady::Ended { source: Some(revoked), .. }) => assert_eq!(revoked.reason, RevokedReason::Replaced),
        other => panic!("the old watch goes on: {other:?}"),
    }
    world.create("new", "a").await;
    world.until_triggered(&a).await;
    holds("the store follows", || names(&new) == ["new"]).await;
    let uid = world.east.kube_system_uid();
    let restarts = world.east.requests_matching(list_maps().since(mark).answered());
    assert_eq!(restarts.iter().filter(|list| *list.cluster_uid == *uid).count(), 1, "{restarts:#?}");
}

#[tokio::test]
async fn an_outage_keeps_the_store_and_the_watch_resumes_without_a_relist() {
    let mut world = World::new().await;
    world.create("m", "a").await;
    let watch = world.ready(&object("a")).await;
    world.request(watch_maps().answered()).await;
    world.until_triggered(&object("a")).await;

    world.east.stop().await;
    holds("the fleet sees the outage", || !world.cluster().is_connected()).await;
    let during = within(world.maps.get(&object("a"), &world.cluster())).await.unwrap();
    assert_eq!(names(&during), ["m"], "the store stays");
    world.east.start().await.unwrap();
    world.create("n", "a").await;
    world.until_triggered(&object("a")).await;
    assert_eq!((names(&watch), world.lists()), (vec!["m".to_owned(), "n".to_owned()], 1));
}

#[tokio::test]
async fn a_compaction_during_an_interruption_relists_and_triggers_all() {
    let mut world = World::new().await;
    world.create("gone", "a").await;
    world.create("stays", "b").await;
    let (a, b) = (object("a"), object("b"));
    let watch = world.ready(&a).await;
    world.ready(&b).await;
    world.request(watch_maps().answered()).await;
    while futures::FutureExt::now_or_never(world.triggers.next()).is_some() {}

    let interrupted = world.east.inject(Fault::Unavailable.on(watch_maps()));
    assert_eq!(world.east.end_watches(&watch_maps()), 1);
    let remote = world.remote().await;
    remote.delete("gone", &DeleteParams::default()).await.unwrap();
    world.east.compact();
    interrupted.lift();

    // No event says that it was deleted.
    let mut triggered = [world.triggered().await, world.triggered().await];
    triggered.sort();
    assert_eq!(triggered, ["a", "b"]);
    assert_eq!((names(&watch), world.lists()), (vec!["stays".to_owned()], 2));
}

#[tokio::test]
async fn a_cluster_that_is_removed_and_added_under_its_revision_is_watched_again() {
    let world = World::new().await;
    let (a, known) = (object("a"), world.cluster());
    let old = world.ready(&a).await;
    world.fleet.remove("east");
    holds("the watch ends", || old.has_ended()).await;
    assert!(matches!(within(world.maps.get(&a, &known)).await, Err(ClientError::NotFound { .. })));

    let incarnation = Incarnation { identity: known.identity.clone().unwrap(), revision: known.connected_at.unwrap() };
    world.fleet.upsert("east", config(&world.east).with_incarnation(incarnation));
    within(world.fleet.wait_connected("east")).await.unwrap();
    let again = world.ready(&a).await;
    assert_eq!(again.revision(), old.revision());
    world.create("m", "a").await;
    holds("the store follows", || names(&again) == ["m"]).await;
    assert_eq!(world.maps.watches(), 1);
}

#[tokio::test]
async fn dropping_the_watches_ends_them_and_their_triggers() {
    let world = World::new().await;
    let watch = world.ready(&object("a")).await;
    world.request(watch_maps().answered()).await;
    let World { east, maps, triggers, fleet, .. } = world;
    drop(maps);
    within(east.wait_for(watch_maps().ended())).await;
    holds("the handle sees the end", || watch.has_ended()).await;
    within(triggers.collect::<Vec<_>>()).await;
    fleet.shutdown().await;
}

#[tokio::test]
async fn forgetting_a_cluster_ends_its_watch() {
    let world = World::new().await;
    let watch = world.ready(&object("a")).await;
    world.maps.forget_cluster(&world.cluster());
    holds("the watch ends", || watch.has_ended()).await;
    assert_eq!((world.maps.watches(), world.maps.objects()), (0, 0));
}

#[tokio::test]
async fn deleted_objects_are_forgotten() {
    use kube::runtime::watcher::Event;

    let world = World::new().await;
    let watch = world.ready(&object("a")).await;
    let events = futures::stream::iter([Ok::<_, ()>(Event::Delete(object("a")))]);
    assert_eq!(world.maps.forget_deleted(events).count().await, 1);
    holds("the watch ends", || watch.has_ended()).await;
}
