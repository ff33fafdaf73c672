//! The status, apart from the rest of the object.

use serde_json::json;

use crate::{
    answer::{fields, message},
    case::Case,
    fixtures::{config_map, deployment, rv, widget, widget_status},
    test::tests,
};

tests![
    a_create_leaves_the_status_out,
    an_update_leaves_the_status_as_it_was,
    an_update_of_the_status_leaves_the_rest_as_it_was,
    a_patch_of_the_status_changes_the_status_alone,
    an_old_version_is_a_conflict_for_the_status_too,
    a_status_that_is_read_is_the_whole_object,
    a_status_of_something_missing_is_missing,
    a_kind_without_a_status_has_no_such_path,
    a_status_write_of_a_deployment_changes_metadata_but_no_labels,
    ephemeral_containers_are_added_to_a_pod_and_nothing_else,
    a_namespace_is_finalized_by_an_update_only,
];

async fn a_create_leaves_the_status_out(case: Case) {
    let mut wanted = widget("w", &json!({"size": 1}));
    wanted["status"] = json!({"ready": true});
    let made = case.post(&case.widgets().await, &wanted).await.expect(201);
    assert!(made["status"].is_null(), "{made}");
}

async fn an_update_leaves_the_status_as_it_was(case: Case) {
    let widgets = case.widgets().await;
    let path = format!("{widgets}/w");
    case.post(&widgets, &widget("w", &json!({"size": 1}))).await.expect(201);
    let ready = json!({"status": {"ready": true}});
    let mut object = case.patch(&format!("{path}/status"), "merge", &ready).await.expect(200);
    object["status"]["ready"] = false.into();
    object["spec"]["size"] = 2.into();
    let after = case.put(&path, &object).await.expect(200);
    assert_eq!((&after["spec"]["size"], &after["status"]["ready"]), (&json!(2), &json!(true)));
}

async fn an_update_of_the_status_leaves_the_rest_as_it_was(case: Case) {
    let widgets = case.widgets().await;
    let mut object = case.post(&widgets, &widget("w", &json!({"size": 1}))).await.expect(201);
    object["spec"]["size"] = 2.into();
    object["metadata"]["labels"] = json!({"a": "b"});
    object["status"] = json!({"ready": true});
    let after = case.put(&format!("{widgets}/w/status"), &object).await.expect(200);
    assert_eq!((&after["spec"]["size"], &after["status"]["ready"]), (&json!(1), &json!(true)));
    assert!(after["metadata"]["labels"].is_null());
    assert_eq!(after["metadata"]["generation"], 1);
    assert_ne!(rv(&after), rv(&object));
}

async fn a_patch_of_the_status_changes_the_status_alone(case: Case) {
    let widgets = case.widgets().await;
    case.post(&widgets, &widget("w", &json!({"size": 1}))).await.expect(201);
    let both = json!({"spec": {"size": 2}, "status": {"ready": true}});
    let after = case.patch(&format!("{widgets}/w/status"), "merge", &both).await.expect(200);
    assert_eq!((&after["spec"]["size"], &after["status"]["ready"]), (&json!(1), &json!(true)));
    let other = json!({"spec": {"size": 3}, "status": {"ready": false}});
    let after = case.patch(&format!("{widgets}/w"), "merge", &other).await.expect(200);
    assert_eq!((&after["spec"]["size"], &after["status"]["ready"]), (&json!(3), &json!(true)));
}

async fn an_old_version_is_a_conflict_for_the_status_too(case: Case) {
    let widgets = case.widgets().await;
    let old = case.post(&widgets, &widget("w", &json!({"size": 1}))).await.expect(201);
    case.patch(&format!("{widgets}/w"), "merge", &json!({"spec": {"size": 2}})).await.expect(200);
    let mut status = widget_status("w", &json!({"ready": true}));
    status["metadata"]["resourceVersion"] = rv(&old).into();
    case.put(&format!("{widgets}/w/status"), &status).await.refused(409, "Conflict");
}

