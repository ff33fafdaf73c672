//! Watches.

use std::time::Duration;

use super::*;
use crate::api::present::watch::WatchEnd;

fn in_maps(query: &str) -> String {
    format!("{CONFIGMAPS}?watch=1{query}")
}

#[tokio::test(start_paused = true)]
async fn a_watch_without_a_version_starts_with_what_there_is() {
    let api = Api::new();
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    for query in ["", "&resourceVersion=0"] {
        let mut watch = watch(&api, &in_maps(query));
        assert_eq!(next_short(&mut watch).await, "ADDED a");
        let made = post(&api, CONFIGMAPS, &config_map("b", "1")).expect(201);
        let (kind, object) = next(&mut watch).await;
        assert_eq!((kind.as_str(), object), ("ADDED", made));
        delete(&api, &format!("{CONFIGMAPS}/b")).expect(200);
        assert_eq!(next_short(&mut watch).await, "DELETED b");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_a_version_sends_the_later_changes() {
    let api = Api::new();
    let first = post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    put(&api, &format!("{CONFIGMAPS}/a"), &config_map("a", "2")).expect(200);
    delete(&api, &format!("{CONFIGMAPS}/a")).expect(200);
    let mut watch = watch(&api, &in_maps(&format!("&resourceVersion={}", rv(&first))));
    assert_eq!(next_short(&mut watch).await, "MODIFIED a");
    let (kind, object) = next(&mut watch).await;
    assert_eq!((kind.as_str(), rv(&object)), ("DELETED", api.resource_version()));
}

#[tokio::test(start_paused = true)]
async fn objects_enter_and_leave_a_selection() {
    let api = Api::new();
    let target = format!("{CONFIGMAPS}/a");
    let mut labelled = watch(&api, &in_maps("&labelSelector=in=yes"));
    let mut named = watch(&api, &in_maps("&fieldSelector=metadata.name=b"));
    let mut elsewhere = watch(&api, "/api/v1/namespaces/kube-public/configmaps?watch=true");
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let label = |value: &str| json!({"metadata": {"labels": {"in": value}}});
    patch(&api, &target, "merge", &label("yes")).expect(200);
    assert_eq!(next_short(&mut labelled).await, "ADDED a");
    patch(&api, &target, "merge", &json!({"data": {"key": "2"}})).expect(200);
    assert_eq!(next_short(&mut labelled).await, "MODIFIED a");
    patch(&api, &target, "merge", &label("no")).expect(200);
    let (kind, object) = next(&mut labelled).await;
    assert_eq!((kind.as_str(), rv(&object)), ("DELETED", api.resource_version()));
    assert_eq!(object["metadata"]["labels"]["in"], "yes", "it is shown as it was");
    post(&api, CONFIGMAPS, &config_map("b", "1")).expect(201);
    assert_eq!(next_short(&mut named).await, "ADDED b");
    post(&api, "/api/v1/namespaces/kube-public/configmaps", &config_map("c", "1")).expect(201);
    assert_eq!(next_short(&mut elsewhere).await, "ADDED c");
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_its_time_is_up() {
    let api = Api::new();
    let start = tokio::time::Instant::now();
    let mut watch = watch(&api, &in_maps("&resourceVersion=1&timeoutSeconds=30"));
    assert_eq!(watch.next().await, None);
    assert_eq!(start.elapsed(), Duration::from_secs(30));
    assert_eq!(watch.end_reason(), Some(WatchEnd::TimedOut));
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_regularly_and_before_the_end() {
    let api = Api::new();
    let start = tokio::time::Instant::now();
    let target = in_maps("&resourceVersion=1&timeoutSeconds=100&allowWatchBookmarks=true");
    let mut watch = watch(&api, &target);
    post(&api, "/api/v1/namespaces/default/secrets", &json!({"metadata": {"name": "s"}})).expect(201);
    let (kind, object) = next(&mut watch).await;
    assert_eq!((kind.as_str(), start.elapsed().as_secs()), ("BOOKMARK", 60));
    assert_eq!((&object["kind"], rv(&object)), (&json!("ConfigMap"), api.resource_version()));
    assert_eq!((next(&mut watch).await.0.as_str(), start.elapsed().as_secs()), ("BOOKMARK", 98));
    assert_eq!(watch.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn initial_events_end_with_a_bookmark() {
    let api = Api::new();
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let target = in_maps("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true");
    let mut watch = watch(&api, &target);
    assert_eq!(next_short(&mut watch).await, "ADDED a");
    let (kind, object) = next(&mut watch).await;
    assert_eq!(kind, "BOOKMARK");
    assert_eq!(object["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(rv(&object), api.resource_version());
    post(&api, CONFIGMAPS, &config_map("b", "1")).expect(201);
    assert_eq!(next_short(&mut watch).await, "ADDED b");
}

#[tokio::test(start_paused = true)]
async fn a_version_from_before_a_compaction_is_expired() {
    let api = Api::new();
    let old = api.resource_version();
    let mut open = watch(&api, &in_maps(&format!("&resourceVersion={old}")));
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    assert_eq!(next_short(&mut open).await, "ADDED a");
    api.compact();
    let mut late = watch(&api, &in_maps(&format!("&resourceVersion={old}")));
    let (kind, status) = next(&mut late).await;
    assert_eq!((kind.as_str(), &status["code"], &status["reason"]), ("ERROR", &json!(410), &json!("Expired")));
    assert_eq!(late.next().await, None);
    assert_eq!(late.end_reason(), Some(WatchEnd::Expired));
    // A watch that is up to date goes on.
    post(&api, CONFIGMAPS, &config_map("b", "1")).expect(201);
    assert_eq!(next_short(&mut open).await, "ADDED b");
    assert_eq!(open.end_reason(), None);
}

#[tokio::test(start_paused = true)]
async fn a_compaction_does_not_end_a_watch_that_missed_nothing() {
    let api = Api::new();
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let mut open = watch(&api, &in_maps(""));
    assert_eq!(next_short(&mut open).await, "ADDED a");
    assert!(futures::poll!(open.next()).is_pending(), "it waits");
    // A change of another kind, which it never sees.
    post(&api, "/api/v1/namespaces/default/secrets", &json!({"metadata": {"name": "s"}})).expect(201);
    api.compact();
    assert!(futures::poll!(open.next()).is_pending(), "it still waits");
    post(&api, CONFIGMAPS, &config_map("b", "1")).expect(201);
    assert_eq!(next_short(&mut open).await, "ADDED b");
    post(&api, CONFIGMAPS, &config_map("c", "1")).expect(201);
    api.compact();
    assert_eq!(next(&mut open).await.0, "ERROR", "it did not see c");
}

#[tokio::test(start_paused = true)]
async fn all_watches_of_a_form_share_one_frame() {
    let api = Api::new();
    let mut watches: Vec<Watch> = (0..10).map(|_| watch(&api, &in_maps("&resourceVersion=1"))).collect();
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let mut frames = Vec::new();
    for watch in &mut watches {
        frames.push(watch.next().await.unwrap());
    }
    assert!(frames.iter().all(|frame| frame.as_ptr() == frames[0].as_ptr()));
}

#[tokio::test(start_paused = true)]
async fn metadata_can_be_watched_alone() {
    let api = Api::new();
    let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let mut watch = watch_as(&api, &in_maps("&allowWatchBookmarks=true"), &[("accept", accept)]);
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let (_, object) = next(&mut watch).await;
    assert_eq!((&object["kind"], object.get("data")), (&json!("PartialObjectMetadata"), None));
    assert_eq!(next(&mut watch).await.1["kind"], "PartialObjectMetadata");
}

#[tokio::test(start_paused = true)]
async fn no_change_is_missed_or_sent_twice_however_late_it_is_read() {
    let api = Api::new();
    let mut watch = watch(&api, &in_maps("&resourceVersion=1"));
    for at in 0..500 {
        put_or_post(&api, at);
    }
    let mut last = 0;
    for _ in 0..500 {
        let (_, object) = next(&mut watch).await;
        assert!(rv(&object) > last);
        last = rv(&object);
    }
    assert_eq!(last, api.resource_version());
}

fn put_or_post(api: &Api, at: usize) {
    let name = format!("m{}", at % 7);
    if at < 7 {
        post(api, CONFIGMAPS, &config_map(&name, "0")).expect(201);
    } else {
        put(api, &format!("{CONFIGMAPS}/{name}"), &config_map(&name, &at.to_string())).expect(200);
    }
}
