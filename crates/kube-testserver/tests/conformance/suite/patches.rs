//! Merge patches, JSON patches and strategic merge patches.

use serde_json::{Value, json};

use crate::{
    case::Case,
    fixtures::{config_map, deployment, rv, widget},
    test::tests,
};

tests![
    a_merge_patch_sets_and_removes,
    a_merge_patch_replaces_lists,
    a_patch_that_changes_nothing_keeps_the_version,
    a_patch_of_an_old_version_is_a_conflict,
    a_patch_of_nothing_is_not_found,
    a_json_patch_is_carried_out_in_order,
    a_json_patch_can_test,
    a_json_patch_that_does_not_fit_is_refused,
    a_json_patch_must_be_a_list_of_operations,
    a_strategic_patch_merges_lists_by_their_key,
    a_strategic_patch_sets_the_order_of_items,
    finalizers_merge_in_the_order_of_the_patch,
    a_strategic_patch_can_remove_an_item,
    a_strategic_patch_does_not_ask_for_what_it_does_unasked,
    a_custom_resource_takes_no_strategic_patch,
    a_patch_of_an_unknown_kind_is_refused,
    a_patched_object_must_be_valid,
];

async fn a_merge_patch_sets_and_removes(case: Case) {
    let path = format!("{}/a", case.maps());
    let mut wanted = config_map("a", "1");
    wanted["data"]["gone"] = "x".into();
    case.post(&case.maps(), &wanted).await.expect(201);
    let patch = json!({"data": {"key": "2", "gone": null, "new": "3"}, "metadata": {"labels": {"a": "b"}}});
    let after = case.patch(&path, "merge", &patch).await.expect(200);
    assert_eq!(after["data"], json!({"key": "2", "new": "3"}));
    assert_eq!(after["metadata"]["labels"], json!({"a": "b"}));
}

async fn a_merge_patch_replaces_lists(case: Case) {
    let widgets = case.widgets().await;
    case.post(&widgets, &widget("w", &json!({"parts": ["a", "b"]}))).await.expect(201);
    let after = case.patch(&format!("{widgets}/w"), "merge", &json!({"spec": {"parts": ["c"]}})).await.expect(200);
    assert_eq!(after["spec"]["parts"], json!(["c"]));
}

async fn a_patch_that_changes_nothing_keeps_the_version(case: Case) {
    let made = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let path = format!("{}/a", case.maps());
    let after = case.patch(&path, "merge", &json!({"data": {"key": "1"}})).await.expect(200);
    assert_eq!(rv(&after), rv(&made));
}

async fn a_patch_of_an_old_version_is_a_conflict(case: Case) {
    let path = format!("{}/a", case.maps());
    let old = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    case.patch(&path, "merge", &json!({"data": {"key": "2"}})).await.expect(200);
    let patch = json!({"metadata": {"resourceVersion": rv(&old)}, "data": {"key": "3"}});
    case.patch(&path, "merge", &patch).await.refused(409, "Conflict");
    assert_eq!(case.get(&path).await.expect(200)["data"]["key"], "2");
}

async fn a_patch_of_nothing_is_not_found(case: Case) {
    for kind in ["merge", "strategic-merge"] {
        case.patch(&format!("{}/a", case.maps()), kind, &json!({"data": {}})).await.refused(404, "NotFound");
    }
    case.patch(&format!("{}/a", case.maps()), "json", &json!([])).await.refused(404, "NotFound");
}

async fn a_json_patch_is_carried_out_in_order(case: Case) {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let operations = json!([
        {"op": "add", "path": "/data/new", "value": "x"},
        {"op": "copy", "from": "/data/new", "path": "/data/copy"},
        {"op": "replace", "path": "/data/new", "value": "y"},
        {"op": "remove", "path": "/data/key"},
        {"op": "replace", "path": "/data/other", "value": "z"},
        {"op": "add", "path": "/metadata/labels", "value": {"example.com/a": "b"}},
        {"op": "replace", "path": "/metadata/labels/example.com~1a", "value": "c"},
    ]);
    let after = case.patch(&format!("{}/a", case.maps()), "json", &operations).await.expect(200);
    assert_eq!(after["data"], json!({"new": "y", "copy": "x", "other": "z"}));
    assert_eq!(after["metadata"]["labels"], json!({"example.com/a": "c"}));
}

async fn a_json_patch_can_test(case: Case) {
    let path = format!("{}/a", case.maps());
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let operations = |tested: &str| {
        json!([
            {"op": "test", "path": "/data/key", "value": tested},
            {"op": "replace", "path": "/data/key", "value": "2"},
        ])
    };
    case.patch(&path, "json", &operations("0")).await.refused(422, "Invalid");
    assert_eq!(case.get(&path).await.expect(200)["data"]["key"], "1");
    case.patch(&path, "json", &operations("1")).await.expect(200);
}

