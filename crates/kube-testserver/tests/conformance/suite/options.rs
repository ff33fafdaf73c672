//! Options of requests: patches, deletes, lists and what their parameters may say.

use serde_json::{Value, json};

use crate::{
    answer::{fields, message},
    case::Case,
    fixtures::{config_map, labelled, names, rv, uid},
    test::tests,
};

tests![
    a_json_patch_is_more_lenient_than_its_rfc,
    a_malformed_patch_of_nothing_is_not_found,
    a_patch_that_keeps_keys_names_all_of_them,
    an_update_of_a_broken_patch_names_the_patch,
    a_failed_precondition_of_a_delete_names_the_kind,
    the_query_of_a_delete_may_have_preconditions,
    the_two_ways_to_ask_for_orphans_exclude_each_other,
    a_delete_that_keeps_no_orphans_is_accepted,
    a_deleted_collection_is_answered_as_it_was,
    options_are_checked_together,
    a_malformed_resource_version_is_refused_by_each_verb_in_its_way,
    label_selectors_are_read_token_by_token,
    a_field_selector_may_escape_a_comma,
    a_page_of_selected_objects_says_that_more_are_left,
    a_list_over_all_namespaces_has_the_order_of_the_keys,
    a_name_in_the_path_of_a_collection_is_missed,
];

async fn a_json_patch_is_more_lenient_than_its_rfc(case: Case) {
    let path = format!("{}/a", case.maps());
    let mut object = config_map("a", "1");
    object["metadata"]["finalizers"] = json!(["example.com/a", "example.com/b"]);
    case.post(&case.maps(), &object).await.expect(201);
    let patch = json!([
        {"op": "test", "path": "/data/none"},
        {"op": "replace", "path": "/data/none", "value": "x"},
        {"op": "remove", "path": "/metadata/finalizers/-1"},
        {"op": "replace", "path": "/metadata/finalizers/00", "value": "example.com/c"},
    ]);
    let after = case.patch(&path, "json", &patch).await.expect(200);
    assert_eq!(after["data"], json!({"key": "1", "none": "x"}));
    assert_eq!(after["metadata"]["finalizers"], json!(["example.com/c"]));
    case.patch(&path, "json", &json!([{"op": "test", "path": "/data/key"}])).await.refused(422, "Invalid");
    case.patch(&path, "json", &json!([{"op": 1, "path": "/data/key"}])).await.refused(400, "BadRequest");
    case.patch(&path, "merge", &json!({"metadata": {"finalizers": null}})).await.expect(200);
}

async fn a_malformed_patch_of_nothing_is_not_found(case: Case) {
    let path = format!("{}/none", case.maps());
    for kind in ["json-patch+json", "merge-patch+json", "strategic-merge-patch+json"] {
        let content_type = format!("application/{kind}");
        case.send("PATCH", &path, &[("content-type", &content_type)], "{").await.refused(404, "NotFound");
    }
    let apply = format!("{path}?fieldManager=m");
    let headers = [("content-type", "application/apply-patch+yaml")];
    case.send("PATCH", &apply, &headers, "{").await.refused(400, "BadRequest");
}

async fn a_patch_that_keeps_keys_names_all_of_them(case: Case) {
    let path = format!("{}/a", case.maps());
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let patch = json!({"data": {"$retainKeys": ["b"], "a": "1", "b": "2"}});
    let status = case.patch(&path, "strategic-merge", &patch).await.refused(400, "BadRequest");
    assert_eq!(message(&status), "invalid patch format of retainKeys");
    let patch = json!({"data": {"$retainKeys": ["b"], "b": "2"}});
    let after = case.patch(&path, "strategic-merge", &patch).await.expect(200);
    assert_eq!(after["data"], json!({"b": "2"}));
}

async fn an_update_of_a_broken_patch_names_the_patch(case: Case) {
    let path = format!("{}/a", case.maps());
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let status = case.patch(&path, "merge", &json!({"metadata": {"labels": "x"}})).await.refused(422, "Invalid");
    assert_eq!(fields(&status), ["patch"]);
}

async fn a_failed_precondition_of_a_delete_names_the_kind(case: Case) {
    let path = format!("{}/a", case.maps());
    let made = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let status = case.delete_with(&path, &json!({"preconditions": {"uid": "x"}})).await.refused(409, "Conflict");
    assert_eq!(status["details"], json!({"name": "a", "kind": "ConfigMap"}));
    let expected = format!(
        "Operation cannot be fulfilled on ConfigMap \"a\": the UID in the precondition (x) does not match the UID in record \
         ({}). The object might have been deleted and then recreated",
        uid(&made)
    );
    assert_eq!(message(&status), expected);
}

async fn the_query_of_a_delete_may_have_preconditions(case: Case) {
    let path = format!("{}/a", case.maps());
    let made = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    case.delete(&format!("{path}?resourceVersion=1")).await.refused(409, "Conflict");
    case.delete(&format!("{path}?resourceVersion={}", rv(&made))).await.expect(200);
}

async fn the_two_ways_to_ask_for_orphans_exclude_each_other(case: Case) {
    let path = format!("{}/a", case.maps());
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let options = json!({"propagationPolicy": "Orphan", "orphanDependents": true});
    let status = case.delete_with(&path, &options).await.refused(422, "Invalid");
    assert_eq!(fields(&status), ["propagationPolicy"]);
}

