//! Objects that are asked to wait before they go.

use serde_json::{Value, json};

use crate::{
    answer::{fields, message},
    case::Case,
    fixtures::{config_map, rv, uid, widget},
    test::tests,
};

tests![
    a_finalizer_keeps_a_deleted_object,
    an_object_is_removed_with_its_last_finalizer,
    no_finalizer_is_added_to_a_deleted_object,
    a_second_delete_changes_nothing,
    the_name_stays_taken_until_the_object_is_gone,
    a_deletion_is_a_change_of_generation,
    a_deletion_is_seen_as_a_change_and_then_as_a_deletion,
    a_foreground_deletion_waits_for_the_garbage_collector,
    an_orphaning_deletion_waits_for_the_garbage_collector,
];

fn kept(mut object: Value) -> Value {
    object["metadata"]["finalizers"] = json!(["example.com/one", "example.com/two"]);
    object
}

async fn a_finalizer_keeps_a_deleted_object(case: Case) {
    let path = format!("{}/a", case.maps());
    let made = case.post(&case.maps(), &kept(config_map("a", "1"))).await.expect(201);
    let answered = case.delete(&path).await.expect(200);
    assert_eq!(answered["kind"], "ConfigMap", "the answer is the object, for it is still there");
    let read = case.get(&path).await.expect(200);
    assert!(read["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(uid(&read), uid(&made));
    assert_ne!(rv(&read), rv(&made));
    assert_eq!(read["metadata"]["finalizers"], made["metadata"]["finalizers"]);
}

async fn an_object_is_removed_with_its_last_finalizer(case: Case) {
    let path = format!("{}/a", case.maps());
    case.post(&case.maps(), &kept(config_map("a", "1"))).await.expect(201);
    case.delete(&path).await.expect(200);
    let one = json!({"metadata": {"finalizers": ["example.com/two"]}});
    case.patch(&path, "merge", &one).await.expect(200);
    case.get(&path).await.expect(200);
    case.patch(&path, "merge", &json!({"metadata": {"finalizers": null}})).await.expect(200);
    case.get(&path).await.refused(404, "NotFound");
}

async fn no_finalizer_is_added_to_a_deleted_object(case: Case) {
    let path = format!("{}/a", case.maps());
    case.post(&case.maps(), &kept(config_map("a", "1"))).await.expect(201);
    case.delete(&path).await.expect(200);
    let more = json!({"metadata": {"finalizers": ["example.com/one", "example.com/two", "example.com/three"]}});
    let status = case.patch(&path, "merge", &more).await.refused(422, "Invalid");
    // A real server checks the metadata of core types twice, and says so twice.
    let named = fields(&status);
    assert!(!named.is_empty() && named.iter().all(|field| *field == "metadata.finalizers"), "{status}");
}

async fn a_second_delete_changes_nothing(case: Case) {
    let path = format!("{}/a", case.maps());
    case.post(&case.maps(), &kept(config_map("a", "1"))).await.expect(201);
    case.delete(&path).await.expect(200);
    let first = case.get(&path).await.expect(200);
    case.delete(&path).await.expect(200);
    assert_eq!(case.get(&path).await.expect(200), first);
}

async fn the_name_stays_taken_until_the_object_is_gone(case: Case) {
    let path = format!("{}/a", case.maps());
    case.post(&case.maps(), &kept(config_map("a", "1"))).await.expect(201);
    case.delete(&path).await.expect(200);
    let status = case.post(&case.maps(), &config_map("a", "2")).await.refused(409, "AlreadyExists");
    assert_eq!(message(&status), "object is being deleted: configmaps \"a\" already exists");
    case.patch(&path, "merge", &json!({"metadata": {"finalizers": null}})).await.expect(200);
    case.post(&case.maps(), &config_map("a", "2")).await.expect(201);
}

async fn a_deletion_is_a_change_of_generation(case: Case) {
    let widgets = case.widgets().await;
    case.post(&widgets, &kept(widget("w", &json!({"size": 1})))).await.expect(201);
    case.delete(&format!("{widgets}/w")).await.expect(200);
    let read = case.get(&format!("{widgets}/w")).await.expect(200);
    assert_eq!(read["metadata"]["generation"], 2);
}

async fn a_deletion_is_seen_as_a_change_and_then_as_a_deletion(case: Case) {
    let path = format!("{}/a", case.maps());
    let made = case.post(&case.maps(), &kept(config_map("a", "1"))).await.expect(201);
    let mut watch = case.watch(&case.maps(), &format!("&resourceVersion={}", rv(&made))).await;
    case.delete(&path).await.expect(200);
    let (kind, object) = watch.next().await.expect("the watch goes on");
    assert_eq!(kind, "MODIFIED");
    assert!(object["metadata"]["deletionTimestamp"].is_string());
    case.patch(&path, "merge", &json!({"metadata": {"finalizers": null}})).await.expect(200);
    // A real server may tell the change of the finalizers before the end, or the end alone.
    loop {
        let (kind, object) = watch.next().await.expect("the watch goes on");
        assert_eq!(uid(&object), uid(&made));
        if kind == "DELETED" {
            break;
        }
        assert_eq!(kind, "MODIFIED");
    }
}

async fn a_foreground_deletion_waits_for_the_garbage_collector(case: Case) {
    waits_with(&case, "Foreground", "foregroundDeletion").await;
}

async fn an_orphaning_deletion_waits_for_the_garbage_collector(case: Case) {
    waits_with(&case, "Orphan", "orphan").await;
}

async fn waits_with(case: &Case, policy: &str, finalizer: &str) {
    let path = format!("{}/a", case.maps());
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    case.delete_with(&path, &json!({"propagationPolicy": policy})).await.expect(200);
    let read = case.get(&path).await.expect(200);
    assert_eq!(read["metadata"]["finalizers"], json!([finalizer]));
    assert!(read["metadata"]["deletionTimestamp"].is_string());
}
