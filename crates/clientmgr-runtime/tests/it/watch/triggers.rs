//! Which hub objects a change on a cluster triggers.

use std::collections::BTreeSet;

use clientmgr_runtime::watch::{Kinds, RemoteWatches};
use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::support::{OWNER, World, holds, names, object};
use crate::requeue::support::within;

/// A world in which these objects use the member, and have read all their triggers.
async fn world(objects: &[&str]) -> World {
    let mut world = World::new().await;
    for name in objects {
        world.ready(&object(name)).await;
    }
    while world.triggers.next().now_or_never().is_some() {}
    world
}

#[tokio::test]
async fn a_change_triggers_the_object_that_the_mapper_names_and_no_other() {
    let mut world = world(&["a", "b"]).await;
    world.create("m", "b").await;
    assert_eq!(world.triggered().await, "b");
    // It names an object that does not use the cluster.
    world.create("other", "stranger").await;
    let remote = world.remote().await;
    let patch = Patch::Merge(json!({ "data": { "changed": "yes" } }));
    remote.patch("m", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(world.triggered().await, "b");
    remote.delete("m", &DeleteParams::default()).await.unwrap();
    assert_eq!(world.triggered().await, "b");
    assert_eq!(world.triggers.next().now_or_never(), None);
}

#[tokio::test]
async fn a_change_of_owner_triggers_both() {
    let mut world = world(&["a", "b"]).await;
    world.create("m", "a").await;
    assert_eq!(world.triggered().await, "a");
    let patch = Patch::Merge(json!({ "metadata": { "labels": { OWNER: "b" } } }));
    world.remote().await.patch("m", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!((world.triggered().await, world.triggered().await), ("a".to_owned(), "b".to_owned()));
}

#[tokio::test]
async fn an_object_is_triggered_when_the_first_list_is_complete() {
    let mut world = World::new().await;
    world.create("m", "a").await;
    let watch = world.maps.get(&object("a"), &world.cluster()).await.unwrap();
    assert_eq!(world.triggered().await, "a");
    assert_eq!(names(&watch), ["m"], "the store is ready before the trigger");
}

#[tokio::test]
async fn a_burst_of_changes_is_one_trigger_while_it_is_unread() {
    let mut world = world(&["a"]).await;
    for number in 0..50 {
        world.create(&number.to_string(), "a").await;
    }
    let watch = world.ready(&object("a")).await;
    holds("the store follows, though the triggers are not read", || names(&watch).len() == 50).await;
    let read: Vec<_> = std::iter::from_fn(|| world.triggers.next().now_or_never().flatten()).collect();
    assert_eq!(read.len(), 1, "{read:?}");
}

#[tokio::test]
async fn all_objects_are_triggered_when_their_watch_is_lost() {
    let mut world = world(&["a", "b", "c"]).await;
    world.maps.forget(&object("c"));
    world.fleet.remove("east");
    let triggered = BTreeSet::from([world.triggered().await, world.triggered().await]);
    assert_eq!(triggered, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    assert_eq!(world.triggers.next().now_or_never(), None);
}

#[tokio::test]
async fn objects_of_a_kind_that_is_known_only_at_run_time_are_triggered_under_it() {
    let world = World::new().await;
    let greetings = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Greeting"));
    let maps = ApiResource::erase::<ConfigMap>(&());
    let kinds = Kinds { objects: greetings.clone(), watched: maps.clone() };
    let owner = {
        let greetings = greetings.clone();
        move |map: &DynamicObject, _: &_| Some(ObjectRef::new_with(map.labels().get(OWNER)?, greetings.clone()))
    };
    let (watches, mut triggers) = RemoteWatches::<DynamicObject, DynamicObject>::new_with(
        kinds,
        world.fleet.clone().into(),
        move |client| Api::all_with(client, &maps),
        watcher::Config::default().labels(OWNER),
        owner,
    );
    let a = DynamicObject::new("a", &greetings);
    let watch = within(watches.get(&a, &world.cluster())).await.unwrap();
    let expected = ObjectRef::from_obj_with(&a, greetings);
    assert_eq!(within(triggers.next()).await, Some(expected.clone()), "its first list is complete");
    world.create("m", "a").await;
    assert_eq!(within(triggers.next()).await, Some(expected));
    assert_eq!(watch.store().unwrap().state()[0].name_any(), "m");
}
