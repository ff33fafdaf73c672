//! Lists, pages and the moment they show.

use serde_json::json;

use crate::{
    answer::{message, reasons},
    case::Case,
    fixtures::{config_map, names, rv},
    test::tests,
};

tests![
    a_list_is_ordered_by_name,
    a_list_says_what_it_is_and_when_it_was_taken,
    a_list_of_a_namespace_without_content_is_empty,
    a_list_over_all_namespaces_holds_this_one,
    a_list_that_fits_has_no_second_page,
    pages_show_one_moment,
    a_page_of_a_selection_does_not_count_the_rest,
    a_page_cannot_be_made_up,
    a_continue_token_is_valid_in_another_namespace,
    a_list_of_any_version_has_one_page,
    a_page_takes_no_version,
    an_exact_version_shows_that_moment,
    a_version_that_is_not_old_enough_is_the_present,
    how_a_version_is_meant_needs_a_version,
    a_version_of_the_future_is_too_large,
    metadata_can_be_listed_alone,
    metadata_can_be_read_alone,
];

async fn with_maps(case: &Case, names: &[&str]) {
    for name in names {
        case.post(&case.maps(), &config_map(name, "1")).await.expect(201);
    }
}

async fn a_list_is_ordered_by_name(case: Case) {
    with_maps(&case, &["b", "a", "c"]).await;
    assert_eq!(names(&case.get(&case.maps()).await.expect(200)), ["a", "b", "c"]);
}

async fn a_list_says_what_it_is_and_when_it_was_taken(case: Case) {
    let made = case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let list = case.get(&case.maps()).await.expect(200);
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("ConfigMapList"), &json!("v1")));
    let number = |object| rv(object).parse::<u64>().expect("a number");
    assert!(number(&list) >= number(&made));
}

async fn a_list_of_a_namespace_without_content_is_empty(case: Case) {
    let list = case.get("/api/v1/namespaces/there-is-no-such-namespace/configmaps").await.expect(200);
    assert!(names(&list).is_empty());
}

async fn a_list_over_all_namespaces_holds_this_one(case: Case) {
    let name = format!("map-{}", case.unique());
    with_maps(&case, &[&name]).await;
    let list = case.get("/api/v1/configmaps").await.expect(200);
    assert!(names(&list).contains(&name.as_str()));
}

async fn a_list_that_fits_has_no_second_page(case: Case) {
    with_maps(&case, &["a", "b"]).await;
    let list = case.get(&format!("{}?limit=2", case.maps())).await.expect(200);
    assert_eq!(names(&list), ["a", "b"]);
    assert!(list["metadata"]["continue"].is_null() && list["metadata"]["remainingItemCount"].is_null());
}

async fn pages_show_one_moment(case: Case) {
    with_maps(&case, &["a", "b", "c", "d", "e"]).await;
    let first = case.get(&format!("{}?limit=2", case.maps())).await.expect(200);
    assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["a", "b"], &json!(3)));
    case.delete(&format!("{}/c", case.maps())).await.expect(200);
    with_maps(&case, &["bb"]).await;
    let token = first["metadata"]["continue"].as_str().expect("there is more");
    let second = case.get(&format!("{}?limit=2&continue={token}", case.maps())).await.expect(200);
    assert_eq!((names(&second), rv(&second)), (vec!["c", "d"], rv(&first)));
    let token = second["metadata"]["continue"].as_str().expect("there is more");
    let third = case.get(&format!("{}?limit=2&continue={token}", case.maps())).await.expect(200);
    assert_eq!(names(&third), ["e"]);
    assert!(third["metadata"]["continue"].is_null());
}

async fn a_page_of_a_selection_does_not_count_the_rest(case: Case) {
    with_maps(&case, &["a", "b", "c"]).await;
    let page = case.get(&format!("{}?limit=1&fieldSelector=metadata.name!%3Da", case.maps())).await.expect(200);
    assert_eq!(names(&page), ["b"]);
    assert!(page["metadata"]["remainingItemCount"].is_null());
    assert!(page["metadata"]["continue"].is_string());
}

async fn a_page_cannot_be_made_up(case: Case) {
    case.get(&format!("{}?limit=1&continue=nonsense", case.maps())).await.refused(400, "BadRequest");
}

async fn a_page_takes_no_version(case: Case) {
    with_maps(&case, &["a", "b"]).await;
    let first = case.get(&format!("{}?limit=1", case.maps())).await.expect(200);
    let (token, rv) = (first["metadata"]["continue"].as_str().expect("there is more"), rv(&first));
    let target = format!("{}?limit=1&continue={token}&resourceVersion={rv}", case.maps());
    case.get(&target).await.refused(400, "BadRequest");
}

