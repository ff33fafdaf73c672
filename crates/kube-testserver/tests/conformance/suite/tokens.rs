//! Tokens of service accounts: asked for, reviewed, used.

use serde_json::{Value, json};

use crate::{
    answer::{fields, message},
    case::{Case, send},
    target::Who,
    test::tests,
};

tests![
    a_requested_token_is_of_its_account,
    a_token_for_another_audience_is_not_for_the_server,
    a_token_ends_with_its_account,
    a_token_lives_ten_minutes_at_least,
    a_request_for_a_token_is_read_by_its_types,
    a_request_for_a_token_names_no_other_account,
    a_token_has_an_id,
    a_token_of_an_account_that_is_missing_is_missing,
    an_unknown_token_is_not_authenticated,
    a_review_needs_a_token,
    tokens_and_scales_are_discovered,
];

const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

async fn account(case: &Case) -> String {
    let accounts = case.core("serviceaccounts");
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}});
    case.post(&accounts, &account).await.expect(201);
    format!("{accounts}/a")
}

fn request(spec: &Value) -> Value {
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
}

async fn token(case: &Case, account: &str, spec: &Value) -> String {
    let answer = case.post(&format!("{account}/token"), &request(spec)).await.expect(201);
    answer["status"]["token"].as_str().expect("a token").to_owned()
}

async fn review(case: &Case, token: &str, audiences: &Value) -> Value {
    let spec = json!({"token": token, "audiences": audiences});
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec});
    case.post(REVIEWS, &review).await.expect(201)["status"].clone()
}

async fn a_requested_token_is_of_its_account(case: Case) {
    let account = account(&case).await;
    let answer = case.post(&format!("{account}/token"), &request(&json!({}))).await.expect(201);
    assert_eq!((&answer["kind"], &answer["metadata"]["name"]), (&json!("TokenRequest"), &json!("a")));
    assert_eq!(answer["spec"]["expirationSeconds"], 3600);
    assert!(answer["status"]["expirationTimestamp"].is_string(), "{answer}");
    let token = answer["status"]["token"].as_str().expect("a token");
    let status = review(&case, token, &Value::Null).await;
    assert_eq!(status["authenticated"], true);
    let name = format!("system:serviceaccount:{}:a", case.namespace());
    assert_eq!(status["user"]["username"], name);
    assert_eq!(
        status["user"]["groups"],
        json!([
            "system:serviceaccounts",
            format!("system:serviceaccounts:{}", case.namespace()),
            "system:authenticated"
        ])
    );
    let bearer = format!("Bearer {token}");
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let who = send(&case.client_of(Who::Anonymous).await, "POST", path, &headers, &body.to_string()).await.expect(201);
    assert_eq!(who["status"]["userInfo"]["username"], name);
}

async fn a_token_for_another_audience_is_not_for_the_server(case: Case) {
    let account = account(&case).await;
    let token = token(&case, &account, &json!({"audiences": ["api"]})).await;
    let status = review(&case, &token, &json!(["api", "other"])).await;
    assert_eq!((&status["authenticated"], &status["audiences"]), (&json!(true), &json!(["api"])));
    assert_ne!(review(&case, &token, &Value::Null).await["authenticated"], true);
    assert_ne!(review(&case, &token, &json!(["other"])).await["authenticated"], true);
    let bearer = format!("Bearer {token}");
    send(&case.client_of(Who::Anonymous).await, "GET", "/version", &[("authorization", &bearer)], "")
        .await
        .refused(401, "Unauthorized");
}

async fn a_token_ends_with_its_account(case: Case) {
    let account = account(&case).await;
    let token = token(&case, &account, &json!({})).await;
    case.delete(&account).await.expect(200);
    // A real server sees the deletion a moment later.
    let mut rounds = tokio::time::interval(std::time::Duration::from_millis(50));
    while review(&case, &token, &Value::Null).await["authenticated"] == true {
        rounds.tick().await;
    }
}

async fn a_token_lives_ten_minutes_at_least(case: Case) {
    let path = format!("{}/token", account(&case).await);
    let refused = case.post(&path, &request(&json!({"expirationSeconds": 10}))).await.refused(422, "Invalid");
    assert_eq!(fields(&refused), ["spec.expirationSeconds"]);
    assert!(message(&refused).contains("may not specify a duration less than 10 minutes"), "{refused}");
}

