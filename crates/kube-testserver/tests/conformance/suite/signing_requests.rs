//! Certificate signing requests: made, approved, given a certificate.

use serde_json::{Value, json};

use crate::{answer::fields, case::Case, test::tests};

tests![
    a_request_names_its_user,
    only_an_approval_decides,
    a_decision_is_true_one_way_and_for_ever,
    a_request_for_nothing_is_refused,
    a_request_does_not_change,
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

async fn a_request_does_not_change(case: Case) {
    let (path, _) = made(&case).await;
    let after = case.patch(&path, "merge", &json!({"spec": {"signerName": "example.com/other"}})).await.expect(200);
    assert_eq!(after["spec"]["signerName"], "example.com/signer");
    case.delete(&path).await.expect(200);
}
