//! Namespaces, and the cluster's identity.

use serde_json::json;

use crate::{answer::fields, case::Case, fixtures::uid, test::tests};

tests![
    a_namespace_is_active_and_labelled_with_its_name,
    the_name_of_a_namespace_is_a_dns_label,
    the_usual_namespaces_are_there,
    the_identity_of_the_cluster_stays,
    namespaces_are_not_deleted_all_at_once,
    a_namespace_in_the_metadata_of_a_cluster_scoped_object_is_dropped,
    the_server_has_objects_of_its_own,
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

async fn a_namespace_in_the_metadata_of_a_cluster_scoped_object_is_dropped(case: Case) {
    let name = format!("dropped-{}", case.unique());
    let wanted = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": name, "namespace": case.namespace()}, "rules": [],
    });
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let mut made = case.post(roles, &wanted).await.expect(201);
    assert!(made["metadata"]["namespace"].is_null(), "{made}");
    made["metadata"]["namespace"] = "other".into();
    let after = case.put(&format!("{roles}/{name}"), &made).await.expect(200);
    assert!(after["metadata"]["namespace"].is_null(), "{after}");
    case.delete(&format!("{roles}/{name}")).await.expect(200);
}

async fn the_server_has_objects_of_its_own(case: Case) {
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    for path in [
        "/api/v1/namespaces/default/services/kubernetes".to_owned(),
        "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication".to_owned(),
        format!("{rbac}/clusterroles/cluster-admin"),
        format!("{rbac}/clusterroles/view"),
        format!("{rbac}/clusterrolebindings/cluster-admin"),
        format!("{rbac}/clusterrolebindings/system:public-info-viewer"),
        format!("{rbac}/namespaces/kube-system/roles/extension-apiserver-authentication-reader"),
    ] {
        case.eventually(&path, |answer| answer.code == 200).await;
    }
}