async fn a_request_for_a_token_is_read_by_its_types(case: Case) {
    let path = format!("{}/token", account(&case).await);
    for spec in [json!({"expirationSeconds": "3600"}), json!({"audiences": "api"}), json!([])] {
        case.post(&path, &request(&spec)).await.refused(400, "BadRequest");
    }
    let yaml = "apiVersion: authentication.k8s.io/v1\nkind: TokenRequest\nspec: {expirationSeconds: 700}\n";
    let answer = case.send("POST", &path, &[("content-type", "application/yaml")], yaml).await.expect(201);
    assert_eq!(answer["spec"]["expirationSeconds"], 700);
    let review = "apiVersion: authentication.k8s.io/v1\nkind: TokenReview\nspec: {token: unknown}\n";
    case.send("POST", REVIEWS, &[("content-type", "application/yaml")], review).await.expect(201);
}

async fn a_request_for_a_token_names_no_other_account(case: Case) {
    let path = format!("{}/token", account(&case).await);
    let with = |metadata: Value| {
        let mut body = request(&json!({}));
        body["metadata"] = metadata;
        body
    };
    case.post(&path, &with(json!({"name": "a", "namespace": case.namespace()}))).await.expect(201);
    for (metadata, field) in
        [(json!({"name": "b"}), "metadata.name"), (json!({"namespace": "b"}), "metadata.namespace")]
    {
        let answer = case.post(&path, &with(metadata)).await;
        // The namespace is compared on the way in too, where another one is a bad request.
        assert!(answer.code == 400 || fields(&answer.body) == [field], "{}", answer.text);
    }
    if case.minor_version().await >= 34 {
        case.post(&path, &with(json!({"uid": "other"}))).await.refused(409, "Conflict");
    }
}

async fn a_token_has_an_id(case: Case) {
    let account = account(&case).await;
    let token = token(&case, &account, &json!({})).await;
    let status = review(&case, &token, &Value::Null).await;
    let id = &status["user"]["extra"]["authentication.kubernetes.io/credential-id"][0];
    assert!(id.as_str().is_some_and(|id| id.starts_with("JTI=")), "{status}");
}

async fn a_token_of_an_account_that_is_missing_is_missing(case: Case) {
    let path = case.core("serviceaccounts/none/token");
    case.post(&path, &request(&json!({}))).await.refused(404, "NotFound");
    case.get(&path).await.refused(405, "MethodNotAllowed");
}

async fn an_unknown_token_is_not_authenticated(case: Case) {
    let status = review(&case, "unknown", &Value::Null).await;
    assert_ne!(status["authenticated"], true);
    assert!(status["error"].as_str().expect("an error").contains("invalid bearer token"), "{status}");
}

async fn a_review_needs_a_token(case: Case) {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {}});
    case.post(REVIEWS, &review).await.refused(400, "BadRequest");
}

async fn tokens_and_scales_are_discovered(case: Case) {
    let named = |list: &Value, name: &str| {
        let resources = list["resources"].as_array().expect("resources");
        resources.iter().find(|resource| resource["name"] == name).cloned().unwrap_or_default()
    };
    let core = case.get("/api/v1").await.expect(200);
    let token = named(&core, "serviceaccounts/token");
    assert_eq!((&token["kind"], &token["group"]), (&json!("TokenRequest"), &json!("authentication.k8s.io")));
    assert_eq!(token["verbs"], json!(["create"]));
    let reviews = named(&case.get("/apis/authentication.k8s.io/v1").await.expect(200), "tokenreviews");
    assert_eq!((&reviews["kind"], &reviews["verbs"]), (&json!("TokenReview"), &json!(["create"])));
    let group = format!("{}.tokens.example.com", case.unique());
    let mut definition = crate::fixtures::widgets(&group);
    definition["spec"]["versions"][0]["subresources"]["scale"] =
        json!({"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.replicas"});
    case.define(&definition).await.expect("it is accepted");
    let path = format!("/apis/{group}/v1");
    let found = case.eventually(&path, |answer| named(&answer.body, "widgets/scale")["kind"] == "Scale").await;
    assert_eq!(named(&found.body, "widgets/scale")["group"], "autoscaling");
}
