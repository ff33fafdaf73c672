//! Creating objects, and what the server adds to them.

use serde_json::{Value, json};

use crate::{
    answer::{fields, message, reasons},
    case::Case,
    fixtures::{config_map, deployment, labelled, rv, uid, widget},
    test::tests,
};

tests![
    a_new_object_gets_an_identity_from_the_server,
    what_only_the_server_sets_is_not_taken_from_the_body,
    a_generated_name_starts_with_its_prefix,
    generated_names_differ,
    a_name_that_is_taken_is_refused,
    an_object_needs_a_name,
    a_name_must_be_a_dns_subdomain,
    a_namespace_that_does_not_exist_takes_nothing,
    a_body_may_not_name_another_namespace,
    a_body_without_kind_is_taken_for_what_the_path_says,
    a_label_that_is_malformed_is_refused,
    a_key_of_a_config_map_must_be_a_file_name,
    what_is_too_large_for_its_field_is_refused,
    a_key_is_text_or_bytes_and_not_both,
    an_object_has_one_controller,
    plain_text_of_a_secret_is_kept_encoded,
    nulls_and_empty_data_are_not_kept,
    a_lease_has_a_duration_and_times,
    an_event_is_in_the_namespace_of_its_object,
    an_event_with_a_time_needs_a_reporter_an_action_and_a_reason,
    an_event_is_counted_and_not_changed,
    yaml_is_read_too,
    generation_starts_at_one,
    a_recreated_object_is_another_object,
];

async fn a_new_object_gets_an_identity_from_the_server(case: Case) {
    let made = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let metadata = &made["metadata"];
    assert_eq!(uid(&made).len(), 36);
    assert!(rv(&made).parse::<u64>().is_ok_and(|rv| rv > 0));
    assert_eq!(metadata["namespace"], case.namespace());
    let time = metadata["creationTimestamp"].as_str().expect("a time");
    assert!(time.len() == "2026-01-01T00:00:00Z".len() && time.ends_with('Z'), "{time}");
    assert_eq!(made["data"], json!({"key": "1"}));
    assert_eq!((&made["kind"], &made["apiVersion"]), (&json!("ConfigMap"), &json!("v1")));
    let read = case.get(&format!("{}/a", case.maps())).await.expect(200);
    assert_eq!(read, made);
}

async fn what_only_the_server_sets_is_not_taken_from_the_body(case: Case) {
    let mut wanted = config_map("a", "1");
    wanted["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000".into();
    wanted["metadata"]["creationTimestamp"] = "2001-01-01T00:00:00Z".into();
    wanted["metadata"]["deletionTimestamp"] = "2001-01-01T00:00:00Z".into();
    let made = case.post(&case.maps(), &wanted).await.expect(201);
    assert_ne!(uid(&made), "00000000-0000-0000-0000-000000000000");
    assert_ne!(made["metadata"]["creationTimestamp"], "2001-01-01T00:00:00Z");
    assert!(made["metadata"]["deletionTimestamp"].is_null());
}

async fn a_generated_name_starts_with_its_prefix(case: Case) {
    let wanted = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "job-"}});
    let made = case.post(&case.maps(), &wanted).await.expect(201);
    let name = made["metadata"]["name"].as_str().expect("a name");
    assert!(name.starts_with("job-") && name.len() == "job-".len() + 5, "{name}");
    assert_eq!(made["metadata"]["generateName"], "job-");
    case.get(&format!("{}/{name}", case.maps())).await.expect(200);
}

async fn generated_names_differ(case: Case) {
    let wanted = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "job-"}});
    let one = case.post(&case.maps(), &wanted).await.expect(201);
    let two = case.post(&case.maps(), &wanted).await.expect(201);
    assert_ne!(one["metadata"]["name"], two["metadata"]["name"]);
}

async fn a_name_that_is_taken_is_refused(case: Case) {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let status = case.post(&case.maps(), &config_map("a", "2")).await.refused(409, "AlreadyExists");
    assert_eq!(message(&status), "configmaps \"a\" already exists");
    assert_eq!(status["details"], json!({"name": "a", "kind": "configmaps"}));
    let kept = case.get(&format!("{}/a", case.maps())).await.expect(200);
    assert_eq!(kept["data"]["key"], "1");
}

async fn an_object_needs_a_name(case: Case) {
    let nameless = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}});
    let status = case.post(&case.maps(), &nameless).await.refused(422, "Invalid");
    assert_eq!((fields(&status), reasons(&status)), (vec!["metadata.name"], vec!["FieldValueRequired"]));
}

async fn a_name_must_be_a_dns_subdomain(case: Case) {
    for name in ["Upper", "under_score", "-dash", "a..b"] {
        let status = case.post(&case.maps(), &config_map(name, "1")).await.refused(422, "Invalid");
        assert_eq!((fields(&status), reasons(&status)), (vec!["metadata.name"], vec!["FieldValueInvalid"]), "{name}");
        assert_eq!((&status["details"]["kind"], &status["details"]["name"]), (&json!("ConfigMap"), &json!(name)));
    }
}

