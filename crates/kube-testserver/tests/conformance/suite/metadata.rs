//! Metadata, and the fields of config maps, secrets and leases: what is refused, and the form in which it is stored.

use serde_json::{Value, json};

use crate::{
    answer::{fields, message},
    case::Case,
    fixtures::config_map,
    test::tests,
};

tests![
    every_error_of_metadata_is_a_cause_of_its_own,
    a_long_label_value_is_refused_for_its_length,
    metadata_of_the_wrong_type_is_a_bad_request,
    nulls_of_metadata_are_empty_texts,
    equal_owner_references_are_stored_once,
    a_generated_name_that_exists_asks_for_another_try,
    a_write_without_a_name_is_refused,
    a_secret_has_the_keys_of_its_type,
    a_field_of_the_wrong_type_is_a_bad_request,
    a_lease_always_has_a_spec,
    a_lease_drops_the_fields_of_a_feature_that_is_off,
    an_empty_list_of_managers_forgets_them,
];

fn with_metadata(metadata: &Value) -> Value {
    let mut object = config_map("a", "1");
    for (field, value) in metadata.as_object().into_iter().flatten() {
        object["metadata"][field] = value.clone();
    }
    object
}

async fn every_error_of_metadata_is_a_cause_of_its_own(case: Case) {
    let owner = |change: &Value| {
        let mut owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u"});
        for (field, value) in change.as_object().into_iter().flatten() {
            owner[field] = value.clone();
        }
        json!({"ownerReferences": [owner]})
    };
    let two = json!({"ownerReferences": [
        {"apiVersion": "v1", "kind": "A", "name": "a", "uid": "a", "controller": true},
        {"apiVersion": "v1", "kind": "B", "name": "b", "uid": "b", "controller": true},
    ]});
    for (metadata, expected) in [
        (json!({"labels": {"a/b/c": "1"}}), vec!["metadata.labels"]),
        (json!({"labels": {"": "1"}}), vec!["metadata.labels"; 2]),
        (json!({"annotations": {"": "1", "Upper.example.com/x": "1"}}), vec!["metadata.annotations"; 2]),
        (json!({"finalizers": ["noslash"]}), vec!["metadata.finalizers[0]"]),
        (json!({"finalizers": ["bad name/x"]}), vec!["metadata.finalizers"]),
        (json!({"finalizers": ["x="]}), vec!["metadata.finalizers", "metadata.finalizers[0]"]),
        (json!({"finalizers": ["orphan", "foregroundDeletion"]}), vec!["metadata.finalizers"]),
        (json!({"generation": -1}), vec!["metadata.generation"]),
        (owner(&json!({"uid": ""})), vec!["metadata.ownerReferences.uid"]),
        (owner(&json!({"apiVersion": "a/b/c"})), vec!["metadata.ownerReferences.apiVersion"]),
        (owner(&json!({"kind": "Event"})), vec!["metadata.ownerReferences"]),
        (two, vec!["metadata.ownerReferences"]),
    ] {
        let status = case.post(&case.maps(), &with_metadata(&metadata)).await.refused(422, "Invalid");
        assert_eq!(fields(&status), expected, "{metadata}");
    }
}

async fn a_long_label_value_is_refused_for_its_length(case: Case) {
    let metadata = json!({"labels": {"a": "x".repeat(64)}});
    let status = case.post(&case.maps(), &with_metadata(&metadata)).await.refused(422, "Invalid");
    assert!(message(&status).contains("must be no more than 63"), "{}", message(&status));
}

async fn metadata_of_the_wrong_type_is_a_bad_request(case: Case) {
    for metadata in [
        json!({"labels": {"a": 1}}),
        json!({"finalizers": "x"}),
        json!({"creationTimestamp": "soon"}),
        json!({"ownerReferences": [{"name": 5}]}),
    ] {
        case.post(&case.maps(), &with_metadata(&metadata)).await.refused(400, "BadRequest");
    }
}

async fn nulls_of_metadata_are_empty_texts(case: Case) {
    let metadata = json!({"labels": {"a": null}, "annotations": null});
    let made = case.post(&case.maps(), &with_metadata(&metadata)).await.expect(201);
    assert_eq!(made["metadata"]["labels"], json!({"a": ""}));
    assert!(made["metadata"].get("annotations").is_none(), "{made}");
}

