//! Watchers and reflectors, in both ways of starting.

use futures::{Stream, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PartialObjectMeta, Patch, PatchParams, PostParams},
    runtime::{
        WatchStreamExt as _, reflector,
        reflector::ObjectRef,
        watcher,
        watcher::{Event, watch_object},
    },
};
use serde_json::json;

use super::widget::{map, maps};
use crate::{
    case::Case,
    test::{Outcome, tests},
};

tests![
    a_watcher_lists_and_then_watches,
    a_watcher_can_stream_the_list,
    a_watcher_of_pages_sees_all,
    a_selection_is_watched,
    metadata_is_watched_alone,
    one_object_is_watched,
    a_reflector_holds_what_there_is,
];

fn shown<K: kube::Resource>(event: &Event<K>) -> String
where
    K::DynamicType: Default,
{
    match event {
        Event::Init => "init".to_owned(),
        Event::InitApply(object) => format!("first {}", object.name_any()),
        Event::InitDone => "done".to_owned(),
        Event::Apply(object) => format!("apply {}", object.name_any()),
        Event::Delete(object) => format!("delete {}", object.name_any()),
    }
}

async fn tell<K: kube::Resource>(
    events: impl Stream<Item = watcher::Result<Event<K>>>,
    count: usize,
) -> Result<Vec<String>, watcher::Error>
where
    K::DynamicType: Default,
{
    events.take(count).map_ok(|event| shown(&event)).try_collect().await
}

async fn the_usual_life(case: &Case, config: watcher::Config) -> Outcome {
    let maps = maps(case).await;
    for name in ["a", "b"] {
        maps.create(&PostParams::default(), &map(name, "1")).await?;
    }
    let mut events = watcher(maps.clone(), config).default_backoff().boxed();
    let mut initial = tell(&mut events, 4).await?;
    initial[1..3].sort();
    assert_eq!(initial, ["init", "first a", "first b", "done"]);
    let patch = Patch::Merge(json!({"data": {"key": "2"}}));
    maps.patch("a", &PatchParams::default(), &patch).await?;
    maps.delete("b", &DeleteParams::default()).await?;
    assert_eq!(tell(&mut events, 2).await?, ["apply a", "delete b"]);
    Ok(())
}

async fn a_watcher_lists_and_then_watches(case: Case) -> Outcome {
    the_usual_life(&case, watcher::Config::default()).await
}

async fn a_watcher_can_stream_the_list(case: Case) -> Outcome {
    the_usual_life(&case, watcher::Config::default().streaming_lists()).await
}

async fn a_watcher_of_pages_sees_all(case: Case) -> Outcome {
    the_usual_life(&case, watcher::Config::default().page_size(1)).await
}

async fn a_selection_is_watched(case: Case) -> Outcome {
    let maps = maps(&case).await;
    let mut events = watcher(maps.clone(), watcher::Config::default().labels("in=yes")).default_backoff().boxed();
    assert_eq!(tell(&mut events, 2).await?, ["init", "done"]);
    maps.create(&PostParams::default(), &map("a", "1")).await?;
    let label = |value: &str| Patch::Merge(json!({"metadata": {"labels": {"in": value}}}));
    maps.patch("a", &PatchParams::default(), &label("yes")).await?;
    maps.patch("a", &PatchParams::default(), &label("no")).await?;
    assert_eq!(tell(&mut events, 2).await?, ["apply a", "delete a"]);
    Ok(())
}

async fn metadata_is_watched_alone(case: Case) -> Outcome {
    let maps = maps(&case).await;
    maps.create(&PostParams::default(), &map("a", "1")).await?;
    let metadata: Api<PartialObjectMeta<ConfigMap>> = Api::default_namespaced(case.client().await);
    let mut events = watcher(metadata, watcher::Config::default()).default_backoff().boxed();
    assert_eq!(tell(&mut events, 3).await?, ["init", "first a", "done"]);
    maps.delete("a", &DeleteParams::default()).await?;
    assert_eq!(tell(&mut events, 1).await?, ["delete a"]);
    Ok(())
}

async fn one_object_is_watched(case: Case) -> Outcome {
    let maps = maps(&case).await;
    let mut states = watch_object(maps.clone(), "a").boxed();
    assert!(states.try_next().await?.flatten().is_none());
    maps.create(&PostParams::default(), &map("a", "1")).await?;
    assert!(states.try_next().await?.flatten().is_some());
    maps.delete("a", &DeleteParams::default()).await?;
    assert!(states.try_next().await?.flatten().is_none());
    Ok(())
}

async fn a_reflector_holds_what_there_is(case: Case) -> Outcome {
    let maps = maps(&case).await;
    maps.create(&PostParams::default(), &map("a", "1")).await?;
    let (reader, writer) = reflector::store();
    let events = reflector(writer, watcher(maps.clone(), watcher::Config::default())).default_backoff();
    let mut applied = events.applied_objects().boxed();
    applied.try_next().await?;
    maps.create(&PostParams::default(), &map("b", "2")).await?;
    let seen = applied.try_next().await?.ok_or("an object")?;
    assert_eq!(seen.name_any(), "b");
    assert_eq!(reader.len(), 2);
    let held = reader.get(&ObjectRef::<ConfigMap>::new("a").within(case.namespace())).ok_or("it is held")?;
    assert_eq!(held.data.as_ref().and_then(|data| data.get("key")).map(String::as_str), Some("1"));
    Ok(())
}