async fn a_namespace_that_does_not_exist_takes_nothing(case: Case) {
    let missing = format!("{}-missing", case.namespace());
    let path = format!("/api/v1/namespaces/{missing}/configmaps");
    let status = case.post(&path, &config_map("a", "1")).await.refused(404, "NotFound");
    assert_eq!(status["details"], json!({"name": missing, "kind": "namespaces"}));
}

async fn a_body_may_not_name_another_namespace(case: Case) {
    let mut wanted = config_map("a", "1");
    wanted["metadata"]["namespace"] = "default".into();
    case.post(&case.maps(), &wanted).await.refused(400, "BadRequest");
}

async fn a_body_without_kind_is_taken_for_what_the_path_says(case: Case) {
    let made = case.post(&case.maps(), &json!({"metadata": {"name": "a"}})).await.expect(201);
    assert_eq!((&made["kind"], &made["apiVersion"]), (&json!("ConfigMap"), &json!("v1")));
}

async fn a_label_that_is_malformed_is_refused(case: Case) {
    for (key, value) in [("app", "a b"), ("a/b/c", "x"), ("app", "-x")] {
        let wanted = labelled(config_map("a", "1"), key, value);
        let status = case.post(&case.maps(), &wanted).await.refused(422, "Invalid");
        assert!(fields(&status).iter().all(|field| field.starts_with("metadata.labels")), "{status}");
    }
}

async fn a_key_of_a_config_map_must_be_a_file_name(case: Case) {
    let mut wanted = config_map("a", "1");
    wanted["data"]["a b"] = "x".into();
    let status = case.post(&case.maps(), &wanted).await.refused(422, "Invalid");
    assert_eq!(fields(&status), ["data[a b]"]);
}

async fn what_is_too_large_for_its_field_is_refused(case: Case) {
    const KIB: usize = 1024;
    let mut annotated = config_map("a", "1");
    annotated["metadata"]["annotations"]["note"] = "x".repeat(256 * KIB).into();
    let status = case.post(&case.maps(), &annotated).await.refused(422, "Invalid");
    assert_eq!((fields(&status), reasons(&status)), (vec!["metadata.annotations"], vec!["FieldValueTooLong"]));
    let status = case.post(&case.maps(), &config_map("a", &"x".repeat(KIB * KIB + 1))).await.refused(422, "Invalid");
    assert_eq!(reasons(&status), ["FieldValueTooLong"]);
    case.post(&case.maps(), &config_map("a", &"x".repeat(KIB * KIB))).await.expect(201);
}

async fn a_key_is_text_or_bytes_and_not_both(case: Case) {
    let mut wanted = config_map("a", "1");
    wanted["binaryData"] = json!({"key": "YQ=="});
    let status = case.post(&case.maps(), &wanted).await.refused(422, "Invalid");
    assert!(fields(&status).contains(&"data[key]"), "{status}");
}

async fn an_object_has_one_controller(case: Case) {
    let owner =
        |uid: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid, "controller": true});
    let mut wanted = config_map("a", "1");
    wanted["metadata"]["ownerReferences"] = json!([owner("1"), owner("2")]);
    let status = case.post(&case.maps(), &wanted).await.refused(422, "Invalid");
    assert_eq!(fields(&status), ["metadata.ownerReferences"]);
    wanted["metadata"]["ownerReferences"] = json!([owner("1")]);
    case.post(&case.maps(), &wanted).await.expect(201);
}

async fn plain_text_of_a_secret_is_kept_encoded(case: Case) {
    let wanted = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"password": "hunter2"},
    });
    let made = case.post(&case.core("secrets"), &wanted).await.expect(201);
    assert_eq!((&made["data"], &made["type"]), (&json!({"password": "aHVudGVyMg=="}), &json!("Opaque")));
    assert!(made["stringData"].is_null());
}

async fn nulls_and_empty_data_are_not_kept(case: Case) {
    let empty = json!({"metadata": {"name": "a"}, "data": {}, "binaryData": null, "immutable": null});
    let made = case.post(&case.maps(), &empty).await.expect(201);
    assert!(["data", "binaryData", "immutable"].iter().all(|field| made.get(field).is_none()), "{made}");
    assert_eq!(case.get(&format!("{}/a", case.maps())).await.expect(200), made);
}

async fn a_lease_has_a_duration_and_times(case: Case) {
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", case.namespace());
    let lease = |name: &str, spec: &Value| json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec});
    for (field, number) in [("leaseDurationSeconds", -1), ("leaseDurationSeconds", 0), ("leaseTransitions", -1)] {
        let status = case.post(&leases, &lease("l", &json!({field: number}))).await.refused(422, "Invalid");
        assert_eq!(fields(&status), [format!("spec.{field}")]);
    }
    for unreadable in [
        json!({"leaseDurationSeconds": "15"}),
        json!({"renewTime": "soon"}),
        json!({"renewTime": 1}),
        json!({"renewTime": "2026-01-01T00:00:00Z"}),
        json!({"acquireTime": "2026-01-01T00:00:00.000Z"}),
    ] {
        case.post(&leases, &lease("l", &unreadable)).await.refused(400, "BadRequest");
    }
    let fine = json!({
        "leaseDurationSeconds": 1, "leaseTransitions": 0,
        "acquireTime": "2026-01-01T00:00:00.000000Z", "renewTime": "2026-01-01T02:00:00.000000+01:00",
    });
    case.post(&leases, &lease("l", &fine)).await.expect(201);
}

