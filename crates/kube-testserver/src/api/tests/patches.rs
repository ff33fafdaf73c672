//! Merge, JSON and strategic merge patches.

use super::*;

#[test]
fn a_merge_patch_changes_what_it_names() {
    let api = with_widgets();
    let target = format!("{WIDGETS}/w");
    post(&api, WIDGETS, &widget("w", &json!({"size": 1, "color": "red", "parts": ["a"]}))).expect(201);
    let body = json!({"spec": {"size": null, "parts": ["b", "c"]}});
    let after = patch(&api, &target, "merge", &body).expect(200);
    assert_eq!(after["spec"], json!({"color": "red", "parts": ["b", "c"]}));
    let stale = json!({"metadata": {"resourceVersion": "1"}, "spec": {"size": 3}});
    patch(&api, &target, "merge", &stale).refused(409, "Conflict");
    patch(&api, &target, "merge", &json!([])).refused(400, "BadRequest");
    patch(&api, &target, "merge", &json!({"metadata": {"name": "other"}})).refused(400, "BadRequest");
    patch(&api, &target, "merge", &json!({"kind": "Other"})).refused(422, "Invalid");
    patch(&api, &format!("{WIDGETS}/none"), "merge", &json!({})).refused(404, "NotFound");
}

#[test]
fn a_json_patch_tests_before_it_changes() {
    let api = Api::new();
    let target = format!("{CONFIGMAPS}/a");
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let ops = |value: &str| {
        json!([
            {"op": "test", "path": "/data/key", "value": value},
            {"op": "add", "path": "/data/new", "value": "x"},
            {"op": "remove", "path": "/data/key"},
        ])
    };
    patch(&api, &target, "json", &ops("2")).refused(422, "Invalid");
    let after = patch(&api, &target, "json", &ops("1")).expect(200);
    assert_eq!(after["data"], json!({"new": "x"}));
    patch(&api, &target, "json", &json!([{"op": "remove", "path": "/data/none"}])).refused(422, "Invalid");
    patch(&api, &target, "json", &json!({"op": "remove"})).refused(400, "BadRequest");
    patch(&api, &target, "json", &json!([{"op": "replace", "path": "/metadata", "value": 7}])).refused(422, "Invalid");
}

#[test]
fn a_json_patch_that_tests_for_null_is_content_with_nothing() {
    let api = Api::new();
    let target = format!("{CONFIGMAPS}/a");
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let first_finalizer = json!([
        {"op": "test", "path": "/metadata/finalizers", "value": null},
        {"op": "add", "path": "/metadata/finalizers", "value": ["example.com/a"]},
    ]);
    let after = patch(&api, &target, "json", &first_finalizer).expect(200);
    assert_eq!(after["metadata"]["finalizers"], json!(["example.com/a"]));
    patch(&api, &target, "json", &first_finalizer).refused(422, "Invalid");
}

#[test]
fn a_json_patch_cannot_blow_an_object_up() {
    let api = Api::new();
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let doubling: Vec<Value> =
        (0..60).map(|at| json!({"op": "copy", "from": "/data", "path": format!("/data/k{at}")})).collect();
    patch(&api, &format!("{CONFIGMAPS}/a"), "json", &doubling.into()).refused(422, "Invalid");
}

#[test]
fn strategic_merge_patches_are_for_core_types() {
    let api = with_widgets();
    post(&api, WIDGETS, &widget("w", &json!({}))).expect(201);
    let body = json!({"metadata": {"labels": {"a": "b"}}});
    patch(&api, &format!("{WIDGETS}/w"), "strategic-merge", &body).refused(415, "UnsupportedMediaType");
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let after = patch(&api, &format!("{CONFIGMAPS}/a"), "strategic-merge", &body).expect(200);
    assert_eq!((&after["metadata"]["labels"]["a"], &after["data"]["key"]), (&json!("b"), &json!("1")));
}

#[test]
fn unknown_patch_types_and_misplaced_parameters_are_refused() {
    let api = Api::new();
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let target = format!("{CONFIGMAPS}/a");
    for content_type in ["application/json", "text/plain", ""] {
        send(&api, "PATCH", &target, &[("content-type", content_type)], "{}").refused(415, "UnsupportedMediaType");
    }
    patch(&api, &format!("{target}?force=true"), "merge", &json!({})).refused(422, "Invalid");
    patch(&api, &format!("{target}?fieldValidation=Hard"), "merge", &json!({})).refused(422, "Invalid");
}

#[test]
fn a_body_that_is_all_brackets_or_all_items_is_answered() {
    let api = Api::new();
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let deep = "[".repeat(1_000_000);
    let target = format!("{CONFIGMAPS}/a?fieldManager=me");
    for kind in ["apply-patch+yaml", "merge-patch+json", "json-patch+json", "strategic-merge-patch+json"] {
        let content_type = format!("application/{kind}");
        send(&api, "PATCH", &target, &[("content-type", &content_type)], &deep).refused(400, "BadRequest");
    }
    let many: Vec<String> = (0..25_000).map(|at| format!("example.com/f{at}")).collect();
    let body = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "finalizers": many},
    });
    patch(&api, &target, "apply", &body).expect(200);
    patch(&api, &target, "strategic-merge", &body).expect(200);
    patch(&api, &target, "merge", &body).expect(200);
}

#[test]
fn a_json_patch_of_too_many_operations_is_refused() {
    let api = Api::new();
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let operation = json!({"op": "test", "path": "/kind", "value": "ConfigMap"});
    let operations = |count: usize| Value::from(vec![operation.clone(); count]);
    let one = format!("{CONFIGMAPS}/a");
    patch(&api, &one, "json", &operations(10_000)).expect(200);
    let message = patch(&api, &one, "json", &operations(10_001)).refused(413, "RequestEntityTooLarge");
    let why = "The allowed maximum operations in a JSON patch is 10000, got 10001";
    assert_eq!(message, format!("Request entity too large: {why}"));
}
