//! Authentication and authorization, and the answers to refused requests.

use serde_json::{Value, json};

use crate::{
    answer::{Answer, message},
    case::{Case, send},
    fixtures::config_map,
    target::{OUTSIDER, OUTSIDER_GROUP, OUTSIDER_UID, Who},
    test::tests,
};

tests![
    a_client_certificate_authenticates_its_user,
    a_token_authenticates_its_user,
    a_token_of_the_administrator_does_what_its_certificate_does,
    an_unknown_token_is_refused_everywhere,
    without_credentials_health_and_version_are_open,
    without_credentials_the_rest_is_forbidden,
    a_user_without_rights_is_forbidden_to_read,
    a_user_without_rights_is_forbidden_to_write,
    a_denial_at_the_cluster_scope_says_so,
    a_user_without_rights_may_still_discover,
    a_watch_is_forbidden_as_a_watch,
    an_administrator_may_impersonate,
    a_user_without_rights_may_not_impersonate,
    impersonation_needs_a_user_name,
];

async fn ask(case: &Case, who: Who, target: &str) -> Answer {
    send(&case.client_of(who).await, "GET", target, &[], "").await
}

async fn review(case: &Case, who: Who) -> Value {
    review_as(case, who, &[]).await
}

async fn review_as(case: &Case, who: Who, impersonation: &[(&str, &str)]) -> Value {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).to_string();
    let headers = [&[("content-type", "application/json")], impersonation].concat();
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let mut review = send(&case.client_of(who).await, "POST", path, &headers, &body).await.expect(201);
    assert_eq!(review["kind"], "SelfSubjectReview");
    review["status"]["userInfo"].take()
}