async fn an_event_is_in_the_namespace_of_its_object(case: Case) {
    let events = format!("/api/v1/namespaces/{}/events", case.namespace());
    let about = |name: &str, namespace: &str| {
        let object = json!({"kind": "Pod", "name": "p", "namespace": namespace});
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name}, "involvedObject": object})
    };
    for elsewhere in ["default", ""] {
        let status = case.post(&events, &about("e", elsewhere)).await.refused(422, "Invalid");
        assert_eq!(fields(&status), ["involvedObject.namespace"]);
    }
    case.post(&events, &about("e", case.namespace())).await.expect(201);
    case.post(&events, &timed(about("f", "default"))).await.expect(201);
}

/// With a time of its own, as core/v1 spells it, and all such an event must say.
fn timed(mut event: Value) -> Value {
    for (field, said) in [
        ("eventTime", "2026-01-01T00:00:00.000000Z"),
        ("reportingComponent", "example.com/conformance"),
        ("reportingInstance", "conformance-0"),
        ("action", "Test"),
        ("reason", "Tested"),
    ] {
        event[field] = said.into();
    }
    event
}

async fn an_event_with_a_time_needs_a_reporter_an_action_and_a_reason(case: Case) {
    let object = json!({"kind": "Pod", "name": "p", "namespace": case.namespace()});
    let old = timed(json!({"metadata": {"name": "old"}, "involvedObject": object}));
    let mut new = timed(json!({"metadata": {"name": "new"}, "regarding": object, "type": "Normal"}));
    let fields_of_new = new.as_object_mut().expect("it is a map");
    fields_of_new.remove("reportingComponent");
    fields_of_new.insert("reportingController".to_owned(), "example.com/conformance".into());
    for (api, event, required) in [
        ("/api/v1", old, ["reportingComponent", "reportingInstance", "action", "reason"].as_slice()),
        (
            "/apis/events.k8s.io/v1",
            new,
            &["reportingController", "reportingInstance", "action", "reason", "eventTime", "type"],
        ),
    ] {
        let events = format!("{api}/namespaces/{}/events", case.namespace());
        for missing in required {
            let mut event = event.clone();
            event.as_object_mut().expect("it is a map").remove(*missing);
            let status = case.post(&events, &event).await.refused(422, "Invalid");
            // Which of its two names the reporter is called by depends on the server's version.
            let named = |field: &&str| {
                field == missing || missing.starts_with("reportingCo") && field.starts_with("reportingCo")
            };
            assert!(!fields(&status).is_empty() && fields(&status).iter().all(named), "{missing}: {status}");
        }
        case.post(&events, &event).await.expect(201);
    }
}

async fn an_event_is_counted_and_not_changed(case: Case) {
    let object = json!({"kind": "Pod", "name": "p", "namespace": case.namespace()});
    let old = timed(json!({"metadata": {"name": "e"}, "involvedObject": object, "type": "Normal"}));
    case.post(&format!("/api/v1/namespaces/{}/events", case.namespace()), &old).await.expect(201);
    let event = format!("/apis/events.k8s.io/v1/namespaces/{}/events/e", case.namespace());
    let status = case.patch(&event, "merge", &json!({"action": "Change"})).await.refused(422, "Invalid");
    assert_eq!(fields(&status), ["action"]);
    let series = |count: i32| json!({"series": {"count": count, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}});
    let status = case.patch(&event, "merge", &series(1)).await.refused(422, "Invalid");
    assert_eq!(fields(&status), ["series.count"]);
    let counted = case.patch(&event, "merge", &series(2)).await.expect(200);
    assert_eq!(counted["series"]["count"], 2);
}

async fn yaml_is_read_too(case: Case) {
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  key: |\n    two\n    lines\n";
    let made = case.send("POST", &case.maps(), &[("content-type", "application/yaml")], yaml).await.expect(201);
    assert_eq!(made["data"]["key"], "two\nlines\n");
}

async fn generation_starts_at_one(case: Case) {
    let made = case.post(&case.widgets().await, &widget("w", &json!({"size": 1}))).await.expect(201);
    assert_eq!(made["metadata"]["generation"], 1);
    let path = format!("/apis/apps/v1/namespaces/{}/deployments", case.namespace());
    let made = case.post(&path, &deployment("d", &json!([{"name": "a", "image": "i"}]))).await.expect(201);
    assert_eq!(made["metadata"]["generation"], 1);
}

async fn a_recreated_object_is_another_object(case: Case) {
    let first = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    case.delete(&format!("{}/a", case.maps())).await.expect(200);
    let second = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    assert_ne!(uid(&first), uid(&second));
    assert_ne!(rv(&first), rv(&second));
}
