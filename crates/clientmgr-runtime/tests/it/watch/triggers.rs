//! Which hub objects a change on a cluster triggers.

use std::collections::BTreeSet;

use futures::{FutureExt as _, StreamExt as _};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::support::{OWNER, World, holds, names, object};

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
