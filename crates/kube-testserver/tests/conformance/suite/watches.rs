//! Watches.

use serde_json::json;

use crate::{
    answer::fields,
    case::Case,
    fixtures::{config_map, labelled, names, rv},
    test::tests,
};

tests![
    a_watch_without_a_version_starts_with_what_there_is,
    a_watch_from_a_version_sends_the_later_changes,
    a_watch_from_a_list_misses_nothing,
    a_watch_sends_creation_change_and_deletion,
    a_watch_of_one_namespace_gets_no_events_of_others,
    an_object_enters_and_leaves_a_selection_by_label,
    one_object_can_be_watched_by_its_name,
    a_watch_ends_when_its_time_is_up,
    bookmarks_come_before_the_end,
    bookmarks_are_sent_only_on_request,
    initial_events_end_with_a_bookmark,
    initial_events_of_nothing_are_a_bookmark,
    a_watch_of_the_present_marks_the_end_of_what_there_was,
    initial_events_must_be_asked_for_in_full,
    metadata_can_be_watched_alone,
    the_versions_of_events_only_grow,
    many_watches_get_the_same_events,
];

async fn a_watch_without_a_version_starts_with_what_there_is(case: Case) {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    for query in ["", "&resourceVersion=0"] {
        let mut watch = case.watch(&case.maps(), query).await;
        assert_eq!(watch.next_short().await, "ADDED a", "{query:?}");
    }
}

async fn a_watch_from_a_version_sends_the_later_changes(case: Case) {
    let path = format!("{}/a", case.maps());
    let made = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    case.put(&path, &config_map("a", "2")).await.expect(200);
    case.delete(&path).await.expect(200);
    let mut watch = case.watch(&case.maps(), &format!("&resourceVersion={}", rv(&made))).await;
    assert_eq!(watch.next_short().await, "MODIFIED a");
    assert_eq!(watch.next_short().await, "DELETED a");
}

async fn a_watch_from_a_list_misses_nothing(case: Case) {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let list = case.get(&case.maps()).await.expect(200);
    assert_eq!(names(&list), ["a"]);
    case.post(&case.maps(), &config_map("b", "1")).await.expect(201);
    let mut watch = case.watch(&case.maps(), &format!("&resourceVersion={}", rv(&list))).await;
    assert_eq!(watch.next_short().await, "ADDED b");
}

async fn a_watch_sends_creation_change_and_deletion(case: Case) {
    let path = format!("{}/a", case.maps());
    let list = case.get(&case.maps()).await.expect(200);
    let mut watch = case.watch(&case.maps(), &format!("&resourceVersion={}", rv(&list))).await;
    let made = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let (kind, object) = watch.next().await.expect("the watch goes on");
    assert_eq!((kind.as_str(), object), ("ADDED", made));
    let changed = case.patch(&path, "merge", &json!({"data": {"key": "2"}})).await.expect(200);
    let (kind, object) = watch.next().await.expect("the watch goes on");
    assert_eq!((kind.as_str(), object), ("MODIFIED", changed));
    case.delete(&path).await.expect(200);
    assert_eq!(watch.next_short().await, "DELETED a");
}

async fn a_watch_of_one_namespace_gets_no_events_of_others(case: Case) {
    let list = case.get(&case.maps()).await.expect(200);
    let mut watch = case.watch(&case.maps(), &format!("&resourceVersion={}", rv(&list))).await;
    let elsewhere = config_map(&format!("map-{}", case.unique()), "1");
    case.post("/api/v1/namespaces/default/configmaps", &elsewhere).await.expect(201);
    case.post(&case.maps(), &config_map("here", "1")).await.expect(201);
    assert_eq!(watch.next_short().await, "ADDED here");
}

async fn an_object_enters_and_leaves_a_selection_by_label(case: Case) {
    let path = format!("{}/a", case.maps());
    let label = |value: &str| json!({"metadata": {"labels": {"in": value}}});
    let list = case.get(&case.maps()).await.expect(200);
    let query = format!("&labelSelector=in%3Dyes&resourceVersion={}", rv(&list));
    let mut watch = case.watch(&case.maps(), &query).await;
    case.post(&case.maps(), &labelled(config_map("a", "1"), "in", "no")).await.expect(201);
    case.patch(&path, "merge", &label("yes")).await.expect(200);
    assert_eq!(watch.next_short().await, "ADDED a");
    case.patch(&path, "merge", &json!({"data": {"key": "2"}})).await.expect(200);
    assert_eq!(watch.next_short().await, "MODIFIED a");
    case.patch(&path, "merge", &label("no")).await.expect(200);
    assert_eq!(watch.next_short().await, "DELETED a", "it left, though it is still there");
    case.patch(&path, "merge", &json!({"data": {"key": "3"}})).await.expect(200);
    case.patch(&path, "merge", &label("yes")).await.expect(200);
    let (kind, object) = watch.next().await.expect("the watch goes on");
    assert_eq!((kind.as_str(), &object["data"]["key"]), ("ADDED", &json!("3")));
}

async fn one_object_can_be_watched_by_its_name(case: Case) {
    let list = case.get(&case.maps()).await.expect(200);
    let query = format!("&fieldSelector=metadata.name%3Db&resourceVersion={}", rv(&list));
    let mut watch = case.watch(&case.maps(), &query).await;
    for name in ["a", "b", "c"] {
        case.post(&case.maps(), &config_map(name, "1")).await.expect(201);
    }
    assert_eq!(watch.next_short().await, "ADDED b");
    case.delete(&format!("{}/b", case.maps())).await.expect(200);
    assert_eq!(watch.next_short().await, "DELETED b");
}

