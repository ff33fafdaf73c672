//! Certificate signing requests: made, approved, given a certificate.

use serde_json::{Value, json};

use crate::{answer::fields, case::Case, fixtures::labelled, target::Who, test::tests};

tests![
    a_request_names_its_user,
    only_an_approval_decides,
    a_decision_is_true_one_way_and_for_ever,
    a_request_for_nothing_is_refused,
    a_request_says_what_the_certificate_is_for,
    a_request_does_not_change,
    a_certificate_is_pem_and_given_once,
    a_condition_is_known_by_its_type,
    times_and_metadata_come_with_an_approval,
    an_approval_owns_the_conditions_that_it_sets,
];

const PATH: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
/// A request for a certificate, in PEM and base64.
const REQUEST: &str = include_str!("signing_request.b64");

/// A request that says it is of another user.
fn wanted(case: &Case) -> Value {
    json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": {"name": case.unique()},
        "spec": {
            "request": REQUEST.trim(), "signerName": "example.com/signer", "usages": ["client auth"], "username": "other",
        },
    })
}

async fn made(case: &Case) -> (String, Value) {
    let made = case.post(PATH, &wanted(case)).await.expect(201);
    (format!("{PATH}/{}", case.unique()), made)
}

fn condition(kind: &str) -> Value {
    json!({"status": {"conditions": [{"type": kind, "status": "True", "reason": "Test"}]}})
}

fn kinds(object: &Value) -> Vec<&str> {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().filter_map(|condition| condition["type"].as_str()).collect()
}

async fn a_request_names_its_user(case: Case) {
    let (path, made) = made(&case).await;
    assert_eq!((&made["spec"]["username"], &made["status"]), (&json!("admin"), &json!({})));
    assert_eq!(made["spec"]["groups"], json!(["system:masters", "system:authenticated"]));
    case.delete(&path).await.expect(200);

    let applied = case.apply(&path, "test", "", &wanted(&case)).await.expect(201);
    assert_eq!((&applied["spec"]["username"], &applied["spec"]["groups"]), (&json!("admin"), &made["spec"]["groups"]));
    case.delete(&path).await.expect(200);
}

async fn only_an_approval_decides(case: Case) {
    let (path, _) = made(&case).await;
    let refused = case.patch(&format!("{path}/status"), "merge", &condition("Approved")).await.refused(422, "Invalid");
    assert_eq!(fields(&refused), ["status.conditions"]);
    let after = case.patch(&path, "merge", &condition("Approved")).await.expect(200);
    assert_eq!(kinds(&after), Vec::<&str>::new());
    let after = case.patch(&format!("{path}/approval"), "merge", &condition("Approved")).await.expect(200);
    assert_eq!(kinds(&after), ["Approved"]);
    assert!(after["status"]["conditions"][0]["lastUpdateTime"].is_string(), "{after}");
    let shown = case.get(&format!("{path}/approval")).await.expect(200);
    assert_eq!(kinds(&shown), ["Approved"]);
    case.delete(&path).await.expect(200);
}

async fn a_decision_is_true_one_way_and_for_ever(case: Case) {
    let (path, _) = made(&case).await;
    let approval = format!("{path}/approval");
    let (approved, denied) = (condition("Approved"), condition("Denied"));
    let [approved, denied] = [approved, denied].map(|one| one["status"]["conditions"][0].clone());
    for (conditions, field) in [
        (json!([{"type": "Approved"}]), "status.conditions[0].status"),
        (json!([{"type": "Approved", "status": "False"}]), "status.conditions[0].status"),
        (json!([approved, denied]), "status.conditions"),
    ] {
        let patch = json!({"status": {"conditions": conditions}});
        let refused = case.patch(&approval, "merge", &patch).await.refused(422, "Invalid");
        assert_eq!(fields(&refused), [field], "{conditions}");
    }
    case.patch(&approval, "merge", &condition("Approved")).await.expect(200);
    let none = json!({"status": {"conditions": []}});
    let refused = case.patch(&approval, "merge", &none).await.refused(422, "Invalid");
    assert_eq!(fields(&refused), ["status.conditions"]);
    case.delete(&path).await.expect(200);
}

