//! What random requests found: values without a type, items that are there twice, and writes that change nothing.

use serde_json::{Value, json};

use crate::{
    answer::{fields, message},
    case::Case,
    fixtures::{WIDGET_GROUP, config_map, managers, rv, widget},
    test::tests,
};

tests![
    a_resource_version_that_is_no_number_is_an_internal_error,
    a_patch_may_not_change_the_version_of_a_custom_resource,
    a_strategic_patch_says_nothing_about_the_type,
    a_finalizer_without_a_domain_is_refused_once_for_each_check,
    an_applied_time_may_have_any_type,
    an_applied_object_may_leave_out_a_key_of_an_item_if_it_has_another,
    an_apply_that_changes_what_the_server_sets_has_a_time,
    an_applied_map_that_is_emptied_stays,
    an_apply_of_null_replaces_an_empty_map,
    a_dry_run_shows_a_self_link,
    an_item_that_is_there_twice_has_one_owner,
    owners_of_another_version_are_dropped,
    a_value_of_another_type_is_owned_with_what_it_holds,
    a_write_without_a_change_is_stored_after_an_apply_with_empty_metadata,
    a_write_without_a_change_is_stored_after_null_bytes,
    an_update_removes_what_nothing_holds_any_more,
    a_collection_is_deleted_even_if_its_answer_is_not_acceptable,
    a_strategic_patch_removes_what_is_there_twice,
    an_operation_of_the_wrong_type_is_refused_by_its_validation,
    a_whole_number_with_a_fraction_is_stored_as_an_integer,
    a_status_is_validated_apart_from_the_rest,
    an_object_that_is_too_large_is_not_stored,
];

const MERGE: &str = "merge";

async fn path(case: &Case) -> String {
    format!("{}/w", case.widgets().await)
}

/// The fields that a manager owns.
fn owned<'a>(object: &'a Value, manager: &str) -> &'a Value {
    let entries = object["metadata"]["managedFields"].as_array().expect("entries");
    entries.iter().find(|entry| entry["manager"] == manager).map_or(&Value::Null, |entry| &entry["fieldsV1"])
}

async fn an_object_that_is_too_large_is_not_stored(case: Case) {
    let path = path(&case).await;
    let small = case.post(&case.widgets().await, &widget("w", &json!({"size": 1}))).await.expect(201);
    let mut large = small.clone();
    large["metadata"]["annotations"]["large"] = "x".repeat(200).into();
    large["spec"]["color"] = "x".repeat(1_700_000).into();
    let answer = case.put(&path, &large).await.expect(500);
    assert_eq!(message(&answer), "etcdserver: request is too large");
    assert_eq!(case.get(&path).await.expect(200), small);
}

async fn a_resource_version_that_is_no_number_is_an_internal_error(case: Case) {
    let path = format!("{}/a", case.maps());
    let mut wanted = config_map("a", "1");
    wanted["metadata"]["resourceVersion"] = "abc".into();
    let words = "strconv.ParseUint: parsing \"abc\": invalid syntax";
    assert_eq!(message(&case.apply(&path, "one", "", &wanted).await.expect(500)), words);
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    assert_eq!(message(&case.put(&path, &wanted).await.expect(500)), words);
}

async fn a_patch_may_not_change_the_version_of_a_custom_resource(case: Case) {
    let path = path(&case).await;
    case.post(&case.widgets().await, &widget("w", &json!({"size": 1}))).await.expect(201);
    let refused = case.patch(&path, MERGE, &json!({"apiVersion": "v9"})).await.refused(422, "Invalid");
    assert_eq!(
        message(&refused),
        format!("Widget \"w\" is invalid: apiVersion: Invalid value: \"v9\": must be {WIDGET_GROUP}/v1")
    );
    let failed = case.patch(&path, MERGE, &json!({"apiVersion": null})).await.refused(500, "InternalError");
    assert_eq!(
        failed["details"]["causes"][0]["message"],
        "Object 'apiVersion' is missing in 'object has no apiVersion field'"
    );
}

