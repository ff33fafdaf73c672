//! Requests that make no sense, and the codes they get.

use serde_json::json;

use crate::{case::Case, fixtures::config_map, test::tests};

tests![
    broken_json_is_a_bad_request,
    an_object_of_another_kind_is_a_bad_request,
    a_custom_resource_must_say_what_it_is,
    a_field_of_the_wrong_type_is_a_bad_request,
    a_body_of_an_unknown_form_is_refused,
    an_answer_in_an_unknown_form_is_refused,
    a_body_over_three_megabytes_is_too_large,
    a_resource_that_does_not_exist_is_not_found,
    a_group_that_does_not_exist_is_not_found,
    a_path_that_does_not_exist_is_not_found,
    a_verb_that_does_not_fit_is_not_allowed,
    a_limit_must_be_a_number,
    a_path_with_broken_escapes_is_a_bad_request,
    a_malformed_part_of_a_query_is_passed_over,
    a_request_may_have_many_headers,
];

async fn broken_json_is_a_bad_request(case: Case) {
    for body in ["{", "[]", "{\"kind\": \"ConfigMap\",}", "null null"] {
        let answer = case.send("POST", &case.maps(), &[("content-type", "application/json")], body).await;
        assert_eq!(answer.code, 400, "{body}: {}", answer.text);
        answer.refused(400, "BadRequest");
    }
}

async fn an_object_of_another_kind_is_a_bad_request(case: Case) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}});
    case.post(&case.maps(), &secret).await.refused(400, "BadRequest");
}

async fn a_custom_resource_must_say_what_it_is(case: Case) {
    let widgets = case.widgets().await;
    for object in [
        json!({"apiVersion": "conformance.example.com/v2", "kind": "Widget", "metadata": {"name": "w"}}),
        json!({"kind": "Widget", "metadata": {"name": "w"}}),
        json!({"apiVersion": "conformance.example.com/v1", "metadata": {"name": "w"}}),
    ] {
        case.post(&widgets, &object).await.refused(400, "BadRequest");
    }
}

async fn a_field_of_the_wrong_type_is_a_bad_request(case: Case) {
    let mut wrong = config_map("a", "1");
    wrong["data"]["key"] = 1.into();
    case.post(&case.maps(), &wrong).await.refused(400, "BadRequest");
    let mut wrong = config_map("a", "1");
    wrong["metadata"]["labels"] = "x".into();
    case.post(&case.maps(), &wrong).await.refused(400, "BadRequest");
}

async fn a_body_of_an_unknown_form_is_refused(case: Case) {
    let answer = case.send("POST", &case.maps(), &[("content-type", "text/plain")], "hello").await;
    answer.refused(415, "UnsupportedMediaType");
}

async fn an_answer_in_an_unknown_form_is_refused(case: Case) {
    case.get_as(&case.maps(), "text/plain").await.refused(406, "NotAcceptable");
}

async fn a_body_over_three_megabytes_is_too_large(case: Case) {
    const LIMIT: usize = 3 * 1024 * 1024;
    let mut huge = config_map("a", "");
    let around = huge.to_string().len();
    huge["data"]["key"] = "x".repeat(LIMIT + 1 - around).into();
    case.post(&case.maps(), &huge).await.refused(413, "RequestEntityTooLarge");
}

async fn a_resource_that_does_not_exist_is_not_found(case: Case) {
    case.get(&case.core("gadgets")).await.refused(404, "NotFound");
}

async fn a_group_that_does_not_exist_is_not_found(case: Case) {
    let answer = case.get(&format!("/apis/nobody.example.com/v1/namespaces/{}/gadgets", case.namespace())).await;
    assert_eq!(answer.code, 404, "{}", answer.text);
}

async fn a_path_that_does_not_exist_is_not_found(case: Case) {
    let answer = case.get("/there/is/nothing").await;
    assert_eq!(answer.code, 404, "{}", answer.text);
}

async fn a_verb_that_does_not_fit_is_not_allowed(case: Case) {
    let one = format!("{}/a", case.maps());
    for (method, target) in [("POST", &one), ("PUT", &case.maps()), ("PATCH", &case.maps())] {
        let headers = [("content-type", "application/json")];
        let answer = case.send(method, target, &headers, &config_map("a", "1").to_string()).await;
        answer.refused(405, "MethodNotAllowed");
    }
}

async fn a_limit_must_be_a_number(case: Case) {
    case.get(&format!("{}?limit=many", case.maps())).await.refused(400, "BadRequest");
}

async fn a_path_with_broken_escapes_is_a_bad_request(case: Case) {
    let answer = case.get(&format!("{}/%zz", case.maps())).await;
    assert_eq!((answer.code, answer.text.as_str()), (400, "400 Bad Request"));
}

async fn a_malformed_part_of_a_query_is_passed_over(case: Case) {
    for query in ["limit=%zz", "limit=many;watch=true", "%=1&limit=1"] {
        assert_eq!(case.get(&format!("{}?{query}", case.maps())).await.code, 200, "{query}");
    }
}

async fn a_request_may_have_many_headers(case: Case) {
    let names: Vec<String> = (0..500).map(|number| format!("x-many-{number}")).collect();
    let headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    case.send("GET", &case.maps(), &headers, "").await.expect(200);
}
