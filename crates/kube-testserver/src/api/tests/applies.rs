//! Server-side apply and the owners of fields.

use super::*;

fn apply(api: &Api, target: &str, manager: &str, more: &str, body: &Value) -> Answer {
    patch(api, &format!("{target}?fieldManager={manager}{more}"), "apply", body)
}

fn managers(object: &Value) -> Vec<String> {
    object["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| {
            let text = |field: &str| entry[field].as_str().unwrap_or("-").to_owned();
            format!("{} {} {}", text("manager"), text("operation"), text("subresource"))
        })
        .collect()
}

fn target() -> String {
    format!("{WIDGETS}/w")
}

#[test]
fn an_apply_makes_the_object_and_owns_what_it_said() {
    let api = with_widgets();
    let made = apply(&api, &target(), "one", "", &widget("w", &json!({"size": 1, "parts": ["a"]}))).expect(201);
    let entry = &made["metadata"]["managedFields"][0];
    assert_eq!(managers(&made), ["one Apply -"]);
    assert_eq!(entry["fieldsV1"], json!({"f:spec": {"f:size": {}, "f:parts": {}}}));
    assert_eq!((&entry["fieldsType"], &entry["apiVersion"]), (&json!("FieldsV1"), &json!("example.com/v1")));
    let again = apply(&api, &target(), "one", "", &widget("w", &json!({"size": 1, "parts": ["a"]}))).expect(200);
    assert_eq!(again, made, "the same again changes nothing");
}

#[test]
fn what_a_manager_no_longer_applies_is_removed_unless_another_owns_it() {
    let api = with_widgets();
    apply(&api, &target(), "one", "", &widget("w", &json!({"size": 1, "color": "red"}))).expect(201);
    let both = apply(&api, &target(), "two", "", &widget("w", &json!({"color": "red"}))).expect(200);
    // An apply that changes nothing has no time, and comes first.
    assert_eq!(managers(&both), ["two Apply -", "one Apply -"]);
    let left = apply(&api, &target(), "one", "", &widget("w", &json!({}))).expect(200);
    assert_eq!(left["spec"], json!({"color": "red"}));
    let none = apply(&api, &target(), "two", "", &widget("w", &json!({}))).expect(200);
    assert!(none["spec"].get("color").is_none());
}

#[test]
fn two_managers_conflict_over_a_field_until_one_forces() {
    let api = with_widgets();
    apply(&api, &target(), "one", "", &widget("w", &json!({"size": 1, "color": "red"}))).expect(201);
    let answer = apply(&api, &target(), "two", "", &widget("w", &json!({"size": 2})));
    assert_eq!(
        answer.body["details"]["causes"],
        json!([{"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".spec.size"}])
    );
    assert_eq!(answer.refused(409, "Conflict"), "Apply failed with 1 conflict: conflict with \"one\": .spec.size");
    let forced = apply(&api, &target(), "two", "&force=true", &widget("w", &json!({"size": 2}))).expect(200);
    assert_eq!(forced["spec"], json!({"size": 2, "color": "red"}));
    // The loser no longer owns it, and leaves it alone.
    let left = apply(&api, &target(), "one", "", &widget("w", &json!({"color": "red"}))).expect(200);
    assert_eq!(left["spec"]["size"], 2);
}

#[test]
fn an_update_takes_what_it_changes() {
    let api = with_widgets();
    apply(&api, &target(), "one", "", &widget("w", &json!({"size": 1, "color": "red"}))).expect(201);
    let body = json!({"spec": {"size": 5}});
    let after = patch(&api, &format!("{}?fieldManager=hand", target()), "merge", &body).expect(200);
    assert_eq!(managers(&after), ["one Apply -", "hand Update -"]);
    assert_eq!(after["metadata"]["managedFields"][0]["fieldsV1"], json!({"f:spec": {"f:color": {}}}));
    let message =
        apply(&api, &target(), "one", "", &widget("w", &json!({"size": 1, "color": "red"}))).refused(409, "Conflict");
    assert!(message.contains("conflict with \"hand\" using example.com/v1: .spec.size"), "{message}");
    // Saying the same is no conflict: both own it then.
    apply(&api, &target(), "one", "", &widget("w", &json!({"size": 5, "color": "red"}))).expect(200);
}

#[test]
fn conditions_of_several_managers_stand_side_by_side() {
    let api = with_widgets();
    post(&api, WIDGETS, &widget("w", &json!({"size": 1}))).expect(201);
    let status = format!("{}/status", target());
    let wanted = |kind: &str, value: &str| {
        json!({
            "apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"},
            "status": {"conditions": [{"type": kind, "status": value}]},
        })
    };
    apply(&api, &status, "one", "", &wanted("Ready", "True")).expect(200);
    let both = apply(&api, &status, "two", "", &wanted("Synced", "True")).expect(200);
    assert_eq!(both["status"]["conditions"].as_array().unwrap().len(), 2);
    assert_eq!(managers(&both), ["one Apply status", "two Apply status", "unknown Update -"]);
    let answer = apply(&api, &status, "two", "", &wanted("Ready", "False"));
    assert_eq!(answer.body["details"]["causes"][0]["field"], ".status.conditions[type=\"Ready\"].status");
    answer.refused(409, "Conflict");
    let empty = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}});
    let after = apply(&api, &status, "two", "", &empty).expect(200);
    assert_eq!(after["status"]["conditions"], json!([{"type": "Ready", "status": "True"}]));
    assert_eq!(after["metadata"]["generation"], 1);
}

