//! Creates, gets and updates.

use super::*;

#[test]
fn a_new_object_gets_what_only_the_server_gives() {
    let api = Api::new();
    let before = api.resource_version();
    let made = post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let metadata = &made["metadata"];
    assert_eq!(metadata["uid"].as_str().unwrap().len(), 36);
    assert_eq!(rv(&made), before + 1);
    assert_eq!(metadata["namespace"], "default");
    assert!(metadata["creationTimestamp"].as_str().unwrap().ends_with('Z'));
    assert!(metadata.get("generation").is_none() && metadata.get("selfLink").is_none());
    assert_eq!(metadata["managedFields"][0]["manager"], "unknown");
    assert_eq!(get(&api, &format!("{CONFIGMAPS}/a")).expect(200), made);
}

#[test]
fn a_generated_name_has_five_more_letters() {
    let api = Api::new();
    let object = json!({"metadata": {"generateName": "run-"}});
    let made = post(&api, CONFIGMAPS, &object).expect(201);
    let name = made["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("run-") && name.len() == 9, "{name}");
    assert_eq!(made["metadata"]["generateName"], "run-");
}

#[test]
fn names_and_namespaces_are_checked() {
    let api = Api::new();
    let message = post(&api, CONFIGMAPS, &config_map("Bad_Name", "1")).refused(422, "Invalid");
    assert!(message.starts_with("ConfigMap \"Bad_Name\" is invalid: metadata.name: Invalid value: "), "{message}");
    post(&api, CONFIGMAPS, &json!({"metadata": {}})).refused(422, "Invalid");
    post(&api, CONFIGMAPS, &json!({"metadata": {"name": "a", "namespace": "other"}})).refused(400, "BadRequest");
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    put(&api, &format!("{CONFIGMAPS}/a"), &config_map("b", "1")).refused(400, "BadRequest");
    let message = post(&api, "/api/v1/namespaces/none/configmaps", &config_map("a", "1")).refused(404, "NotFound");
    assert_eq!(message, "namespaces \"none\" not found");
    let bad = json!({"metadata": {"name": "x", "labels": {"a b": "c"}, "finalizers": ["plain"]}});
    let answer = post(&api, CONFIGMAPS, &bad);
    assert_eq!(answer.body["details"]["causes"].as_array().unwrap().len(), 2, "{}", answer.text);
}

#[test]
fn what_cannot_be_read_is_a_bad_request() {
    let api = with_widgets();
    for metadata in [
        json!({"name": "x", "labels": {"a": 1}}),
        json!({"name": "x", "labels": []}),
        json!({"name": 7}),
        json!({"name": "x", "finalizers": "a/b"}),
        json!({"name": "x", "ownerReferences": ["a"]}),
        json!({"name": "x", "creationTimestamp": "yesterday"}),
        json!("x"),
    ] {
        let object = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": metadata});
        post(&api, WIDGETS, &object).refused(400, "BadRequest");
        post(&api, CONFIGMAPS, &json!({"metadata": metadata})).refused(400, "BadRequest");
    }
    post(&api, CONFIGMAPS, &json!({"metadata": {"name": "x"}, "data": {"a": 1}})).refused(400, "BadRequest");
    let secret = json!({"metadata": {"name": "x"}, "data": {"a": "no base64"}});
    post(&api, "/api/v1/namespaces/default/secrets", &secret).refused(400, "BadRequest");
    post(&api, CONFIGMAPS, &json!([])).refused(400, "BadRequest");
    post(&api, WIDGETS, &json!({"metadata": {"name": "x"}})).refused(400, "BadRequest");
    post(&api, WIDGETS, &config_map("x", "1")).refused(400, "BadRequest");
    send(&api, "POST", CONFIGMAPS, &[], "{broken").refused(400, "BadRequest");
    let protobuf = [("content-type", "application/vnd.kubernetes.protobuf")];
    send(&api, "POST", WIDGETS, &protobuf, "k8s").refused(415, "UnsupportedMediaType");
    send(&api, "POST", CONFIGMAPS, &protobuf, "k8s").refused(400, "BadRequest");
    send(&api, "GET", CONFIGMAPS, &[("accept", "application/vnd.kubernetes.protobuf")], "")
        .refused(406, "NotAcceptable");
    let huge = "x".repeat(crate::wire::call::BODY_LIMIT + 1);
    send(&api, "POST", CONFIGMAPS, &[], &huge).refused(413, "RequestEntityTooLarge");
}

#[test]
fn yaml_bodies_are_read() {
    let api = Api::new();
    let yaml = "metadata:\n  name: a\ndata:\n  key: value\n";
    let made = send(&api, "POST", CONFIGMAPS, &[("content-type", "application/yaml")], yaml).expect(201);
    assert_eq!(made["data"]["key"], "value");
}

#[test]
fn the_same_name_twice_is_a_conflict() {
    let api = Api::new();
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let answer = post(&api, CONFIGMAPS, &config_map("a", "1"));
    assert_eq!(answer.body["details"], json!({"name": "a", "kind": "configmaps"}));
    assert_eq!(answer.refused(409, "AlreadyExists"), "configmaps \"a\" already exists");
}

#[test]
fn an_update_from_an_old_version_is_a_conflict() {
    let api = Api::new();
    let first = post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let mut second = first.clone();
    second["data"]["key"] = "2".into();
    let second = put(&api, &format!("{CONFIGMAPS}/a"), &second).expect(200);
    assert!(rv(&second) > rv(&first));
    let message = put(&api, &format!("{CONFIGMAPS}/a"), &first).refused(409, "Conflict");
    assert!(message.contains("the object has been modified"), "{message}");
    let mut other = second.clone();
    other["metadata"]["uid"] = "5".into();
    put(&api, &format!("{CONFIGMAPS}/a"), &other).refused(409, "Conflict");
    // Config maps may be written unconditionally.
    put(&api, &format!("{CONFIGMAPS}/a"), &config_map("a", "3")).expect(200);
    put(&api, &format!("{CONFIGMAPS}/none"), &config_map("none", "3")).refused(404, "NotFound");
}

#[test]
fn custom_resources_are_never_updated_unconditionally() {
    let api = with_widgets();
    let made = post(&api, WIDGETS, &widget("w", &json!({"size": 1}))).expect(201);
    let message = put(&api, &format!("{WIDGETS}/w"), &widget("w", &json!({"size": 2}))).refused(422, "Invalid");
    assert_eq!(
        message,
        "widgets.example.com \"w\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    );
    let mut next = made;
    next["spec"]["size"] = 2.into();
    put(&api, &format!("{WIDGETS}/w"), &next).expect(200);
}

#[test]
fn an_update_that_changes_nothing_is_no_update() {
    let api = with_widgets();
    let made = post(&api, WIDGETS, &widget("w", &json!({"size": 1}))).expect(201);
    let again = put(&api, &format!("{WIDGETS}/w"), &made).expect(200);
    assert_eq!(again, made);
    let again = patch(&api, &format!("{WIDGETS}/w"), "merge", &json!({"spec": {"size": 1}})).expect(200);
    assert_eq!(again, made);
    assert_eq!(api.resource_version(), rv(&made));
}

#[test]
fn generation_counts_changes_of_the_spec_only() {
    let api = with_widgets();
    let target = format!("{WIDGETS}/w");
    let made = post(&api, WIDGETS, &widget("w", &json!({"size": 1}))).expect(201);
    assert_eq!(made["metadata"]["generation"], 1);
    let step =
        |body: Value, target: &str| patch(&api, target, "merge", &body).expect(200)["metadata"]["generation"].clone();
    assert_eq!(step(json!({"metadata": {"labels": {"a": "b"}}}), &target), 1);
    assert_eq!(step(json!({"status": {"ready": true}}), &format!("{target}/status")), 1);
    assert_eq!(step(json!({"spec": {"size": 2}}), &target), 2);
    assert_eq!(step(json!({"metadata": {"generation": 9}}), &target), 2);
}

#[test]
fn status_and_spec_are_written_apart() {
    let api = with_widgets();
    let target = format!("{WIDGETS}/w");
    let mut object = widget("w", &json!({"size": 1}));
    object["status"] = json!({"ready": true});
    let made = post(&api, WIDGETS, &object).expect(201);
    assert!(made.get("status").is_none());

    let mut both = made;
    both["spec"]["size"] = 2.into();
    both["status"] = json!({"ready": true});
    both["metadata"]["labels"] = json!({"a": "b"});
    let after = put(&api, &format!("{target}/status"), &both).expect(200);
    assert_eq!((&after["spec"]["size"], &after["status"]["ready"]), (&json!(1), &json!(true)));
    assert!(after["metadata"].get("labels").is_none());

    let mut both = after;
    both["spec"]["size"] = 2.into();
    both["status"] = json!({"ready": false});
    let after = put(&api, &target, &both).expect(200);
    assert_eq!((&after["spec"]["size"], &after["status"]["ready"]), (&json!(2), &json!(true)));
    assert_eq!(get(&api, &format!("{target}/status")).expect(200), after);
}

#[test]
fn the_server_s_own_fields_do_not_change() {
    let api = Api::new();
    let made = post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let mut stripped = config_map("a", "2");
    stripped["metadata"]["deletionTimestamp"] = Value::Null;
    let after = put(&api, &format!("{CONFIGMAPS}/a"), &stripped).expect(200);
    for field in ["uid", "creationTimestamp"] {
        assert_eq!(after["metadata"][field], made["metadata"][field]);
    }
    let path = format!("{CONFIGMAPS}/a");
    let earlier = json!({"metadata": {"creationTimestamp": "2001-01-01T00:00:00Z"}});
    let after = patch(&api, &path, "merge", &earlier).expect(200);
    assert_eq!(after["metadata"]["creationTimestamp"], made["metadata"]["creationTimestamp"], "it is passed over");
    for (field, value) in [("deletionTimestamp", "2001-01-01T00:00:00Z"), ("uid", "another")] {
        let message = patch(&api, &path, "merge", &json!({"metadata": {field: value}})).refused(422, "Invalid");
        assert!(message.contains("field is immutable"), "{message}");
    }
}

#[test]
fn a_dry_run_changes_nothing() {
    let api = Api::new();
    let before = api.resource_version();
    let made = post(&api, &format!("{CONFIGMAPS}?dryRun=All"), &config_map("a", "1")).expect(201);
    assert!(made["metadata"].get("resourceVersion").is_none());
    get(&api, &format!("{CONFIGMAPS}/a")).refused(404, "NotFound");
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let shown = put(&api, &format!("{CONFIGMAPS}/a?dryRun=All"), &config_map("a", "2")).expect(200);
    assert_eq!(shown["data"]["key"], "2");
    send(&api, "DELETE", &format!("{CONFIGMAPS}/a?dryRun=All"), &[], "").expect(200);
    send(&api, "DELETE", &format!("{CONFIGMAPS}/a"), &[], r#"{"dryRun":["All"]}"#).expect(200);
    assert_eq!(get(&api, &format!("{CONFIGMAPS}/a")).expect(200)["data"]["key"], "1");
    assert_eq!(api.resource_version(), before + 1);
    post(&api, &format!("{CONFIGMAPS}?dryRun=maybe"), &config_map("b", "1")).refused(422, "Invalid");
}

#[test]
fn secrets_take_plain_text_and_give_base64() {
    let api = Api::new();
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"a": "b"}});
    let made = post(&api, "/api/v1/namespaces/default/secrets", &secret).expect(201);
    assert_eq!((&made["data"]["a"], &made["type"]), (&json!("Yg=="), &json!("Opaque")));
    assert!(made.get("stringData").is_none());
}