async fn a_strategic_patch_says_nothing_about_the_type(case: Case) {
    let path = format!("{}/a", case.maps());
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let patch = json!({"apiVersion": "v9", "kind": "Other", "data": {"b": "2"}});
    let after = case.patch(&path, "strategic-merge", &patch).await.expect(200);
    assert_eq!(
        (&after["apiVersion"], &after["kind"], &after["data"]["b"]),
        (&json!("v1"), &json!("ConfigMap"), &json!("2"))
    );
}

async fn a_finalizer_without_a_domain_is_refused_once_for_each_check(case: Case) {
    let path = format!("{}/a", case.maps());
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let patch = json!({"metadata": {"finalizers": ["plain"]}});
    let refused = case.patch(&path, MERGE, &patch).await.refused(422, "Invalid");
    assert_eq!(fields(&refused), ["metadata.finalizers[0]"; 2]);
}

async fn an_applied_time_may_have_any_type(case: Case) {
    let path = path(&case).await;
    let mut wanted = widget("w", &json!({"size": 1}));
    wanted["metadata"]["creationTimestamp"] = 1.into();
    case.apply(&path, "one", "", &wanted).await.expect(201);
    wanted["metadata"]["creationTimestamp"] = json!({});
    let failed = case.apply(&path, "one", "", &wanted).await.expect(500);
    assert!(message(&failed).contains(".metadata.creationTimestamp: expected any scalar"), "{failed}");
}

async fn an_applied_object_may_leave_out_a_key_of_an_item_if_it_has_another(case: Case) {
    let container = |ports: Value| json!([{"name": "c", "image": "i", "ports": ports}]);
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/d", case.namespace());
    let object = |ports| crate::fixtures::deployment("d", &container(ports));
    // The protocol has a default.
    let made = case.apply(&path, "one", "", &object(json!([{"containerPort": 80}]))).await.expect(201);
    let owned = owned(&made, "one").to_string();
    assert!(owned.contains("containerPort\\\":80,\\\"protocol\\\":\\\"TCP"), "{owned}");
}

async fn an_apply_that_changes_what_the_server_sets_has_a_time(case: Case) {
    let path = path(&case).await;
    case.post(&format!("{}?fieldManager=maker", case.widgets().await), &widget("w", &json!({"size": 1})))
        .await
        .expect(201);
    let time = |object: &Value, manager: &str| {
        let entries = object["metadata"]["managedFields"].as_array().expect("entries");
        entries.iter().any(|entry| entry["manager"] == manager && entry["time"].is_string())
    };
    let after = case.apply(&path, "plain", "", &widget("w", &json!({"size": 1}))).await.expect(200);
    assert!(!time(&after, "plain"), "{after}");
    let mut wanted = widget("w", &json!({"size": 1}));
    wanted["metadata"]["creationTimestamp"] = Value::Null;
    let after = case.apply(&path, "timed", "", &wanted).await.expect(200);
    assert!(time(&after, "timed"), "{after}");
}

async fn an_applied_map_that_is_emptied_stays(case: Case) {
    let maps = format!("{}/a", case.maps());
    let with =
        |labels: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": labels}});
    case.apply(&maps, "one", "", &with(json!({"a": "1"}))).await.expect(201);
    let after = case.apply(&maps, "one", "", &with(json!({}))).await.expect(200);
    assert_eq!(owned(&after, "one"), &json!({"f:metadata": {"f:labels": {}}}));
    assert!(after["metadata"]["labels"].is_null(), "{after}");
}

async fn an_apply_of_null_replaces_an_empty_map(case: Case) {
    let path = path(&case).await;
    case.post(&case.widgets().await, &widget("w", &json!({}))).await.expect(201);
    let null = widget("w", &Value::Null);
    case.apply(&path, "one", "", &null).await.refused(409, "Conflict");
    let refused = case.apply(&path, "one", "&force=true", &null).await.refused(422, "Invalid");
    assert!(fields(&refused).contains(&"spec"), "{refused}");
}