fn groups(user: &Value) -> Vec<&str> {
    user["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

async fn a_client_certificate_authenticates_its_user(case: Case) {
    let user = review(&case, Who::Admin).await;
    assert_eq!(user["username"], "admin");
    assert_eq!(groups(&user), ["system:masters", "system:authenticated"]);
}

async fn a_token_authenticates_its_user(case: Case) {
    let user = review(&case, Who::Outsider).await;
    assert_eq!((&user["username"], &user["uid"]), (&json!(OUTSIDER), &json!(OUTSIDER_UID)));
    assert_eq!(groups(&user), [OUTSIDER_GROUP, "system:authenticated"]);
}

async fn a_token_of_the_administrator_does_what_its_certificate_does(case: Case) {
    ask(&case, Who::AdminByToken, &case.maps()).await.expect(200);
}

async fn an_unknown_token_is_refused_everywhere(case: Case) {
    for target in [case.maps(), "/version".to_owned(), "/readyz".to_owned(), "/apis".to_owned()] {
        let status = ask(&case, Who::Impostor, &target).await.refused(401, "Unauthorized");
        assert_eq!(message(&status), "Unauthorized", "{target}");
    }
}

async fn without_credentials_health_and_version_are_open(case: Case) {
    for target in ["/version", "/healthz", "/livez", "/readyz"] {
        assert_eq!(ask(&case, Who::Anonymous, target).await.code, 200, "{target}");
    }
}

async fn without_credentials_the_rest_is_forbidden(case: Case) {
    let status = ask(&case, Who::Anonymous, &case.maps()).await.refused(403, "Forbidden");
    let expected = format!(
        "configmaps is forbidden: User \"system:anonymous\" cannot list resource \"configmaps\" in API group \"\" in \
         the namespace \"{}\"",
        case.namespace()
    );
    assert!(message(&status).starts_with(&expected), "{status}");
    assert_eq!(status["details"], json!({"kind": "configmaps"}));
    for path in ["/api", "/apis", "/openapi/v3"] {
        let status = ask(&case, Who::Anonymous, path).await.refused(403, "Forbidden");
        let expected = format!("forbidden: User \"system:anonymous\" cannot get path \"{path}\"");
        assert!(message(&status).starts_with(&expected), "{status}");
    }
}

async fn a_user_without_rights_is_forbidden_to_read(case: Case) {
    let one = format!("{}/a", case.maps());
    let status = ask(&case, Who::Outsider, &one).await.refused(403, "Forbidden");
    let expected = format!(
        "configmaps \"a\" is forbidden: User \"{OUTSIDER}\" cannot get resource \"configmaps\" in API group \"\" in \
         the namespace \"{}\"",
        case.namespace()
    );
    assert!(message(&status).starts_with(&expected), "{status}");
    assert_eq!(status["details"], json!({"name": "a", "kind": "configmaps"}));
}

async fn a_user_without_rights_is_forbidden_to_write(case: Case) {
    let client = case.client_of(Who::Outsider).await;
    let headers = [("content-type", "application/json")];
    let body = config_map("a", "1").to_string();
    send(&client, "POST", &case.maps(), &headers, &body).await.refused(403, "Forbidden");
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    send(&client, "DELETE", &format!("{}/a", case.maps()), &[], "").await.refused(403, "Forbidden");
    case.get(&format!("{}/a", case.maps())).await.expect(200);
}

async fn a_denial_at_the_cluster_scope_says_so(case: Case) {
    let status = ask(&case, Who::Outsider, "/api/v1/namespaces").await.refused(403, "Forbidden");
    let expected = format!(
        "namespaces is forbidden: User \"{OUTSIDER}\" cannot list resource \"namespaces\" in API group \"\" at the \
         cluster scope"
    );
    assert!(message(&status).starts_with(&expected), "{status}");
}

async fn a_user_without_rights_may_still_discover(case: Case) {
    for path in ["/api", "/apis", "/api/v1", "/version", "/openapi/v3"] {
        assert_eq!(ask(&case, Who::Outsider, path).await.code, 200, "{path}");
    }
}

async fn a_watch_is_forbidden_as_a_watch(case: Case) {
    let status = ask(&case, Who::Outsider, &format!("{}?watch=true", case.maps())).await.refused(403, "Forbidden");
    assert!(message(&status).contains("cannot watch resource \"configmaps\""), "{status}");
}

async fn an_administrator_may_impersonate(case: Case) {
    let user = review_as(&case, Who::Admin, &[("impersonate-user", "bob"), ("impersonate-group", "devs")]).await;
    assert_eq!((&user["username"], groups(&user)), (&json!("bob"), vec!["devs", "system:authenticated"]));
    let more = [("impersonate-user", "bob"), ("impersonate-uid", "7"), ("impersonate-extra-scopes", "a")];
    let user = review_as(&case, Who::Admin, &more).await;
    assert_eq!((&user["uid"], &user["extra"]["scopes"]), (&json!("7"), &json!(["a"])));
    let account = [("impersonate-user", "system:serviceaccount:a:b")];
    let user = review_as(&case, Who::Admin, &account).await;
    let expected = ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"];
    assert_eq!(groups(&user), expected);
}

async fn a_user_without_rights_may_not_impersonate(case: Case) {
    let client = case.client_of(Who::Outsider).await;
    let status = send(&client, "GET", "/version", &[("impersonate-user", "bob")], "").await.refused(403, "Forbidden");
    let expected = if case.minor_version().await < 36 {
        format!(
            "users \"bob\" is forbidden: User \"{OUTSIDER}\" cannot impersonate resource \"users\" in API group \"\" at \
             the cluster scope"
        )
    } else {
        format!("forbidden: User \"{OUTSIDER}\" cannot impersonate-on:user-info:get path \"/version\"")
    };
    assert!(message(&status).starts_with(&expected), "{status}");
}

async fn impersonation_needs_a_user_name(case: Case) {
    let code = if case.minor_version().await < 36 { 500 } else { 400 };
    assert_eq!(case.send("GET", "/version", &[("impersonate-group", "devs")], "").await.code, code);
}
