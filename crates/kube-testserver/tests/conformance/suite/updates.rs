//! Replacing objects: versions, preconditions, and what may not change.

use serde_json::json;

use crate::{
    answer::{fields, message},
    case::Case,
    fixtures::{config_map, deployment, rv, uid, widget},
    test::tests,
};

tests![
    an_annotation_of_a_deployment_is_a_change_of_generation,
    an_update_of_a_missing_service_makes_it,
    an_update_replaces_the_object_and_keeps_its_identity,
    an_update_that_changes_nothing_keeps_the_version,
    an_update_of_an_old_version_is_a_conflict,
    a_config_map_may_be_replaced_without_a_version,
    a_custom_resource_may_not_be_replaced_without_a_version,
    an_object_that_is_not_there_is_not_updated,
    an_update_meant_for_another_object_of_the_name_is_a_conflict,
    an_object_that_is_gone_is_not_updated,
    a_patch_cannot_change_the_identity,
    the_time_of_creation_stays_whatever_is_said,
    a_lease_that_is_gone_is_made_by_an_update,
    the_name_in_the_body_must_be_the_one_in_the_path,
    generation_counts_the_changes_of_the_spec,
    the_generation_of_a_deployment_counts_too,
    an_immutable_config_map_stays_as_it_is,
    the_type_of_a_secret_stays_as_it_is,
];

async fn an_update_replaces_the_object_and_keeps_its_identity(case: Case) {
    let path = format!("{}/a", case.maps());
    let made = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let mut wanted = made.clone();
    wanted["data"] = json!({"other": "2"});
    let after = case.put(&path, &wanted).await.expect(200);
    assert_eq!(after["data"], json!({"other": "2"}), "what is not said is gone");
    assert_eq!(uid(&after), uid(&made));
    assert_eq!(after["metadata"]["creationTimestamp"], made["metadata"]["creationTimestamp"]);
    assert_ne!(rv(&after), rv(&made));
    assert_eq!(case.get(&path).await.expect(200), after);
}

async fn an_update_that_changes_nothing_keeps_the_version(case: Case) {
    let made = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let after = case.put(&format!("{}/a", case.maps()), &made).await.expect(200);
    assert_eq!(rv(&after), rv(&made));
}

async fn an_update_of_an_old_version_is_a_conflict(case: Case) {
    let path = format!("{}/a", case.maps());
    let old = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let mut wanted = old.clone();
    wanted["data"]["key"] = "2".into();
    case.put(&path, &wanted).await.expect(200);
    wanted["data"]["key"] = "3".into();
    let status = case.put(&path, &wanted).await.refused(409, "Conflict");
    assert_eq!(
        message(&status),
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to \
         the latest version and try again"
    );
    assert_eq!(status["details"], json!({"name": "a", "kind": "configmaps"}));
    assert_eq!(case.get(&path).await.expect(200)["data"]["key"], "2");
}

async fn a_config_map_may_be_replaced_without_a_version(case: Case) {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let after = case.put(&format!("{}/a", case.maps()), &config_map("a", "2")).await.expect(200);
    assert_eq!(after["data"]["key"], "2");
}

async fn a_custom_resource_may_not_be_replaced_without_a_version(case: Case) {
    let widgets = case.widgets().await;
    case.post(&widgets, &widget("w", &json!({"size": 1}))).await.expect(201);
    let answer = case.put(&format!("{widgets}/w"), &widget("w", &json!({"size": 2}))).await;
    assert_eq!(fields(&answer.refused(422, "Invalid")), ["metadata.resourceVersion"]);
}

async fn an_object_that_is_not_there_is_not_updated(case: Case) {
    let status = case.put(&format!("{}/a", case.maps()), &config_map("a", "1")).await.refused(404, "NotFound");
    assert_eq!(message(&status), "configmaps \"a\" not found");
}

