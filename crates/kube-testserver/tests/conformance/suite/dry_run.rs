//! Requests that are answered as if, and change nothing.

use serde_json::json;

use crate::{
    answer::fields,
    case::Case,
    fixtures::{config_map, uid, widget},
    test::tests,
};

tests![
    a_dry_create_creates_nothing,
    a_dry_update_updates_nothing,
    a_dry_patch_patches_nothing,
    a_dry_apply_applies_nothing,
    a_dry_delete_deletes_nothing,
    options_in_the_body_of_a_delete_leave_the_query_unread,
    a_dry_request_is_refused_as_a_real_one_is,
    there_is_one_way_to_run_dry,
];

async fn a_dry_create_creates_nothing(case: Case) {
    let made = case.post(&format!("{}?dryRun=All", case.maps()), &config_map("a", "1")).await.expect(201);
    assert_eq!((uid(&made).len(), &made["data"]["key"]), (36, &json!("1")));
    case.get(&format!("{}/a", case.maps())).await.refused(404, "NotFound");
}

async fn a_dry_update_updates_nothing(case: Case) {
    let path = format!("{}/a", case.maps());
    let made = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let after = case.put(&format!("{path}?dryRun=All"), &config_map("a", "2")).await.expect(200);
    assert_eq!(after["data"]["key"], "2");
    assert_eq!(case.get(&path).await.expect(200), made);
}

async fn a_dry_patch_patches_nothing(case: Case) {
    let path = format!("{}/a", case.maps());
    let made = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let after = case.patch(&format!("{path}?dryRun=All"), "merge", &json!({"data": {"key": "2"}})).await.expect(200);
    assert_eq!(after["data"]["key"], "2");
    assert_eq!(case.get(&path).await.expect(200), made);
}

async fn a_dry_apply_applies_nothing(case: Case) {
    let path = format!("{}/w", case.widgets().await);
    case.apply(&path, "one", "&dryRun=All", &widget("w", &json!({"size": 1}))).await.expect(201);
    case.get(&path).await.refused(404, "NotFound");
}

async fn a_dry_delete_deletes_nothing(case: Case) {
    let path = format!("{}/a", case.maps());
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    case.delete(&format!("{path}?dryRun=All")).await.expect(200);
    case.delete_with(&path, &json!({"dryRun": ["All"]})).await.expect(200);
    case.get(&path).await.expect(200);
}

async fn options_in_the_body_of_a_delete_leave_the_query_unread(case: Case) {
    let path = format!("{}/a", case.maps());
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    case.delete_with(&format!("{path}?dryRun=All"), &json!({})).await.expect(200);
    case.get(&path).await.refused(404, "NotFound");
}

async fn a_dry_request_is_refused_as_a_real_one_is(case: Case) {
    let dry = format!("{}?dryRun=All", case.maps());
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    case.post(&dry, &config_map("a", "1")).await.refused(409, "AlreadyExists");
    case.post(&dry, &config_map("A", "1")).await.refused(422, "Invalid");
}

async fn there_is_one_way_to_run_dry(case: Case) {
    let answer = case.post(&format!("{}?dryRun=Some", case.maps()), &config_map("a", "1")).await;
    assert_eq!(fields(&answer.refused(422, "Invalid")), ["dryRun"]);
}