async fn a_dry_run_shows_a_self_link(case: Case) {
    let path = path(&case).await;
    case.apply(&path, "one", "", &widget("w", &json!({"size": 1}))).await.expect(201);
    let mut wanted = widget("w", &json!({"size": 2}));
    wanted["metadata"]["selfLink"] = "/x".into();
    let shown = case.apply(&path, "one", "&dryRun=All", &wanted).await.expect(200);
    assert_eq!(shown["metadata"]["selfLink"], "/x");
    let stored = case.apply(&path, "one", "", &wanted).await.expect(200);
    assert!(stored["metadata"]["selfLink"].is_null(), "{stored}");
}

async fn an_item_that_is_there_twice_has_one_owner(case: Case) {
    let maps = case.maps();
    let mut object = config_map("a", "1");
    object["metadata"]["finalizers"] = json!(["example.com/f"]);
    let mut made = case.post(&format!("{maps}?fieldManager=maker"), &object).await.expect(201);
    made["metadata"]["finalizers"] = json!(["example.com/f", "example.com/f"]);
    let after = case.put(&format!("{maps}/a?fieldManager=other"), &made).await.expect(200);
    assert_eq!(owned(&after, "other"), &json!({"f:metadata": {"f:finalizers": {"v:\"example.com/f\"": {}}}}));
    case.patch(&format!("{maps}/a"), MERGE, &json!({"metadata": {"finalizers": null}})).await.expect(200);
}

async fn owners_of_another_version_are_dropped(case: Case) {
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", case.namespace());
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {}});
    let mut made = case.post(&leases, &lease).await.expect(201);
    made["spec"]["holderIdentity"] = "me".into();
    made["metadata"]["managedFields"] = json!([{
        "manager": "old", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}},
    }]);
    let after = case.put(&format!("{leases}/l?fieldManager=new"), &made).await.expect(200);
    assert_eq!(managers(&after), ["new Update -"]);
}

async fn a_value_of_another_type_is_owned_with_what_it_holds(case: Case) {
    let group = format!("{}.corners.example.com", case.unique());
    let mut definition = crate::fixtures::widgets(&group);
    definition["spec"]["versions"][0]["selectableFields"] = json!([]);
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = json!({
        "type": "object", "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
    });
    case.define(&definition).await.expect("it is accepted");
    let path = format!("/apis/{group}/v1/namespaces/{}/widgets", case.namespace());
    let object = |spec: Value| json!({"apiVersion": format!("{group}/v1"), "kind": "Widget", "metadata": {"name": "w"}, "spec": spec});
    case.post(&path, &object(json!({"a": 1, "b": 1}))).await.expect(201);
    let patch = json!({"spec": {"a": {"c": 2}}});
    let after = case.patch(&format!("{path}/w?fieldManager=other"), MERGE, &patch).await.expect(200);
    assert_eq!(owned(&after, "other"), &json!({"f:spec": {"f:a": {".": {}, "f:c": {}}}}));
}

async fn a_write_without_a_change_is_stored_after_an_apply_with_empty_metadata(case: Case) {
    let path = path(&case).await;
    let mut wanted = widget("w", &json!({"size": 1}));
    wanted["metadata"]["labels"] = json!({});
    let made = case.apply(&path, "one", "", &wanted).await.expect(201);
    let second = case.patch(&path, MERGE, &json!({})).await.expect(200);
    let third = case.patch(&path, MERGE, &json!({})).await.expect(200);
    assert_ne!(rv(&made), rv(&second));
    assert_eq!(rv(&second), rv(&third));
}

async fn a_write_without_a_change_is_stored_after_null_bytes(case: Case) {
    let secrets = case.core("secrets");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"k": null}});
    let made = case.post(&secrets, &secret).await.expect(201);
    let second = case.patch(&format!("{secrets}/s"), MERGE, &json!({})).await.expect(200);
    let third = case.patch(&format!("{secrets}/s"), MERGE, &json!({})).await.expect(200);
    assert_eq!(made["data"]["k"], "");
    assert_ne!(rv(&made), rv(&second));
    assert_eq!(rv(&second), rv(&third));
}