#[test]
fn nulls_and_empty_data_of_core_types_are_not_kept() {
    let api = Api::new();
    let maps = "/api/v1/namespaces/default/configmaps";
    let empty = json!({"metadata": {"name": "a"}, "data": {}, "binaryData": null, "immutable": null});
    let made = post(&api, maps, &empty).expect(201);
    assert!(["data", "binaryData", "immutable"].iter().all(|field| made.get(field).is_none()), "{made}");
    let mut filled = made.clone();
    filled["data"] = json!({"key": null});
    assert_eq!(put(&api, &format!("{maps}/a"), &filled).expect(200)["data"], json!({"key": ""}));
    let emptied = patch(&api, &format!("{maps}/a"), "merge", &json!({"data": {"key": null}})).expect(200);
    assert!(emptied.get("data").is_none(), "{emptied}");
    assert_eq!(get(&api, &format!("{maps}/a")).expect(200), emptied);
    let spec = json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "me", "renewTime": null}});
    let made = post(&api, "/apis/coordination.k8s.io/v1/namespaces/default/leases", &spec).expect(201);
    assert_eq!(made["spec"], json!({"holderIdentity": "me"}));
}

#[test]
fn events_are_one_storage_with_two_faces() {
    let api = Api::new();
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "note": "hello",
        "regarding": {"kind": "Pod", "name": "p"}, "reason": "Why", "type": "Normal", "action": "Test",
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "it", "reportingInstance": "it-0",
    });
    let made = post(&api, "/apis/events.k8s.io/v1/namespaces/default/events", &event).expect(201);
    assert_eq!((&made["apiVersion"], &made["note"]), (&json!("events.k8s.io/v1"), &json!("hello")));
    assert_eq!(made["metadata"]["managedFields"][0]["fieldsV1"]["f:note"], json!({}));
    let core = get(&api, "/api/v1/namespaces/default/events/e").expect(200);
    assert_eq!((&core["apiVersion"], &core["message"]), (&json!("v1"), &json!("hello")));
    let target = "/api/v1/namespaces/default/events?fieldSelector=involvedObject.name=p";
    assert_eq!(names(&get(&api, target).expect(200)), ["e"]);
    let target = "/apis/events.k8s.io/v1/events?fieldSelector=regarding.name!=p";
    assert!(names(&get(&api, target).expect(200)).is_empty());
}

#[test]
fn a_lease_is_made_by_its_first_put() {
    let api = Api::new();
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l";
    let lease = json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}});
    put(&api, leases, &lease).expect(201);
    put(&api, leases, &lease).refused(422, "Invalid");
}

#[test]
fn a_self_review_returns_the_caller() {
    let api = Api::new();
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let answer = post(&api, "/apis/authentication.k8s.io/v1/selfsubjectreviews", &review).expect(201);
    assert_eq!(answer["status"]["userInfo"], json!({"username": "alice", "groups": ["devs"]}));
}
