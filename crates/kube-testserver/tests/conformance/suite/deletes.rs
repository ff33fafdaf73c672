//! Deleting, one and many, with and without conditions.

use serde_json::json;

use crate::{
    case::Case,
    fixtures::{config_map, labelled, names, rv, uid},
    test::tests,
};

tests![
    a_delete_says_what_it_deleted,
    what_is_gone_is_not_found,
    what_is_not_there_cannot_be_deleted,
    a_delete_can_ask_for_an_identity,
    a_delete_can_ask_for_a_version,
    a_collection_is_deleted_as_selected,
    a_delete_event_has_the_version_of_the_deletion,
];

async fn a_delete_says_what_it_deleted(case: Case) {
    let made = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let status = case.delete(&format!("{}/a", case.maps())).await.expect(200);
    assert_eq!((&status["kind"], &status["status"]), (&json!("Status"), &json!("Success")));
    assert_eq!(status["details"], json!({"name": "a", "kind": "configmaps", "uid": uid(&made)}));
}

async fn what_is_gone_is_not_found(case: Case) {
    let path = format!("{}/a", case.maps());
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    case.delete(&path).await.expect(200);
    let status = case.get(&path).await.refused(404, "NotFound");
    assert_eq!(status["details"], json!({"name": "a", "kind": "configmaps"}));
}

async fn what_is_not_there_cannot_be_deleted(case: Case) {
    case.delete(&format!("{}/a", case.maps())).await.refused(404, "NotFound");
}

async fn a_delete_can_ask_for_an_identity(case: Case) {
    let path = format!("{}/a", case.maps());
    let made = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let other = json!({"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}});
    case.delete_with(&path, &other).await.refused(409, "Conflict");
    case.get(&path).await.expect(200);
    case.delete_with(&path, &json!({"preconditions": {"uid": uid(&made)}})).await.expect(200);
    case.get(&path).await.refused(404, "NotFound");
}

async fn a_delete_can_ask_for_a_version(case: Case) {
    let path = format!("{}/a", case.maps());
    let old = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let now = case.patch(&path, "merge", &json!({"data": {"key": "2"}})).await.expect(200);
    case.delete_with(&path, &json!({"preconditions": {"resourceVersion": rv(&old)}})).await.refused(409, "Conflict");
    case.delete_with(&path, &json!({"preconditions": {"resourceVersion": rv(&now)}})).await.expect(200);
}

async fn a_collection_is_deleted_as_selected(case: Case) {
    for (name, app) in [("a", "web"), ("b", "db"), ("c", "web")] {
        case.post(&case.maps(), &labelled(config_map(name, "1"), "app", app)).await.expect(201);
    }
    case.delete(&format!("{}?labelSelector=app%3Dweb", case.maps())).await.expect(200);
    let rest = case.get(&format!("{}?labelSelector=app", case.maps())).await.expect(200);
    assert_eq!(names(&rest), ["b"]);
}

async fn a_delete_event_has_the_version_of_the_deletion(case: Case) {
    let made = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let mut watch = case.watch(&case.maps(), &format!("&resourceVersion={}", rv(&made))).await;
    case.delete(&format!("{}/a", case.maps())).await.expect(200);
    let (kind, object) = watch.next().await.expect("the watch goes on");
    assert_eq!((kind.as_str(), &object["data"]["key"]), ("DELETED", &json!("1")));
    let number = |object| rv(object).parse::<u64>().expect("a number");
    assert!(number(&object) > number(&made));
}