async fn an_update_meant_for_another_object_of_the_name_is_a_conflict(case: Case) {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let mut wanted = config_map("a", "2");
    wanted["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000".into();
    case.put(&format!("{}/a", case.maps()), &wanted).await.refused(409, "Conflict");
}

async fn an_object_that_is_gone_is_not_updated(case: Case) {
    let path = format!("{}/a", case.maps());
    let gone = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    case.delete(&path).await.expect(200);
    case.put(&path, &gone).await.refused(404, "NotFound");
}

async fn a_patch_cannot_change_the_identity(case: Case) {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let other = json!({"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}});
    let status = case.patch(&format!("{}/a", case.maps()), "merge", &other).await.refused(422, "Invalid");
    assert!(fields(&status).iter().all(|field| *field == "metadata.uid"), "{status}");
}

async fn the_time_of_creation_stays_whatever_is_said(case: Case) {
    let path = format!("{}/a", case.maps());
    let made = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let earlier = json!({"metadata": {"creationTimestamp": "2001-01-01T00:00:00Z"}});
    let after = case.patch(&path, "merge", &earlier).await.expect(200);
    assert_eq!(after["metadata"]["creationTimestamp"], made["metadata"]["creationTimestamp"]);
}

async fn a_lease_that_is_gone_is_made_by_an_update(case: Case) {
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", case.namespace());
    let path = format!("{leases}/l");
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
        "spec": {"holderIdentity": "one"},
    });
    let mut held = case.put(&path, &lease).await.expect(201);
    case.delete(&path).await.expect(200);
    // The one it was meant for.
    case.put(&path, &held).await.refused(409, "Conflict");
    held["metadata"] = json!({"name": "l"});
    assert_eq!(case.put(&path, &held).await.expect(201)["spec"]["holderIdentity"], "one");
}

async fn the_name_in_the_body_must_be_the_one_in_the_path(case: Case) {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    case.put(&format!("{}/a", case.maps()), &config_map("b", "1")).await.refused(400, "BadRequest");
}

async fn generation_counts_the_changes_of_the_spec(case: Case) {
    let path = format!("{}/w", case.widgets().await);
    case.post(&case.widgets().await, &widget("w", &json!({"size": 1}))).await.expect(201);
    for (change, generation) in [
        (json!({"metadata": {"labels": {"a": "b"}}}), 1),
        (json!({"spec": {"size": 2}}), 2),
        (json!({"spec": {"size": 2}}), 2),
        (json!({"metadata": {"annotations": {"a": "b"}}}), 2),
        (json!({"spec": {"color": "red"}}), 3),
    ] {
        let after = case.patch(&path, "merge", &change).await.expect(200);
        assert_eq!(after["metadata"]["generation"], generation, "{change}");
    }
}

async fn the_generation_of_a_deployment_counts_too(case: Case) {
    let path = format!("/apis/apps/v1/namespaces/{}/deployments", case.namespace());
    case.post(&path, &deployment("d", &json!([{"name": "a", "image": "i"}]))).await.expect(201);
    let scaled = case.patch(&format!("{path}/d"), "merge", &json!({"spec": {"replicas": 3}})).await.expect(200);
    assert_eq!(scaled["metadata"]["generation"], 2);
    let labelled =
        case.patch(&format!("{path}/d"), "merge", &json!({"metadata": {"labels": {"a": "b"}}})).await.expect(200);
    assert_eq!(labelled["metadata"]["generation"], 2);
}

async fn an_immutable_config_map_stays_as_it_is(case: Case) {
    let path = format!("{}/a", case.maps());
    let mut wanted = config_map("a", "1");
    wanted["immutable"] = true.into();
    case.post(&case.maps(), &wanted).await.expect(201);
    wanted["data"]["key"] = "2".into();
    assert_eq!(fields(&case.put(&path, &wanted).await.refused(422, "Invalid")), ["data"]);
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    case.patch(&path, "merge", &labels).await.expect(200);
}

async fn the_type_of_a_secret_stays_as_it_is(case: Case) {
    let secret = |kind: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "type": kind});
    case.post(&case.core("secrets"), &secret("example.com/a")).await.expect(201);
    let answer = case.put(&format!("{}/s", case.core("secrets")), &secret("example.com/b")).await;
    assert_eq!(fields(&answer.refused(422, "Invalid")), ["type"]);
}

async fn an_annotation_of_a_deployment_is_a_change_of_generation(case: Case) {
    let deployments = format!("/apis/apps/v1/namespaces/{}/deployments", case.namespace());
    let path = format!("{deployments}/d");
    let made = case.post(&deployments, &deployment("d", &json!([{"name": "c", "image": "i"}]))).await.expect(201);
    assert_eq!(made["metadata"]["generation"], 1);
    for (metadata, generation) in [
        (json!({"annotations": {"a": "1"}}), 2),
        (json!({"labels": {"a": "1"}}), 2),
        (json!({"annotations": {"a": null}}), 3),
    ] {
        let after = case.patch(&path, "merge", &json!({"metadata": metadata})).await.expect(200);
        assert_eq!(after["metadata"]["generation"], generation, "{metadata}");
    }
}

async fn an_update_of_a_missing_service_makes_it(case: Case) {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]},
    });
    let path = format!("{}/s", case.core("services"));
    case.put(&path, &service).await.expect(201);
    case.get(&path).await.expect(200);
}
