//! What a server says about itself.

use serde_json::{Value, json};

use crate::{
    case::Case,
    fixtures::{WIDGET_GROUP, widgets},
    test::tests,
};

tests![
    the_core_group_has_one_version,
    the_groups_are_listed_with_their_versions,
    a_resource_is_described,
    a_custom_resource_is_described,
    the_reviews_are_described,
    discovery_can_be_had_in_one_request,
    aggregated_discovery_holds_custom_resources,
    the_version_is_served,
    the_server_is_healthy,
    openapi_names_the_groups,
];

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let found = list.as_array().into_iter().flatten().find(|item| item["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {list}"))
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

async fn the_core_group_has_one_version(case: Case) {
    let versions = case.get("/api").await.expect(200);
    assert_eq!((&versions["kind"], &versions["versions"]), (&json!("APIVersions"), &json!(["v1"])));
}

async fn the_groups_are_listed_with_their_versions(case: Case) {
    let list = case.get("/apis").await.expect(200);
    assert_eq!(list["kind"], "APIGroupList");
    let apps = named(&list["groups"], "apps");
    assert_eq!(apps["preferredVersion"], json!({"groupVersion": "apps/v1", "version": "v1"}));
    assert_eq!(case.get("/apis/apps").await.expect(200)["name"], "apps");
    named(&list["groups"], "apiextensions.k8s.io");
}

async fn a_resource_is_described(case: Case) {
    let list = case.get("/api/v1").await.expect(200);
    assert_eq!((&list["kind"], &list["groupVersion"]), (&json!("APIResourceList"), &json!("v1")));
    let maps = named(&list["resources"], "configmaps");
    assert_eq!((&maps["kind"], &maps["namespaced"]), (&json!("ConfigMap"), &json!(true)));
    assert_eq!((&maps["singularName"], strings(&maps["shortNames"])), (&json!("configmap"), vec!["cm"]));
    let mut verbs = strings(&maps["verbs"]);
    verbs.sort_unstable();
    assert_eq!(verbs, ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]);
    let namespaces = named(&list["resources"], "namespaces");
    assert_eq!(namespaces["namespaced"], false);
    assert!(!strings(&namespaces["verbs"]).contains(&"deletecollection"));
    assert_eq!(named(&list["resources"], "namespaces/status")["kind"], "Namespace");
}

async fn a_custom_resource_is_described(case: Case) {
    case.widgets().await;
    let path = format!("/apis/{WIDGET_GROUP}/v1");
    let list = case.eventually(&path, |answer| answer.code == 200).await.body;
    let widgets = named(&list["resources"], "widgets");
    assert_eq!((&widgets["kind"], &widgets["namespaced"]), (&json!("Widget"), &json!(true)));
    assert_eq!((strings(&widgets["shortNames"]), strings(&widgets["categories"])), (vec!["wd"], vec!["conformance"]));
    assert_eq!(strings(&named(&list["resources"], "widgets/status")["verbs"]), ["get", "patch", "update"]);
}

async fn the_reviews_are_described(case: Case) {
    let groups = case.get("/apis").await.expect(200);
    let aggregated = case.get_as("/apis", AGGREGATED).await.expect(200);
    for (group, plural, kind) in [
        ("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview"),
        ("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    ] {
        named(&groups["groups"], group);
        let list = case.get(&format!("/apis/{group}/v1")).await.expect(200);
        let review = named(&list["resources"], plural);
        assert_eq!((&review["kind"], strings(&review["verbs"])), (&json!(kind), vec!["create"]));
        let items = aggregated["items"].as_array().into_iter().flatten();
        let found = items.filter(|item| item["metadata"]["name"] == group).find_map(|item| {
            item["versions"][0]["resources"].as_array()?.iter().find(|resource| resource["resource"] == plural)
        });
        assert_eq!(found.expect("it is described")["responseKind"]["kind"], kind);
    }
}

async fn discovery_can_be_had_in_one_request(case: Case) {
    let answer = case.get_as("/api", AGGREGATED).await;
    let content_type = answer.headers["content-type"].to_str().expect("text").to_owned();
    assert!(content_type.contains("as=APIGroupDiscoveryList"), "{content_type}");
    let list = answer.expect(200);
    assert_eq!(list["kind"], "APIGroupDiscoveryList");
    let resources = list["items"][0]["versions"][0]["resources"].as_array().expect("resources");
    let maps = resources.iter().find(|resource| resource["resource"] == "configmaps").expect("configmaps");
    assert_eq!(maps["responseKind"], json!({"group": "", "version": "", "kind": "ConfigMap"}));
    assert_eq!(maps["scope"], "Namespaced");
    let apis = case.get_as("/apis", AGGREGATED).await.expect(200);
    let groups: Vec<_> =
        apis["items"].as_array().into_iter().flatten().filter_map(|item| item["metadata"]["name"].as_str()).collect();
    assert!(groups.contains(&"apps") && groups.contains(&"apiextensions.k8s.io"), "{groups:?}");
}

async fn aggregated_discovery_holds_custom_resources(case: Case) {
    let group = format!("{}.example.com", case.unique());
    case.define(&widgets(&group)).await.expect("it is accepted");
    loop {
        let list = case.get_as("/apis", AGGREGATED).await.expect(200);
        let items = list["items"].as_array().into_iter().flatten();
        let found = items.filter(|item| item["metadata"]["name"] == group).find_map(|item| {
            item["versions"][0]["resources"].as_array()?.iter().find(|resource| resource["resource"] == "widgets")
        });
        if let Some(found) = found {
            let subresources = found["subresources"].as_array().expect("it has a status");
            assert_eq!(subresources[0]["subresource"], "status");
            return;
        }
    }
}

async fn the_version_is_served(case: Case) {
    let version = case.get("/version").await.expect(200);
    assert_eq!(version["major"], "1");
    assert!(version["gitVersion"].as_str().is_some_and(|text| text.starts_with("v1.")), "{version}");
    assert!(version["minor"].as_str().is_some_and(|minor| !minor.is_empty()), "{version}");
}

async fn the_server_is_healthy(case: Case) {
    for path in ["/healthz", "/livez", "/readyz"] {
        let answer = case.send("GET", path, &[("accept", "*/*")], "").await;
        assert_eq!((answer.code, answer.text.as_str()), (200, "ok"), "{path}");
    }
}

async fn openapi_names_the_groups(case: Case) {
    let index = case.get("/openapi/v3").await.expect(200);
    let paths = index["paths"].as_object().expect("paths");
    for path in ["api/v1", "apis/apps/v1"] {
        let url = paths[path]["serverRelativeURL"].as_str().expect("an address");
        assert!(url.starts_with(&format!("/openapi/v3/{path}")), "{url}");
    }
}