async fn a_status_that_is_read_is_the_whole_object(case: Case) {
    let widgets = case.widgets().await;
    let made = case.post(&widgets, &widget("w", &json!({"size": 1}))).await.expect(201);
    assert_eq!(case.get(&format!("{widgets}/w/status")).await.expect(200), made);
}

async fn a_status_of_something_missing_is_missing(case: Case) {
    let path = format!("{}/w/status", case.widgets().await);
    case.patch(&path, "merge", &json!({"status": {"ready": true}})).await.refused(404, "NotFound");
    case.get(&path).await.refused(404, "NotFound");
}

async fn a_kind_without_a_status_has_no_such_path(case: Case) {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let status = case.get(&format!("{}/a/status", case.maps())).await.refused(404, "NotFound");
    assert_eq!(message(&status), "the server could not find the requested resource");
}

async fn a_status_write_of_a_deployment_changes_metadata_but_no_labels(case: Case) {
    let deployments = format!("/apis/apps/v1/namespaces/{}/deployments", case.namespace());
    case.post(&deployments, &deployment("d", &json!([{"name": "c", "image": "i"}]))).await.expect(201);
    let patch = json!({
        "metadata": {"annotations": {"a": "1"}, "labels": {"a": "1"}, "finalizers": ["example.com/f"]},
        "spec": {"replicas": 5}, "status": {"replicas": 1},
    });
    let after = case.patch(&format!("{deployments}/d/status"), "merge", &patch).await.expect(200);
    assert_eq!(after["metadata"]["annotations"]["a"], "1");
    assert_eq!(after["metadata"]["finalizers"], json!(["example.com/f"]));
    assert!(after["metadata"]["labels"].is_null(), "{after}");
    assert_eq!((&after["spec"]["replicas"], &after["status"]["replicas"]), (&json!(1), &json!(1)));
    assert_eq!(after["metadata"]["generation"], 1);
    let gone = json!({"metadata": {"finalizers": []}});
    case.patch(&format!("{deployments}/d"), "merge", &gone).await.expect(200);
}

async fn ephemeral_containers_are_added_to_a_pod_and_nothing_else(case: Case) {
    let pods = case.core("pods");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    case.post(&pods, &pod).await.expect(201);
    let path = format!("{pods}/p/ephemeralcontainers");
    let debug = json!([{"name": "debug", "image": "d", "targetContainerName": "c"}]);
    let patch = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"ephemeralContainers": debug}});
    let after = case.patch(&path, "strategic-merge", &patch).await.expect(200);
    assert_eq!(after["spec"]["ephemeralContainers"][0]["name"], "debug");
    assert!(after["metadata"]["labels"].is_null(), "{after}");
    assert_eq!(case.get(&path).await.expect(200)["spec"]["ephemeralContainers"][0]["image"], "d");

    let other = json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "other"}]}});
    let none = json!({"spec": {"ephemeralContainers": []}});
    for (kind, patch, done) in [("strategic-merge", other, "changed"), ("merge", none, "removed")] {
        let refused = case.patch(&path, kind, &patch).await.refused(422, "Invalid");
        assert_eq!(fields(&refused), ["spec.ephemeralContainers"]);
        let message = refused["message"].as_str().unwrap_or_default();
        assert!(message.contains(&format!("existing ephemeral containers \"debug\" may not be {done}\n")), "{message}");
    }
    case.delete_with(&format!("{pods}/p"), &json!({"gracePeriodSeconds": 0})).await.expect(200);
}

async fn a_namespace_is_finalized_by_an_update_only(case: Case) {
    let path = format!("/api/v1/namespaces/{}/finalize", case.namespace());
    case.get(&path).await.refused(405, "MethodNotAllowed");
    case.patch(&path, "merge", &json!({})).await.refused(405, "MethodNotAllowed");
}