async fn a_request_for_nothing_is_refused(case: Case) {
    let object = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": {"name": case.unique()}, "spec": {"request": REQUEST.trim()},
    });
    let refused = case.post(PATH, &object).await.refused(422, "Invalid");
    let mut named = fields(&refused);
    named.sort_unstable();
    assert_eq!(named, ["spec.signerName", "spec.usages"]);
}

async fn a_request_says_what_the_certificate_is_for(case: Case) {
    let encoded = REQUEST.trim();
    for (field, value, expected) in [
        ("usages", json!(["client auth", "other"]), "spec.usages[1]"),
        ("usages", json!(["client auth", "client auth"]), "spec.usages[1]"),
        ("signerName", json!("signer"), "spec.signerName"),
        ("signerName", json!("com/signer"), "spec.signerName"),
        ("signerName", json!("example.com/Signer"), "spec.signerName"),
        ("expirationSeconds", json!(599), "spec.expirationSeconds"),
        ("request", json!("bm9uZQ=="), "spec.request"),
    ] {
        let mut object = wanted(&case);
        object["spec"][field] = value;
        let refused = case.post(PATH, &object).await.refused(422, "Invalid");
        assert_eq!(fields(&refused), [expected], "{object}");
    }
    for (field, value) in
        [("request", json!("?")), ("usages", json!("client auth")), ("expirationSeconds", json!("600"))]
    {
        let mut object = wanted(&case);
        object["spec"][field] = value;
        case.post(PATH, &object).await.refused(400, "BadRequest");
    }
    let mut object = wanted(&case);
    let (first, second) = encoded.split_at(64);
    object["spec"]["request"] = format!("{first}\n{second}\n").into();
    object["spec"]["expirationSeconds"] = 600.into();
    let made = case.post(PATH, &object).await.expect(201);
    assert_eq!(made["spec"]["request"], encoded);
    case.delete(&format!("{PATH}/{}", case.unique())).await.expect(200);
}

async fn a_request_does_not_change(case: Case) {
    let (path, _) = made(&case).await;
    let after = case.patch(&path, "merge", &json!({"spec": {"signerName": "example.com/other"}})).await.expect(200);
    assert_eq!(after["spec"]["signerName"], "example.com/signer");
    case.delete(&path).await.expect(200);
}

/// A certificate in PEM and base64, and another one.
fn certificates(case: &Case) -> [Value; 2] {
    let kubeconfig: Value = serde_json::from_str(&case.target().kubeconfig(Who::Admin, "default")).expect("JSON");
    let found = ["/users/0/user/client-certificate-data", "/clusters/0/cluster/certificate-authority-data"];
    found.map(|pointer| kubeconfig.pointer(pointer).expect("a certificate").clone())
}

async fn a_certificate_is_pem_and_given_once(case: Case) {
    let (path, _) = made(&case).await;
    let status = format!("{path}/status");
    let [certificate, other] = certificates(&case);
    let with = |certificate: &Value| json!({"status": {"certificate": certificate}});
    // "none", and a PEM block that is a key.
    for wrong in ["bm9uZQ==", "LS0tLS1CRUdJTiBLRVktLS0tLQpNQUE9Ci0tLS0tRU5EIEtFWS0tLS0tCg=="] {
        let refused = case.patch(&status, "merge", &with(&wrong.into())).await.refused(422, "Invalid");
        assert_eq!(fields(&refused), ["status.certificate"], "{wrong}");
    }
    let after = case.patch(&format!("{path}/approval"), "merge", &with(&certificate)).await.expect(200);
    assert_eq!(after["status"]["certificate"], Value::Null);
    let after = case.patch(&status, "merge", &with(&certificate)).await.expect(200);
    assert_eq!(after["status"]["certificate"], certificate);
    case.patch(&status, "merge", &with(&certificate)).await.expect(200);
    for other in [other, Value::Null] {
        let refused = case.patch(&status, "merge", &with(&other)).await.refused(422, "Invalid");
        assert_eq!(fields(&refused), ["status.certificate"], "{other}");
    }
    case.delete(&path).await.expect(200);
}