async fn a_json_patch_that_does_not_fit_is_refused(case: Case) {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    for operation in [
        json!({"op": "remove", "path": "/data/none"}),
        json!({"op": "polish", "path": "/data"}),
        json!({"op": "remove"}),
    ] {
        case.patch(&format!("{}/a", case.maps()), "json", &json!([operation])).await.refused(422, "Invalid");
    }
}

async fn a_json_patch_must_be_a_list_of_operations(case: Case) {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    case.patch(&format!("{}/a", case.maps()), "json", &json!({"op": "add"})).await.refused(400, "BadRequest");
}

async fn with_containers(case: &Case) -> String {
    let path = format!("/apis/apps/v1/namespaces/{}/deployments", case.namespace());
    let containers = json!([{"name": "a", "image": "one"}, {"name": "b", "image": "two"}]);
    case.post(&path, &deployment("d", &containers)).await.expect(201);
    format!("{path}/d")
}

fn images(deployment: &Value) -> Vec<(&str, &str)> {
    let containers = deployment.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    containers
        .into_iter()
        .flatten()
        .map(|container| {
            (container["name"].as_str().unwrap_or_default(), container["image"].as_str().unwrap_or_default())
        })
        .collect()
}

fn of_containers(containers: &Value) -> Value {
    json!({"spec": {"template": {"spec": {"containers": containers}}}})
}

async fn a_strategic_patch_merges_lists_by_their_key(case: Case) {
    let path = with_containers(&case).await;
    let patch = of_containers(&json!([{"name": "b", "image": "three"}]));
    let after = case.patch(&path, "strategic-merge", &patch).await.expect(200);
    assert_eq!(images(&after), [("a", "one"), ("b", "three")]);
}

async fn a_strategic_patch_sets_the_order_of_items(case: Case) {
    let path = with_containers(&case).await;
    let new = of_containers(&json!([{"name": "z", "image": "three"}]));
    let after = case.patch(&path, "strategic-merge", &new).await.expect(200);
    assert_eq!(images(&after), [("z", "three"), ("a", "one"), ("b", "two")], "a new item cannot be compared");
    let turned = of_containers(&json!([{"name": "b", "image": "two"}, {"name": "z", "image": "three"}]));
    let after = case.patch(&path, "strategic-merge", &turned).await.expect(200);
    assert_eq!(images(&after), [("a", "one"), ("b", "two"), ("z", "three")]);
}

async fn finalizers_merge_in_the_order_of_the_patch(case: Case) {
    let mut made = config_map("a", "1");
    made["metadata"]["finalizers"] = json!(["example.com/b"]);
    case.post(&case.maps(), &made).await.expect(201);
    let patch = json!({"metadata": {"finalizers": ["example.com/c", "example.com/a"]}});
    let after = case.patch(&format!("{}/a", case.maps()), "strategic-merge", &patch).await.expect(200);
    assert_eq!(after["metadata"]["finalizers"], json!(["example.com/c", "example.com/a", "example.com/b"]));
}

async fn a_strategic_patch_can_remove_an_item(case: Case) {
    let path = with_containers(&case).await;
    let patch = of_containers(&json!([{"name": "a", "$patch": "delete"}]));
    let after = case.patch(&path, "strategic-merge", &patch).await.expect(200);
    assert_eq!(images(&after), [("b", "two")]);
}

async fn a_strategic_patch_does_not_ask_for_what_it_does_unasked(case: Case) {
    let path = with_containers(&case).await;
    for patch in [of_containers(&json!([{"name": "a", "$patch": "merge"}])), json!({"$patch": "merge"})] {
        let status = case.patch(&path, "strategic-merge", &patch).await.expect(500);
        assert_eq!((&status["kind"], &status["status"]), (&json!("Status"), &json!("Failure")), "{status}");
    }
}

async fn a_custom_resource_takes_no_strategic_patch(case: Case) {
    let widgets = case.widgets().await;
    case.post(&widgets, &widget("w", &json!({"size": 1}))).await.expect(201);
    let answer = case.patch(&format!("{widgets}/w"), "strategic-merge", &json!({"spec": {"size": 2}})).await;
    answer.refused(415, "UnsupportedMediaType");
}

async fn a_patch_of_an_unknown_kind_is_refused(case: Case) {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let path = format!("{}/a", case.maps());
    let answer = case.send("PATCH", &path, &[("content-type", "application/json")], "{}").await;
    answer.refused(415, "UnsupportedMediaType");
}

async fn a_patched_object_must_be_valid(case: Case) {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let patch = json!({"metadata": {"labels": {"a": "not a label"}}});
    case.patch(&format!("{}/a", case.maps()), "merge", &patch).await.refused(422, "Invalid");
}