async fn an_update_removes_what_nothing_holds_any_more(case: Case) {
    let lease = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases/l", case.namespace());
    let wanted = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {},
        "metadata": {"name": "l", "deletionTimestamp": "2020-01-01T00:00:00Z"},
    });
    case.put(&lease, &wanted).await.expect(201);
    case.patch(&lease, MERGE, &json!({})).await.expect(200);
    case.get(&lease).await.refused(404, "NotFound");
}

async fn a_collection_is_deleted_even_if_its_answer_is_not_acceptable(case: Case) {
    let maps = case.maps();
    case.post(&maps, &config_map("a", "1")).await.expect(201);
    let accept = [("accept", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io")];
    case.send("DELETE", &maps, &accept, "").await.refused(406, "NotAcceptable");
    case.get(&format!("{maps}/a")).await.refused(404, "NotFound");
}

async fn a_strategic_patch_removes_what_is_there_twice(case: Case) {
    let maps = case.maps();
    let mut object = config_map("a", "1");
    object["metadata"]["finalizers"] = json!(["example.com/f", "example.com/f"]);
    case.post(&maps, &object).await.expect(201);
    let patch = json!({"metadata": {"finalizers": []}});
    let after = case.patch(&format!("{maps}/a"), "strategic-merge", &patch).await.expect(200);
    assert_eq!(after["metadata"]["finalizers"], json!(["example.com/f"]));
    case.patch(&format!("{maps}/a"), MERGE, &json!({"metadata": {"finalizers": null}})).await.expect(200);
}

async fn an_operation_of_the_wrong_type_is_refused_by_its_validation(case: Case) {
    let maps = case.maps();
    case.post(&maps, &config_map("a", "1")).await.expect(201);
    let patch = json!([{"op": 1, "path": "/data/k", "value": "x"}]);
    case.patch(&format!("{maps}/a"), "json", &patch).await.refused(400, "BadRequest");
    case.patch(&format!("{maps}/a?fieldValidation=Ignore"), "json", &patch).await.refused(422, "Invalid");
}

async fn a_whole_number_with_a_fraction_is_stored_as_an_integer(case: Case) {
    let path = path(&case).await;
    let made = case.post(&case.widgets().await, &widget("w", &json!({"size": 2.0}))).await.expect(201);
    assert_eq!(made["spec"]["size"].to_string(), "2");
    let after = case.patch(&path, MERGE, &json!({"spec": {"size": 3.0}})).await.expect(200);
    assert_eq!(after["spec"]["size"].to_string(), "3");
}

async fn a_status_is_validated_apart_from_the_rest(case: Case) {
    let group = format!("{}.corners.example.com", case.unique());
    let mut definition = crate::fixtures::widgets(&group);
    case.define(&definition).await.expect("it is accepted");
    let path = format!("/apis/{group}/v1/namespaces/{}/widgets", case.namespace());
    let object = json!({"apiVersion": format!("{group}/v1"), "kind": "Widget", "metadata": {"name": "w"}});
    case.post(&path, &object).await.expect(201);
    let name = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{group}");
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["required"] = json!(["spec"]);
    case.patch(&name, MERGE, &json!({"spec": {"versions": definition["spec"]["versions"]}})).await.expect(200);
    // A real server uses the new schema a moment later.
    let mut rounds = tokio::time::interval(std::time::Duration::from_millis(20));
    loop {
        rounds.tick().await;
        let mut other = object.clone();
        other["metadata"]["name"] = "other".into();
        if case.post(&format!("{path}?dryRun=All"), &other).await.code == 422 {
            break;
        }
    }
    let status = json!({"status": {"ready": true}});
    case.patch(&format!("{path}/w/status"), MERGE, &status).await.expect(200);
}