async fn a_delete_that_keeps_no_orphans_is_accepted(case: Case) {
    let path = format!("{}/a", case.maps());
    let mut object = config_map("a", "1");
    object["metadata"]["finalizers"] = json!(["example.com/a"]);
    case.post(&case.maps(), &object).await.expect(201);
    let left = case.delete_with(&path, &json!({"orphanDependents": false})).await.expect(202);
    assert_eq!(left["metadata"]["name"], "a");
    case.patch(&path, "merge", &json!({"metadata": {"finalizers": null}})).await.expect(200);
}

async fn a_deleted_collection_is_answered_as_it_was(case: Case) {
    for name in ["a", "b"] {
        case.post(&case.maps(), &config_map(name, "1")).await.expect(201);
    }
    let list = case.delete(&format!("{}?limit=1", case.maps())).await.expect(200);
    assert_eq!(names(&list), ["a"]);
    assert!(list["metadata"]["continue"].is_string(), "{list}");
    let mut watch = case.watch(&case.maps(), &format!("&resourceVersion={}", rv(&list))).await;
    let (kind, object) = watch.next().await.expect("the watch goes on");
    assert_eq!((kind.as_str(), &object["metadata"]["name"]), ("DELETED", &json!("a")));
}

async fn options_are_checked_together(case: Case) {
    let path = format!("{}/a?dryRun=Some&fieldValidation=Odd", case.maps());
    let status = case.patch(&path, "apply", &config_map("a", "1")).await.refused(422, "Invalid");
    assert_eq!(fields(&status), ["fieldManager", "dryRun", "fieldValidation"]);
    let path = format!("{}?fieldManager={}", case.maps(), "m".repeat(129));
    let status = case.post(&path, &config_map("a", "1")).await.refused(422, "Invalid");
    assert!(message(&status).contains("Too long: may not be more than 128"), "{}", message(&status));
}

async fn a_malformed_resource_version_is_refused_by_each_verb_in_its_way(case: Case) {
    let list = case.get(&format!("{}?resourceVersion=abc", case.maps())).await.refused(400, "BadRequest");
    assert!(message(&list).starts_with("invalid resource version: "), "{}", message(&list));
    let one = case.get(&format!("{}/a?resourceVersion=abc", case.maps())).await;
    assert_eq!((one.code, one.body.get("reason")), (500, None), "{}", one.text);
}

async fn label_selectors_are_read_token_by_token(case: Case) {
    case.post(&case.maps(), &labelled(config_map("a", "1"), "x", "1")).await.expect(201);
    for (selector, expected) in [
        ("x%20in%20(1,)", vec!["a"]),
        ("x%20in%20()", vec![]),
        ("x%3E0", vec!["a"]),
        ("in", vec![]),
        ("x%20notin%20(1)", vec![]),
    ] {
        let list = case.get(&format!("{}?labelSelector={selector}", case.maps())).await.expect(200);
        let found: Vec<&str> = names(&list).into_iter().filter(|name| *name == "a").collect();
        assert_eq!(found, expected, "{selector}");
    }
    for (selector, expected) in [
        ("x,", "found '', expected: identifier after ','"),
        ("x%3D1%3D2", "found '=', expected: ',' or 'end of string'"),
        ("x%20y", "unable to parse requirement: found 'y', expected: in, notin, =, ==, !=, gt, lt"),
        ("x%20in%20(", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
        ("!!x", "unable to parse requirement: found '!', expected: identifier"),
    ] {
        let answer = case.get(&format!("{}?labelSelector={selector}", case.maps())).await;
        assert_eq!(message(&answer.refused(400, "BadRequest")), expected, "{selector}");
    }
}

async fn a_field_selector_may_escape_a_comma(case: Case) {
    let list = case.get(&format!("{}?fieldSelector=metadata.name%3Da%5C,b", case.maps())).await.expect(200);
    assert_eq!(list["items"], json!([]));
    case.get(&format!("{}?fieldSelector=metadata.name%3Da%3Db", case.maps())).await.refused(400, "BadRequest");
}

async fn a_page_of_selected_objects_says_that_more_are_left(case: Case) {
    case.post(&case.maps(), &labelled(config_map("a", "1"), "x", "1")).await.expect(201);
    case.post(&case.maps(), &config_map("b", "1")).await.expect(201);
    let page = case.get(&format!("{}?limit=1&labelSelector=x", case.maps())).await.expect(200);
    let token = page["metadata"]["continue"].as_str().expect("a token, though nothing more matches");
    let path = format!("{}?limit=1&labelSelector=x&continue={token}", case.maps());
    assert_eq!(case.get(&path).await.expect(200)["items"], json!([]));
}

async fn a_list_over_all_namespaces_has_the_order_of_the_keys(case: Case) {
    let (short, long) = (format!("z{}", case.unique()), format!("z{}-b", case.unique()));
    let mut made: Vec<Value> = Vec::new();
    for namespace in [&short, &long] {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        case.post("/api/v1/namespaces", &object).await.expect(201);
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        made.push(case.post(&path, &labelled(config_map("a", "1"), "order", case.unique())).await.expect(201));
    }
    let list = case.get(&format!("/api/v1/configmaps?labelSelector=order%3D{}", case.unique())).await.expect(200);
    let found: Vec<&Value> =
        list["items"].as_array().expect("a list").iter().map(|item| &item["metadata"]["namespace"]).collect();
    assert_eq!(found, [&json!(long), &json!(short)], "a dash sorts before a slash");
}

async fn a_name_in_the_path_of_a_collection_is_missed(case: Case) {
    let widgets = case.widgets().await;
    let status = case.put(&widgets, &json!({})).await.refused(400, "BadRequest");
    assert_eq!(message(&status), "name must be provided");
    case.put(&case.maps(), &config_map("a", "1")).await.refused(405, "MethodNotAllowed");
}
