//! The scale of a custom resource, and who owns its replicas.

use serde_json::{Value, json};

use crate::{
    answer::message,
    case::Case,
    fixtures::{managers, rv, widgets},
    test::tests,
};

tests![
    a_scale_without_replicas_is_an_error,
    a_scale_that_may_leave_the_replicas_out_is_refused_without_them,
    a_scale_may_leave_its_type_out,
    a_scale_of_something_missing_is_missing_whatever_is_sent,
    a_write_of_a_scale_moves_the_replicas_of_an_updater_to_an_entry_of_their_own,
    an_apply_of_the_current_scale_owns_the_replicas,
    an_apply_that_changes_a_scale_fails,
    an_apply_to_a_scale_without_owners_fails,
    a_scale_can_be_read_as_its_metadata,
    a_status_is_no_scale_if_it_is_null,
];

/// Serves widgets with a scale; returns the path of one that is there.
async fn scaled(case: &Case, spec: &Value) -> String {
    let group = format!("{}.scales.example.com", case.unique());
    let mut definition = widgets(&group);
    definition["spec"]["versions"][0]["subresources"]["scale"] =
        json!({"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.replicas"});
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["replicas"] =
        json!({"type": "integer"});
    case.define(&definition).await.expect("it is accepted");
    let path = format!("/apis/{group}/v1/namespaces/{}/widgets", case.namespace());
    let object =
        json!({"apiVersion": format!("{group}/v1"), "kind": "Widget", "metadata": {"name": "w"}, "spec": spec});
    case.post(&format!("{path}?fieldManager=maker"), &object).await.expect(201);
    format!("{path}/w")
}

fn scale(replicas: i32) -> Value {
    json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "w"}, "spec": {"replicas": replicas}})
}

async fn a_scale_without_replicas_is_an_error(case: Case) {
    let path = scaled(&case, &json!({"color": "red"})).await;
    let refused = case.get(&format!("{path}/scale")).await.refused(500, "InternalError");
    assert_eq!(message(&refused), "Internal error occurred: the spec replicas field \".spec.size\" does not exist");
}

async fn a_scale_that_may_leave_the_replicas_out_is_refused_without_them(case: Case) {
    let path = scaled(&case, &json!({"color": "red"})).await;
    let refused = case.patch(&format!("{path}/scale"), "merge", &json!({"spec": {}})).await.refused(400, "BadRequest");
    assert_eq!(message(&refused), "the spec replicas field \".spec.size\" cannot be empty");
    case.patch(&format!("{path}/scale"), "merge", &json!({"spec": {"replicas": 2}})).await.expect(200);
    assert_eq!(case.get(&path).await.expect(200)["spec"]["size"], 2);
}

async fn a_scale_may_leave_its_type_out(case: Case) {
    let path = scaled(&case, &json!({"size": 1})).await;
    let mut wanted = scale(3);
    wanted["kind"] = Value::Null;
    assert_eq!(case.put(&format!("{path}/scale"), &wanted).await.expect(200)["spec"]["replicas"], 3);
}

async fn a_scale_of_something_missing_is_missing_whatever_is_sent(case: Case) {
    let path = scaled(&case, &json!({"size": 1})).await;
    let mut wanted = scale(3);
    wanted["metadata"]["name"] = "none".into();
    wanted["spec"] = json!({"replicas": null});
    case.put(&format!("{}none/scale", path.trim_end_matches('w')), &wanted).await.refused(404, "NotFound");
}

async fn a_write_of_a_scale_moves_the_replicas_of_an_updater_to_an_entry_of_their_own(case: Case) {
    let path = scaled(&case, &json!({"size": 1, "color": "red"})).await;
    let before = case.get(&path).await.expect(200);
    case.patch(&format!("{path}/scale"), "merge", &json!({"spec": {"replicas": 1}})).await.expect(200);
    let after = case.get(&path).await.expect(200);
    assert_ne!(rv(&after), rv(&before));
    let entries = after["metadata"]["managedFields"].as_array().expect("entries");
    let of_maker: Vec<(&Value, bool)> =
        entries.iter().map(|entry| (&entry["fieldsV1"], entry["time"].is_string())).collect();
    let (replicas, rest) = (json!({"f:spec": {"f:size": {}}}), json!({"f:spec": {".": {}, "f:color": {}}}));
    assert_eq!(of_maker, [(&replicas, false), (&rest, true)]);
}

async fn an_apply_of_the_current_scale_owns_the_replicas(case: Case) {
    let path = scaled(&case, &json!({"size": 1, "color": "red"})).await;
    case.apply(&format!("{path}/scale"), "one", "", &scale(1)).await.expect(200);
    let object = case.get(&path).await.expect(200);
    assert!(managers(&object).contains(&"one Apply scale".to_owned()), "{object}");
}

async fn an_apply_that_changes_a_scale_fails(case: Case) {
    let path = scaled(&case, &json!({"size": 1, "color": "red"})).await;
    case.apply(&format!("{path}/scale"), "one", "", &scale(2)).await.refused(409, "Conflict");
    let failed = case.apply(&format!("{path}/scale"), "one", "&force=true", &scale(2)).await.expect(500);
    assert!(message(&failed).contains("request to convert CR to an invalid group/version: autoscaling/v1"), "{failed}");
    assert_eq!(case.get(&path).await.expect(200)["spec"]["size"], 1);
}

async fn an_apply_to_a_scale_without_owners_fails(case: Case) {
    let path = scaled(&case, &json!({"color": "red"})).await;
    case.patch(&format!("{path}/scale"), "merge", &json!({"spec": {"replicas": 2}})).await.expect(200);
    let failed = case.apply(&format!("{path}/scale"), "one", "&force=true", &scale(2)).await.expect(500);
    assert!(message(&failed).starts_with("failed to create manager for existing fields"), "{failed}");
}

async fn a_scale_can_be_read_as_its_metadata(case: Case) {
    let path = scaled(&case, &json!({"size": 1})).await;
    let accept = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
    let shown = case.get_as(&format!("{path}/scale"), accept).await.expect(200);
    assert_eq!((&shown["kind"], &shown["metadata"]["name"]), (&json!("PartialObjectMetadata"), &json!("w")));
}

async fn a_status_is_no_scale_if_it_is_null(case: Case) {
    let path = scaled(&case, &json!({"size": 1})).await;
    let group = path.split('/').nth(2).expect("a group").to_owned();
    let wanted =
        json!({"apiVersion": format!("{group}/v1"), "kind": "Widget", "metadata": {"name": "w"}, "status": null});
    let applied = case.apply(&format!("{path}/status"), "one", "", &wanted).await.expect(200);
    assert!(applied["status"].is_null(), "{applied}");
    assert!(managers(&applied).contains(&"one Apply status".to_owned()), "{applied}");
}