async fn an_exact_version_shows_that_moment(case: Case) {
    with_maps(&case, &["a"]).await;
    let then = case.get(&case.maps()).await.expect(200);
    with_maps(&case, &["b"]).await;
    let target = format!("{}?resourceVersion={}&resourceVersionMatch=Exact", case.maps(), rv(&then));
    let list = case.get(&target).await.expect(200);
    assert_eq!((names(&list), rv(&list)), (vec!["a"], rv(&then)));
}

async fn a_version_that_is_not_old_enough_is_the_present(case: Case) {
    with_maps(&case, &["a"]).await;
    let latest = case.post(&case.maps(), &config_map("b", "1")).await.expect(201);
    let target = format!("{}?resourceVersion={}&resourceVersionMatch=NotOlderThan", case.maps(), rv(&latest));
    assert_eq!(names(&case.get(&target).await.expect(200)), ["a", "b"]);
}

async fn how_a_version_is_meant_needs_a_version(case: Case) {
    for query in [
        "resourceVersionMatch=Exact",
        "resourceVersionMatch=NotOlderThan",
        "resourceVersion=0&resourceVersionMatch=Exact",
        "resourceVersion=1&resourceVersionMatch=Roughly",
        "sendInitialEvents=true",
    ] {
        let answer = case.get(&format!("{}?{query}", case.maps())).await;
        let status = answer.refused(422, "Invalid");
        assert_eq!(status["details"]["kind"], "ListOptions", "{query}");
    }
}

async fn a_version_of_the_future_is_too_large(case: Case) {
    let now: u64 = rv(&case.get(&case.maps()).await.expect(200)).parse().expect("a number");
    let answer = case.get(&format!("{}?resourceVersion={}", case.maps(), now + 1_000_000)).await;
    assert_eq!(answer.headers["retry-after"], "1");
    let status = answer.refused(504, "Timeout");
    assert!(message(&status).starts_with("Timeout: Too large resource version: "), "{status}");
    assert_eq!(reasons(&status), ["ResourceVersionTooLarge"]);
    assert_eq!(status["details"]["retryAfterSeconds"], 1);
    assert!(status["details"]["causes"][0].get("field").is_none(), "it is about no field");
}

async fn metadata_can_be_listed_alone(case: Case) {
    with_maps(&case, &["a"]).await;
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = case.get_as(&case.maps(), accept).await.expect(200);
    assert_eq!((&list["kind"], names(&list)), (&json!("PartialObjectMetadataList"), vec!["a"]));
    assert!(list["items"][0].get("data").is_none());
    let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    case.get_as(&case.maps(), accept).await.refused(406, "NotAcceptable");
}

async fn metadata_can_be_read_alone(case: Case) {
    with_maps(&case, &["a"]).await;
    let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let object = case.get_as(&format!("{}/a", case.maps()), accept).await.expect(200);
    assert_eq!((&object["kind"], &object["metadata"]["name"]), (&json!("PartialObjectMetadata"), &json!("a")));
    assert!(object.get("data").is_none());
}

async fn a_continue_token_is_valid_in_another_namespace(case: Case) {
    with_maps(&case, &["a", "b", "c"]).await;
    let wanted = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "conformance-"}});
    let made = case.post("/api/v1/namespaces", &wanted).await.expect(201);
    let elsewhere = format!("/api/v1/namespaces/{}/configmaps", made["metadata"]["name"].as_str().expect("a name"));
    for name in ["a", "b", "c"] {
        case.post(&elsewhere, &config_map(name, "1")).await.expect(201);
    }
    let first = case.get(&format!("{elsewhere}?limit=1")).await.expect(200);
    let token = first["metadata"]["continue"].as_str().expect("there is more");
    let rest = case.get(&format!("{}?limit=2&continue={token}", case.maps())).await.expect(200);
    assert_eq!(names(&rest), ["b", "c"]);
}

async fn a_list_of_any_version_has_one_page(case: Case) {
    with_maps(&case, &["a", "b"]).await;
    let target = format!("{}?limit=1&resourceVersion=0", case.maps());
    // A real server answers from a cache, which may be late.
    let list = case.eventually(&target, |answer| names(&answer.body).len() == 2).await;
    assert!(list.body["metadata"]["continue"].is_null(), "{}", list.text);
}