async fn a_condition_is_known_by_its_type(case: Case) {
    let (path, _) = made(&case).await;
    for (conditions, expected) in [
        (json!([{"status": "True"}]), "status.conditions[0].type"),
        (json!([{"type": "Other", "status": "Maybe"}]), "status.conditions[0].status"),
        (json!([{"type": "Failed", "status": "False"}]), "status.conditions[0].status"),
        (json!([{"type": "A", "status": "True"}, {"type": "A", "status": "True"}]), "status.conditions[1].type"),
    ] {
        for subresource in ["status", "approval"] {
            let patch = json!({"status": {"conditions": conditions}});
            let refused = case.patch(&format!("{path}/{subresource}"), "merge", &patch).await.refused(422, "Invalid");
            assert_eq!(fields(&refused), [expected], "{subresource}: {conditions}");
        }
    }
    let none = json!({"status": {"conditions": []}});
    for (kind, stays) in [("Other", false), ("Failed", true)] {
        case.patch(&format!("{path}/status"), "merge", &condition(kind)).await.expect(200);
        let code = case.patch(&format!("{path}/status"), "merge", &none).await.code;
        assert_eq!(code, if stays { 422 } else { 200 }, "{kind}");
    }
    case.delete(&path).await.expect(200);
}

async fn times_and_metadata_come_with_an_approval(case: Case) {
    let (path, _) = made(&case).await;
    let mut approved = condition("Approved");
    approved["metadata"] = json!({"labels": {"a": "b"}});
    approved["status"]["conditions"][0]["lastTransitionTime"] = "2020-01-02T03:04:05Z".into();
    let after = case.patch(&format!("{path}/approval"), "merge", &approved).await.expect(200);
    assert_eq!(after["metadata"]["labels"]["a"], "b");
    let times = |object: &Value| {
        ["lastUpdateTime", "lastTransitionTime"].map(|field| object["status"]["conditions"][0][field].clone())
    };
    let [updated, transition] = times(&after);
    assert!(updated.as_str().is_some_and(|time| time > "2020-01-02T03:04:05Z"), "{after}");
    assert_eq!(transition, "2020-01-02T03:04:05Z");
    // Written once more, without a time: the status did not change.
    let after = case.patch(&format!("{path}/approval"), "merge", &condition("Approved")).await.expect(200);
    assert_eq!(times(&after)[1], "2020-01-02T03:04:05Z");
    // A write of the status changes the metadata too, and no decision.
    let mut other = condition("Approved");
    other["status"]["conditions"][0]["reason"] = "Other".into();
    other["metadata"] = json!({"labels": {"a": "c"}});
    let after = case.patch(&format!("{path}/status"), "merge", &other).await.expect(200);
    assert_eq!(
        (&after["metadata"]["labels"]["a"], &after["status"]["conditions"][0]["reason"]),
        (&json!("c"), &json!("Test"))
    );
    case.delete(&path).await.expect(200);
}

async fn an_approval_owns_the_conditions_that_it_sets(case: Case) {
    let path = format!("{PATH}/{}", case.unique());
    let made = case.post(&format!("{PATH}?fieldManager=asker"), &labelled(wanted(&case), "a", "b")).await.expect(201);
    let labels = json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}});
    assert_eq!(made["metadata"]["managedFields"][0]["fieldsV1"], labels, "the spec has no owner");
    let [certificate, _] = certificates(&case);
    let mut approved = condition("Approved");
    approved["status"]["certificate"] = certificate.clone();
    case.patch(&format!("{path}/approval?fieldManager=approver"), "merge", &approved).await.expect(200);
    let signed = json!({"status": {"certificate": certificate}});
    let after = case.patch(&format!("{path}/status?fieldManager=signer"), "merge", &signed).await.expect(200);
    let entries = after["metadata"]["managedFields"].as_array().expect("owners");
    let owned = |manager: &str| {
        let entry = entries.iter().find(|entry| entry["manager"] == manager);
        entry.map(|entry| (entry["subresource"].clone(), entry["fieldsV1"].clone()))
    };
    let fields = json!({
        ".": {}, "f:lastTransitionTime": {}, "f:lastUpdateTime": {}, "f:reason": {}, "f:status": {}, "f:type": {},
    });
    let conditions = json!({".": {}, "k:{\"type\":\"Approved\"}": fields});
    let expected = json!({"f:status": {"f:conditions": conditions}});
    assert_eq!(owned("approver"), Some((json!("approval"), expected)));
    assert_eq!(owned("signer"), Some((json!("status"), json!({"f:status": {"f:certificate": {}}}))));
    case.delete(&path).await.expect(200);
}