#[test]
fn finalizers_of_several_managers_merge() {
    let api = with_widgets();
    let wanted = |finalizers: Value| {
        json!({
            "apiVersion": "example.com/v1", "kind": "Widget",
            "metadata": {"name": "w", "finalizers": finalizers},
        })
    };
    apply(&api, &target(), "one", "", &wanted(json!(["a/a"]))).expect(201);
    let both = apply(&api, &target(), "two", "", &wanted(json!(["b/b"]))).expect(200);
    assert_eq!(both["metadata"]["finalizers"], json!(["a/a", "b/b"]));
    let left = apply(&api, &target(), "one", "", &wanted(json!([]))).expect(200);
    assert_eq!(left["metadata"]["finalizers"], json!(["b/b"]));
}

#[test]
fn an_apply_needs_a_manager_and_an_object() {
    let api = with_widgets();
    let wanted = widget("w", &json!({}));
    let message = patch(&api, &target(), "apply", &wanted).refused(422, "Invalid");
    assert!(message.ends_with("fieldManager: Required value: is required for apply patch"), "{message}");
    let mut managed = wanted.clone();
    managed["metadata"]["managedFields"] = json!([]);
    let message = apply(&api, &target(), "one", "", &managed).refused(400, "BadRequest");
    assert_eq!(message, "metadata.managedFields must be nil");
    apply(&api, &target(), "one", "", &json!({"metadata": {}})).refused(400, "BadRequest");
    let mut version = wanted.clone();
    version["apiVersion"] = "example.com/v2".into();
    apply(&api, &target(), "one", "", &version).refused(400, "BadRequest");
    apply(&api, &format!("{}/status", target()), "one", "", &wanted).refused(404, "NotFound");
    let yaml = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec:\n  size: 3\n";
    let headers = [("content-type", "application/apply-patch+yaml")];
    let made = send(&api, "PATCH", &format!("{}?fieldManager=one", target()), &headers, yaml).expect(201);
    assert_eq!(made["spec"]["size"], 3);
    let broken = send(&api, "PATCH", &format!("{}?fieldManager=one", target()), &headers, "a: [");
    broken.refused(400, "BadRequest");
}

#[test]
fn core_types_are_applied_too() {
    let api = Api::new();
    let deployments = "/apis/apps/v1/namespaces/default/deployments/d";
    let wanted = |replicas: Value, containers: Value| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
            "spec": {
                "replicas": replicas, "selector": {"matchLabels": {"a": "b"}},
                "template": {"spec": {"containers": containers}},
            },
        })
    };
    apply(&api, deployments, "one", "", &wanted(json!(1), json!([{"name": "a", "image": "1"}]))).expect(201);
    let sidecar = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"template": {"spec": {"containers": [{"name": "b", "image": "2"}]}}},
    });
    let both = apply(&api, deployments, "two", "", &sidecar).expect(200);
    assert_eq!(both["spec"]["template"]["spec"]["containers"].as_array().unwrap().len(), 2);
    assert_eq!(both["metadata"]["generation"], 2);
}
