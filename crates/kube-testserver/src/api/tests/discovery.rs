//! Discovery, version, `OpenAPI`, and what is not served.

use super::*;

const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

#[test]
fn both_forms_of_discovery_have_the_same_content() {
    let api = with_widgets();
    let group = get(&api, "/apis/example.com").expect(200);
    assert_eq!(group["preferredVersion"]["groupVersion"], "example.com/v1");
    let list = get(&api, "/apis/example.com/v1").expect(200);
    let listed: Vec<&str> =
        list["resources"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(listed, ["widgets", "widgets/status"]);
    assert_eq!(list["resources"][0]["shortNames"], json!(["wd"]));

    let answer = send(&api, "GET", "/apis", &[("accept", V2)], "");
    assert!(answer.headers["content-type"].to_str().unwrap().contains("as=APIGroupDiscoveryList"));
    let groups = answer.expect(200);
    assert_eq!(
        (&groups["kind"], &groups["apiVersion"]),
        (&json!("APIGroupDiscoveryList"), &json!("apidiscovery.k8s.io/v2"))
    );
    let ours = groups["items"].as_array().unwrap().iter().find(|one| one["metadata"]["name"] == "example.com").unwrap();
    let resource = &ours["versions"][0]["resources"][0];
    assert_eq!((&resource["resource"], &resource["scope"]), (&json!("widgets"), &json!("Namespaced")));
    assert_eq!(resource["subresources"][0]["subresource"], "status");
    let core = send(&api, "GET", "/api", &[("accept", V2)], "").expect(200);
    assert_eq!(core["items"][0]["versions"][0]["version"], "v1");
    assert_eq!(get(&api, "/api").expect(200)["versions"], json!(["v1"]));
    let all = get(&api, "/api/v1").expect(200);
    assert!(all["resources"].as_array().unwrap().iter().any(|one| one["name"] == "namespaces/finalize"));
    assert!(get(&api, "/apis").expect(200)["groups"].as_array().unwrap().len() >= 6);
}

#[test]
fn versions_are_ordered_as_clients_expect() {
    let api = Api::new();
    let mut definition = widgets();
    let version = definition["spec"]["versions"][0].clone();
    let versions: Vec<Value> = ["v1alpha1", "v1", "v2beta1", "v10"]
        .iter()
        .map(|name| {
            let mut version = version.clone();
            version["name"] = (*name).into();
            version["storage"] = (*name == "v1").into();
            version
        })
        .collect();
    definition["spec"]["versions"] = versions.into();
    api.install(&definition).unwrap();
    let group = get(&api, "/apis/example.com").expect(200);
    let order: Vec<&str> =
        group["versions"].as_array().unwrap().iter().map(|one| one["version"].as_str().unwrap()).collect();
    assert_eq!(order, ["v10", "v1", "v2beta1", "v1alpha1"]);
}

#[test]
fn the_version_is_one_clients_can_read() {
    let version = get(&Api::new(), "/version").expect(200);
    assert_eq!((&version["major"], &version["minor"]), (&json!("1"), &json!("36")));
    assert!(version["gitVersion"].as_str().unwrap().starts_with("v1.36.0-"));
}

#[test]
fn openapi_names_the_patches_and_their_validation() {
    let api = with_widgets();
    let index = get(&api, "/openapi/v3").expect(200);
    let url = index["paths"]["apis/example.com/v1"]["serverRelativeURL"].as_str().unwrap();
    let document = get(&api, url).expect(200);
    let patch = &document["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Widget");
    assert!(patch["parameters"].as_array().unwrap().iter().any(|one| one["name"] == "fieldValidation"));
    assert!(get(&api, "/openapi/v2").refused(501, "NotImplemented").contains("/openapi/v2"));
}

#[test]
fn an_unknown_path_is_not_found_and_one_that_is_left_out_is_501() {
    let api = Api::new();
    for path in ["/nothing", "/apis/none", "/apis/none/v1", "/apis/none/v1/things", "/api/v2"] {
        let answer = get(&api, path);
        assert_eq!((answer.code, answer.text.as_str()), (404, "404 page not found\n"), "{path}");
    }
    get(&api, "/api/v1/nothings").refused(404, "NotFound");
    for path in ["/apis/apps/v1/replicasets", "/apis/batch/v1/jobs", "/api/v1/namespaces/default/pods/a/log"] {
        assert!(get(&api, path).refused(501, "NotImplemented").contains("does not do this"), "{path}");
    }
    for (method, path) in [
        ("PUT", CONFIGMAPS),
        ("PATCH", CONFIGMAPS),
        ("POST", "/api/v1/configmaps"),
        ("OPTIONS", CONFIGMAPS),
        ("POST", "/api/v1/namespaces/default/configmaps/a"),
        ("DELETE", "/api/v1/namespaces"),
        ("POST", "/version"),
        ("DELETE", "/apis"),
    ] {
        send(&api, method, path, &[], "").refused(405, "MethodNotAllowed");
    }
}

#[test]
fn what_is_no_resource_and_left_out_is_refused_aloud_too() {
    let api = Api::new();
    for path in ["/", "/metrics", "/logs/", "/debug/pprof", "/.well-known/openid-configuration", "/openid/v1/jwks"] {
        assert!(get(&api, path).refused(501, "NotImplemented").contains("the path /"), "{path}");
    }
    assert_eq!(get(&api, "/there/is/nothing").code, 404);
}

#[test]
fn a_core_resource_has_no_head_and_a_custom_one_has() {
    let api = with_widgets();
    for (path, code) in [(CONFIGMAPS, 405), (WIDGETS, 200)] {
        assert_eq!(send(&api, "HEAD", path, &[], "").code, code, "{path}");
    }
}