async fn a_watch_ends_when_its_time_is_up(case: Case) {
    let list = case.get(&case.maps()).await.expect(200);
    let mut watch = case.watch(&case.maps(), &format!("&timeoutSeconds=1&resourceVersion={}", rv(&list))).await;
    assert!(watch.next().await.is_none());
}

async fn bookmarks_come_before_the_end(case: Case) {
    let made = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let query = format!("&allowWatchBookmarks=true&timeoutSeconds=5&resourceVersion={}", rv(&made));
    let mut watch = case.watch(&case.maps(), &query).await;
    // A real server sends a bookmark only if it has a later version: from a change in another namespace.
    let other = "/api/v1/namespaces/default/configmaps";
    case.post(other, &config_map(case.unique(), "1")).await.expect(201);
    let (kind, object) = watch.next().await.expect("a bookmark comes first");
    case.delete(&format!("{other}/{}", case.unique())).await.expect(200);
    assert_eq!((kind.as_str(), &object["kind"]), ("BOOKMARK", &json!("ConfigMap")));
    let number = |object| rv(object).parse::<u64>().expect("a number");
    assert!(number(&object) >= number(&made));
    assert!(object["metadata"]["annotations"].is_null(), "it marks no end of initial events");
}

async fn bookmarks_are_sent_only_on_request(case: Case) {
    let made = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let mut watch = case.watch(&case.maps(), &format!("&timeoutSeconds=4&resourceVersion={}", rv(&made))).await;
    assert!(watch.next().await.is_none());
}

const INITIAL: &str = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";

async fn initial_events_end_with_a_bookmark(case: Case) {
    for name in ["a", "b"] {
        case.post(&case.maps(), &config_map(name, "1")).await.expect(201);
    }
    let list = case.get(&case.maps()).await.expect(200);
    let mut watch = case.watch(&case.maps(), INITIAL).await;
    let mut initial = [watch.next_short().await, watch.next_short().await];
    initial.sort();
    assert_eq!(initial, ["ADDED a", "ADDED b"]);
    let (kind, object) = watch.next().await.expect("the watch goes on");
    assert_eq!(kind, "BOOKMARK");
    assert_eq!(object["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let number = |object| rv(object).parse::<u64>().expect("a number");
    assert!(number(&object) >= number(&list));
    case.post(&case.maps(), &config_map("c", "1")).await.expect(201);
    loop {
        let (kind, object) = watch.next().await.expect("the watch goes on");
        if kind != "BOOKMARK" {
            assert_eq!((kind.as_str(), &object["metadata"]["name"]), ("ADDED", &json!("c")));
            break;
        }
    }
}

async fn initial_events_of_nothing_are_a_bookmark(case: Case) {
    let mut watch = case.watch(&case.maps(), INITIAL).await;
    let (kind, object) = watch.next().await.expect("the watch goes on");
    assert_eq!(kind, "BOOKMARK");
    assert_eq!(object["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

async fn a_watch_of_the_present_marks_the_end_of_what_there_was(case: Case) {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    // A watch without a version gets the initial events, though it does not ask for them by name.
    let mut watch = case.watch(&case.maps(), "&allowWatchBookmarks=true").await;
    assert_eq!(watch.next_short().await, "ADDED a");
    let (kind, object) = watch.next().await.expect("the watch goes on");
    assert_eq!(kind, "BOOKMARK");
    assert_eq!(object["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

async fn initial_events_must_be_asked_for_in_full(case: Case) {
    for query in ["sendInitialEvents=true", "resourceVersionMatch=NotOlderThan"] {
        let status = case.get(&format!("{}?watch=true&{query}", case.maps())).await.refused(422, "Invalid");
        assert_eq!(fields(&status), ["resourceVersionMatch"], "{query}");
    }
}

async fn metadata_can_be_watched_alone(case: Case) {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let mut watch = case.watch_as(&case.maps(), "", accept).await;
    let (kind, object) = watch.next().await.expect("the watch goes on");
    assert_eq!((kind.as_str(), &object["kind"]), ("ADDED", &json!("PartialObjectMetadata")));
    assert_eq!(object["metadata"]["name"], "a");
    assert!(object.get("data").is_none());
}

async fn the_versions_of_events_only_grow(case: Case) {
    let made = case.post(&case.maps(), &config_map("a", "0")).await.expect(201);
    let mut watch = case.watch(&case.maps(), &format!("&resourceVersion={}", rv(&made))).await;
    for value in 1..=20 {
        case.put(&format!("{}/a", case.maps()), &config_map("a", &value.to_string())).await.expect(200);
    }
    let mut last: u64 = rv(&made).parse().expect("a number");
    for value in 1..=20 {
        let (kind, object) = watch.next().await.expect("the watch goes on");
        let version: u64 = rv(&object).parse().expect("a number");
        assert!(version > last);
        last = version;
        assert_eq!((kind.as_str(), &object["data"]["key"]), ("MODIFIED", &json!(value.to_string())));
    }
}

async fn many_watches_get_the_same_events(case: Case) {
    let list = case.get(&case.maps()).await.expect(200);
    let mut watches = Vec::new();
    for _ in 0..10 {
        watches.push(case.watch(&case.maps(), &format!("&resourceVersion={}", rv(&list))).await);
    }
    let made = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    for watch in &mut watches {
        let (kind, object) = watch.next().await.expect("the watch goes on");
        assert_eq!((kind.as_str(), &object), ("ADDED", &made));
    }
}