async fn equal_owner_references_are_stored_once(case: Case) {
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u"});
    let made = case.post(&case.maps(), &with_metadata(&json!({"ownerReferences": [owner, owner]}))).await.expect(201);
    assert_eq!(made["metadata"]["ownerReferences"], json!([owner]));
}

async fn a_generated_name_that_exists_asks_for_another_try(case: Case) {
    let object = with_metadata(&json!({"generateName": "a-"}));
    case.post(&case.maps(), &object).await.expect(201);
    let status = case.post(&case.maps(), &object).await.refused(409, "AlreadyExists");
    assert_eq!(status["details"]["retryAfterSeconds"], 1);
}

async fn a_write_without_a_name_is_refused(case: Case) {
    let path = format!("{}/a", case.maps());
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let mut nameless = config_map("a", "2");
    nameless["metadata"] = json!({});
    for answer in [
        case.put(&path, &nameless).await,
        case.patch(&path, "merge", &json!({"metadata": {"name": null}})).await,
        case.patch(&path, "json", &json!([{"op": "remove", "path": "/metadata/name"}])).await,
        case.apply(&format!("{}/b", case.maps()), "m", "", &nameless).await,
    ] {
        let status = answer.refused(400, "BadRequest");
        assert!(message(&status).ends_with("was undeterminable: name must be provided"), "{}", message(&status));
    }
}

async fn a_secret_has_the_keys_of_its_type(case: Case) {
    let secret = |kind: &str, data: &Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "type": kind, "data": data});
    for (kind, data, expected) in [
        ("kubernetes.io/tls", json!({"tls.crt": ""}), vec!["data[tls.key]"]),
        ("kubernetes.io/dockercfg", json!({}), vec!["data[.dockercfg]"]),
        ("kubernetes.io/dockerconfigjson", json!({".dockerconfigjson": "aGk="}), vec!["data[.dockerconfigjson]"]),
        ("kubernetes.io/basic-auth", json!({}), vec!["data[username]", "data[password]"]),
        ("kubernetes.io/ssh-auth", json!({"ssh-privatekey": ""}), vec!["data[ssh-privatekey]"]),
        (
            "kubernetes.io/service-account-token",
            json!({}),
            vec!["metadata.annotations[kubernetes.io/service-account.name]"],
        ),
        ("example.com/any", json!({"a b": ""}), vec!["data[a b]"]),
    ] {
        let status = case.post(&case.core("secrets"), &secret(kind, &data)).await.refused(422, "Invalid");
        assert_eq!(fields(&status), expected, "{kind}");
    }
    let fine = secret("kubernetes.io/dockerconfigjson", &json!({".dockerconfigjson": "e30=\n"}));
    let made = case.post(&case.core("secrets"), &fine).await.expect(201);
    assert_eq!(made["data"], json!({".dockerconfigjson": "e30="}), "line ends are no part of base64");
}

fn lease_path(case: &Case) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", case.namespace())
}

fn lease(spec: &Value) -> Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}, "spec": spec})
}

async fn a_field_of_the_wrong_type_is_a_bad_request(case: Case) {
    let mut map = config_map("a", "1");
    map["immutable"] = "yes".into();
    case.post(&case.maps(), &map).await.refused(400, "BadRequest");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "type": 5});
    case.post(&case.core("secrets"), &secret).await.refused(400, "BadRequest");
    case.post(&lease_path(&case), &lease(&json!({"holderIdentity": 5}))).await.refused(400, "BadRequest");
}

async fn a_lease_always_has_a_spec(case: Case) {
    let made = case.post(&lease_path(&case), &lease(&Value::Null)).await.expect(201);
    assert_eq!(made["spec"], json!({}));
}

async fn a_lease_drops_the_fields_of_a_feature_that_is_off(case: Case) {
    let spec = json!({
        "holderIdentity": "me", "strategy": "OldestEmulationVersion", "acquireTime": "2026-01-02T03:04:05.000001+02:00",
    });
    let made = case.post(&lease_path(&case), &lease(&spec)).await.expect(201);
    assert_eq!(made["spec"], json!({"holderIdentity": "me", "acquireTime": "2026-01-02T01:04:05.000001Z"}));
}

async fn an_empty_list_of_managers_forgets_them(case: Case) {
    let path = format!("{}/a", case.maps());
    let made = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    assert!(made["metadata"]["managedFields"].is_array());
    let after = case.put(&path, &with_metadata(&json!({"managedFields": []}))).await.expect(200);
    assert!(after["metadata"].get("managedFields").is_none(), "{after}");
}
