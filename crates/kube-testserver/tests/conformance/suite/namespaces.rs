//! Namespaces, and the cluster's identity.

use serde_json::json;

use crate::{answer::fields, case::Case, fixtures::uid, test::tests};

tests![
    a_namespace_is_active_and_labelled_with_its_name,
    the_name_of_a_namespace_is_a_dns_label,
    the_usual_namespaces_are_there,
    the_identity_of_the_cluster_stays,
    namespaces_are_not_deleted_all_at_once,
];

async fn a_namespace_is_active_and_labelled_with_its_name(case: Case) {
    let namespace = case.get(&format!("/api/v1/namespaces/{}", case.namespace())).await.expect(200);
    assert_eq!(namespace["status"]["phase"], "Active");
    assert_eq!(namespace["metadata"]["labels"]["kubernetes.io/metadata.name"], case.namespace());
    assert_eq!(namespace["spec"]["finalizers"], json!(["kubernetes"]));
}

async fn the_name_of_a_namespace_is_a_dns_label(case: Case) {
    let dotted = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a.b"}});
    let status = case.post("/api/v1/namespaces", &dotted).await.refused(422, "Invalid");
    assert_eq!(fields(&status), ["metadata.name"]);
}

async fn the_usual_namespaces_are_there(case: Case) {
    for name in ["default", "kube-system"] {
        case.get(&format!("/api/v1/namespaces/{name}")).await.expect(200);
    }
}

async fn the_identity_of_the_cluster_stays(case: Case) {
    let first = case.get("/api/v1/namespaces/kube-system").await.expect(200);
    let second = case.get("/api/v1/namespaces/kube-system").await.expect(200);
    assert_eq!((uid(&first).len(), uid(&first)), (36, uid(&second)));
}

async fn namespaces_are_not_deleted_all_at_once(case: Case) {
    case.delete("/api/v1/namespaces").await.refused(405, "MethodNotAllowed");
}
